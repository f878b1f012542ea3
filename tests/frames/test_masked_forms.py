"""Every form of a masked picture: as if all of it were masked first and then reduced."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cameras.layout import Layout
from edge.frames.output_format import OutputFormat
from edge.frames.shaper import Shaper
from edge.masking import blocks
from edge.masking.blocks import BLOCK_PX, FILLED
from edge.masking.mask import Mask, nothing
from edge.masking.noise import BYTES, Noise

RANDOM = os.urandom(BYTES)
UNTOUCHED = 77
sides = st.integers(48, 80).map(lambda n: 2 * n)  # two fifths of it, halved, are 16 pixels still
shares = st.tuples(st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0.7, 1), st.floats(0.7, 1))
forms = st.builds(OutputFormat, st.none() | shares, st.booleans(), st.sampled_from([1, 1, 2]))


@st.composite
def sequences(draw: st.DrawFn, people: int, count: int) -> list[Mask]:
    """Masks of one fixed place, each with at most so many people."""
    height, width = draw(sides), draw(sides)
    rows, columns = blocks.grid(height, width)
    fixed = np.zeros((rows, columns), np.uint8)
    top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
    fixed[top : top + draw(st.integers(1, 4)), left : left + draw(st.integers(1, 4))] = FILLED
    made = []
    for _ in range(count):
        found = np.zeros_like(fixed)
        for _ in range(draw(st.integers(0, people))):
            x, y, side = (draw(st.floats(0, 90)) for _ in range(3))
            blocks.cover(found, draw(st.integers(1, 3)), x, y, x + side, y + side)
        made.append(Mask(height, width, found, Noise(RANDOM, height, width)).over(fixed))
    return made


def masks(people: int) -> st.SearchStrategy[Mask]:
    """A fixed place, and at most so many people."""
    return sequences(people, 1).map(lambda made: made[0])


def speckled(mask: Mask, layout: Layout) -> np.ndarray:
    """No two pixels that lie beside each other are alike."""
    shape = layout.shape(mask.height, mask.width)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def shaped(
    form: OutputFormat, layout: Layout, mask: Mask, picture: np.ndarray, *before: Mask
) -> np.ndarray:
    """What the shaper leaves in a place that holds no frame, after frames elsewhere."""
    shaper = Shaper(form, layout, mask.height, mask.width)
    for other in before:
        shaper.write(picture, np.zeros(shaper.shape, np.uint8), other)
    place = np.full(shaper.shape, UNTOUCHED, np.uint8)
    shaper.write(picture, place, mask)
    drawn = shaper._masked
    assert drawn is None or not layout.planes(drawn)[0].any()  # nothing of the frame stays behind
    return place


def hidden(mask: Mask, form: OutputFormat, shape: tuple[int, ...]) -> np.ndarray:
    """Which of the pixels of a form that is not shrunk are of a fixed place."""
    assert mask.fixed is not None
    left, top, *_ = form.crop or (0.0, 0.0)
    top, left = int(top * mask.height) // 2 * 2, int(left * mask.width) // 2 * 2
    fixed = np.kron(mask.fixed == FILLED, np.ones((BLOCK_PX, BLOCK_PX), np.bool_))
    part: np.ndarray = fixed[top : top + shape[0], left : left + shape[1]]
    return part


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(masks(people=3), forms, st.sampled_from(Layout))
def test_a_form_shows_what_the_masked_picture_shows(
    mask: Mask, form: OutputFormat, layout: Layout
) -> None:
    """After a frame of another fixed mask every byte is written, so the two are equal."""
    picture = speckled(mask, layout)
    masked = np.zeros_like(picture)
    mask.copy(picture, masked, layout)
    plain = nothing(mask.height, mask.width)

    place = shaped(form, layout, mask, picture, mask, plain)

    assert np.array_equal(place, shaped(form, layout, plain, masked))


@pytest.mark.slow
@pytest.mark.parametrize("layout", Layout)
@settings(max_examples=40, deadline=None)
@given(masks(people=0), st.none() | shares, st.booleans())
def test_a_fixed_place_is_never_written_and_the_rest_is_as_without_a_mask(
    layout: Layout, mask: Mask, crop: tuple[float, float, float, float] | None, grey: bool
) -> None:
    form, picture = OutputFormat(crop, grey), speckled(mask, layout)

    place = shaped(form, layout, mask, picture, mask)

    fixed = hidden(mask, form, place.shape)
    plain = shaped(form, layout, nothing(mask.height, mask.width), picture)
    if grey or layout is not Layout.I420:
        assert (place[fixed] == UNTOUCHED).all()
    assert set(place[fixed].ravel().tolist()) <= {UNTOUCHED, 0}
    assert np.array_equal(place[~fixed], plain[~fixed])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(sequences(people=2, count=3), forms, st.sampled_from(Layout))
def test_what_a_frame_before_left_in_the_place_is_gone(
    made: list[Mask], form: OutputFormat, layout: Layout
) -> None:
    """Only the fixed places, which no frame wrote clear, stay as they are."""
    first, picture = made[0], speckled(made[0], layout)
    shaper = Shaper(form, layout, first.height, first.width)
    place = np.zeros(shaper.shape, np.uint8)

    for mask in made:
        shaper.write(picture, place, mask)

        masked = np.zeros_like(picture)
        mask.copy(picture, masked, layout)
        expected = shaped(form, layout, nothing(first.height, first.width), masked)
        differs = place != expected
        if form.shrink == 1:
            fixed = hidden(mask, form, place.shape)
            assert not differs[~fixed].any()
        assert place[differs].max(initial=0) == 0
