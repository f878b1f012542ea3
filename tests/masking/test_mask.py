"""What a mask covers never comes out: not a pixel of it, in no layout and at no size."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cameras.layout import Layout
from edge.masking import blocks, copying, mask
from edge.masking.blocks import BLOCK_PX, CLEAR, FILLED
from edge.masking.mask import Mask
from edge.masking.noise import AMPLITUDE, BYTES, Noise

RANDOM = os.urandom(BYTES)
sizes = st.tuples(st.integers(8, 90).map(lambda n: 2 * n), st.integers(8, 90).map(lambda n: 2 * n))
layouts = st.sampled_from(Layout)


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    height, width = draw(sizes)
    found = np.zeros(blocks.grid(height, width), np.uint8)
    for _ in range(draw(st.integers(0, 4))):
        x, y = draw(st.floats(-20, width + 20)), draw(st.floats(-20, height + 20))
        wide, high = draw(st.floats(0, 90)), draw(st.floats(0, 90))
        blocks.cover(found, draw(st.integers(1, 4)), x, y, x + wide, y + high)
    fixed = np.zeros_like(found)
    if draw(st.booleans()):
        fixed[draw(st.integers(0, 2)) :, draw(st.integers(0, 2)) : draw(st.integers(1, 5))] = FILLED
    return Mask(height, width, found, Noise(RANDOM, height, width)).over(fixed)


def picture(height: int, width: int, layout: Layout, seed: int = 1) -> np.ndarray:
    """Noise: no two pixels that lie beside each other are alike."""
    return np.random.default_rng(seed).integers(0, 256, layout.shape(height, width), np.uint8)


def copied(found: Mask, source: np.ndarray, layout: Layout) -> np.ndarray:
    place = np.full_like(source, 77)
    found.copy(source, place, layout)
    return place


def block_of(plane: np.ndarray, width: int, row: int, column: int) -> np.ndarray:
    unit = BLOCK_PX * plane.shape[1] // width
    return plane[row * unit : (row + 1) * unit, column * unit : (column + 1) * unit]


@settings(max_examples=60, deadline=None)
@given(masks(), layouts)
def test_each_block_is_its_own_pixels_or_black_or_of_one_colour(
    found: Mask, layout: Layout
) -> None:
    source = picture(found.height, found.width, layout)

    place = copied(found, source, layout)

    black = {Layout.BGR: (0,)}.get(layout, (16, 128, 128))
    planes = zip(layout.planes(source), layout.planes(place), black, strict=False)
    for before, after, dark in planes:
        for (row, column), level in np.ndenumerate(found.levels):
            was, now = (block_of(p, found.width, row, column) for p in (before, after))
            if level == CLEAR:
                assert np.array_equal(was, now)
            elif level == FILLED:
                assert (now == dark).all()
            else:
                assert (now == now[:1, :1]).all()


@settings(max_examples=40, deadline=None)
@given(masks(), layouts)
def test_what_is_filled_has_no_part_in_what_comes_out(found: Mask, layout: Layout) -> None:
    one, other = (picture(found.height, found.width, layout, seed) for seed in (1, 2))
    for row, column in np.argwhere(found.levels != FILLED):
        for a, b in zip(layout.planes(one), layout.planes(other), strict=True):
            block_of(b, found.width, row, column)[:] = block_of(a, found.width, row, column)

    first, second = copied(found, one, layout), copied(found, other, layout)

    assert np.array_equal(first, second)


@settings(max_examples=60, deadline=None)
@given(masks())
def test_no_more_colours_than_cells(found: Mask) -> None:
    """A cell of any level is of one colour, also where a coarser place overlaps a finer one."""
    source = picture(found.height, found.width, Layout.BGR)

    place = copied(found, source, Layout.BGR)

    for level in set(found.levels.ravel().tolist()) - {CLEAR, FILLED}:
        step = blocks.cell_px(level) // BLOCK_PX
        rows, columns = np.nonzero(found.levels == level)
        for row, column in {(r // step, c // step) for r, c in zip(rows, columns, strict=True)}:
            part = found.levels[row * step : (row + 1) * step, column * step : (column + 1) * step]
            side = blocks.cell_px(level)
            cell = place[row * side : (row + 1) * side, column * side : (column + 1) * side]
            assert (part == level).all()  # the cell is whole
            assert (cell == cell[:1, :1]).all()


@settings(max_examples=200, deadline=None)
@given(st.floats(1, 900), st.floats(0, 500), st.floats(0, 500))
def test_at_most_eight_by_eight_cells_cover_a_head(head: float, x: float, y: float) -> None:
    side = blocks.cell_px(blocks.level_for(head))

    across, down = ((p + head) // side - p // side + 1 for p in (x, y))

    assert across <= 8
    assert down <= 8


@settings(max_examples=100, deadline=None)
@given(st.integers(16, 4000), st.integers(16, 4000))
def test_on_doubt_the_whole_picture_has_at_most_eight_by_eight_cells(
    height: int, width: int
) -> None:
    side = blocks.cell_px(blocks.whole(height, width))

    assert -(-height // side) <= 8
    assert -(-width // side) <= 8
    assert (
        mask.everything(height, width, Noise(RANDOM, height, width)).levels
        == blocks.whole(height, width)
    ).all()


def test_the_twin_a_mask_that_masks_nothing_is_the_plain_copy() -> None:
    for layout in Layout:
        source = picture(48, 64, layout)
        assert np.array_equal(copied(mask.nothing(48, 64), source, layout), source)


def test_a_mosaic_keeps_the_brightness_of_a_place_within_its_noise() -> None:
    source = np.full((64, 64, 3), (40, 120, 200), np.uint8)

    place = copied(mask.everything(64, 64, Noise(RANDOM, 64, 64)), source, Layout.BGR)

    off = place.astype(int) - 120  # of the green
    assert np.abs(off).max() <= AMPLITUDE
    assert off.any()


@settings(max_examples=30, deadline=None)
@given(masks(), layouts)
def test_a_cell_has_no_colour(found: Mask, layout: Layout) -> None:
    """Hair and skin keep theirs to themselves."""
    source = picture(found.height, found.width, layout)

    place = copied(found, source, layout)

    hidden = (found.levels != CLEAR) & (found.levels != FILLED)
    for row, column in np.argwhere(hidden):
        if layout is Layout.BGR:
            now = block_of(place, found.width, row, column)
            assert (now == now[..., :1]).all()
        else:
            for plane in layout.planes(place)[1:]:
                assert (block_of(plane, found.width, row, column) == 128).all()


@settings(max_examples=40, deadline=None)
@given(masks(), layouts)
def test_what_is_filled_for_good_is_not_written_where_it_is_dark_already(
    found: Mask, layout: Layout
) -> None:
    """And everything else is: the twin is the copy into a place that holds anything."""
    source = picture(found.height, found.width, layout)
    whole, place = copied(found, source, layout), np.full_like(source, 77)

    found.copy(source, place, layout, prepared=True)

    assert found.fixed is not None
    for was, now in zip(layout.planes(whole), layout.planes(place), strict=True):
        for (row, column), level in np.ndenumerate(found.fixed):
            expected = block_of(was, found.width, row, column) if level != FILLED else 77
            assert (block_of(now, found.width, row, column) == expected).all()


def test_few_steps_copy_what_lies_beside_a_head() -> None:
    """Each one costs as much as many KiB of a copy."""
    wanted = np.ones((30, 40), np.bool_)
    wanted[4:16, 1:38] = False
    (plane,) = copying.planes(Layout.BGR, 480, 640)

    found = copying.runs(wanted, plane)

    assert len(found) == 3
    assert sum(run.length * run.count for run in found) == 3 * 256 * int(wanted.sum())


@pytest.mark.parametrize("layout", Layout)
def test_the_gate_keeps_no_sample_of_a_head_that_it_has_drawn(layout: Layout) -> None:
    levels = np.full(blocks.grid(96, 96), 1, np.uint8)
    plan = Mask(96, 96, levels, Noise(os.urandom(BYTES), 96, 96)).plan(layout)
    source = picture(96, 96, layout)
    place = np.zeros_like(source)

    plan(source, place, prepared=False, clear=True)

    assert place.any()
    assert plan._mosaic is not None and not plan._mosaic._sampled.any()


def test_the_mean_over_many_frames_keeps_the_noise() -> None:
    """Somebody who stands still gives nothing away by standing there for long."""
    still = np.full((64, 64, 3), 128, np.uint8)
    found, place = mask.everything(64, 64, Noise(RANDOM, 64, 64)), np.zeros_like(still)
    first = None
    for _ in range(5):
        found.copy(still, place, Layout.BGR)
        first = place.copy() if first is None else first
        assert np.array_equal(place, first)


def test_few_random_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match=f"expected {BYTES} random bytes, got 16"):
        Noise(bytes(16), 64, 64)


def test_a_mosaic_without_noise_is_refused() -> None:
    bare = Mask(32, 32, np.ones((2, 2), np.uint8))

    with pytest.raises(ValueError, match="a mosaic needs noise"):
        copied(bare, picture(32, 32, Layout.BGR), Layout.BGR)


def test_opencv_writes_no_more_than_it_is_asked_to() -> None:
    """Rows of a mosaic are split in place; a copy would leave the target as it was."""
    place = np.zeros((480, 640, 3), np.uint8)
    part = place[64:128, 32:96]

    tall = part.reshape(4, 16, 64, -1)

    assert np.shares_memory(tall, place)
    assert cv2.resize(part, (8, 8), interpolation=cv2.INTER_NEAREST).shape == (8, 8, 3)
