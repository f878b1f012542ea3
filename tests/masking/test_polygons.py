"""Fixed masks: what is drawn is filled, all of it, and what makes no sense is said in one line."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.masking import blocks, polygons
from edge.masking.blocks import BLOCK_PX, FILLED

SQUARE = ((0.25, 0.25), (0.5, 0.25), (0.5, 0.5), (0.25, 0.5))
share = st.floats(0, 1)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(share, share), min_size=3, max_size=6).map(tuple),
    st.integers(32, 700),
    st.integers(32, 700),
)
def test_every_pixel_that_was_drawn_is_filled(
    polygon: polygons.Polygon, height: int, width: int
) -> None:
    found = polygons.levels([polygon], height, width)

    drawn = np.zeros((height, width), np.uint8)
    corners = np.rint(np.array(polygon) * (width - 1, height - 1)).astype(np.int32)
    cv2.fillPoly(drawn, [corners], 1)
    filled = np.kron(found, np.ones((BLOCK_PX, BLOCK_PX), np.uint8))[:height, :width]
    inside = cv2.erode(drawn, np.ones((3, 3), np.uint8))
    assert (filled[inside == 1] == FILLED).all()
    assert found.shape == blocks.grid(height, width)


def test_the_twin_what_lies_outside_stays_clear() -> None:
    found = polygons.levels([SQUARE], 480, 640)

    assert found[0, 0] == 0
    assert found[-1, -1] == 0
    assert found[10, 15] == FILLED
    assert 0.0625 <= (found == FILLED).mean() < 0.1


def test_a_slanting_edge_costs_few_pieces() -> None:
    for height, width in ((480, 640), (720, 1280), (1080, 1920)):
        found = polygons.levels([((0.1, 0.1), (0.9, 0.2), (0.5, 0.9))], height, width)
        assert len(blocks.rectangles(found)) <= 2 * polygons.PIECES


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (((0, 0), (1.2, 0), (0.5, 0.5)), "must lie in 0 to 1, got a corner at (1.2, 0)"),
        (((0, 0), (0.5, float("nan")), (0.5, 0)), "must lie in 0 to 1"),
        (((0, 0), (1, 1), (1, 0), (0, 1)), "crosses itself: its sides 1 and 3 meet"),
        (((0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)), "crosses itself"),
        (((0, 0), (0.5, 0.5), (1, 1)), "has no area"),
        (((0, 0), (1, 0)), "must have 3 to 32 corners, got 2"),
        (((0, 0), (1, 0), (1, 1), (0, 0)), "has one corner twice in a row"),
        (((0, 0), (1, 0), (0.5, 0), (0.5, 1)), "crosses itself: its sides 1 and 2 meet"),
    ],
)
def test_what_is_no_polygon_is_named(bad: polygons.Polygon, expected: str) -> None:
    assert polygons.fault([SQUARE, bad]).startswith(f" 2 {expected}")


def test_too_many_are_refused_and_good_ones_are_not() -> None:
    assert polygons.fault([SQUARE] * 16) == ""
    assert polygons.fault([SQUARE] * 17) == "s: expected at most 16, got 17"


def test_polygons_that_leave_nothing_are_found() -> None:
    whole = ((0, 0), (1, 0), (1, 1), (0, 1))
    halves = (((0, 0), (1, 0), (1, 0.5), (0, 0.5)), ((0, 0.5), (1, 0.5), (1, 1), (0, 1)))

    assert polygons.covers_all([whole])
    assert polygons.covers_all(halves)
    assert not polygons.covers_all(halves[:1])
    assert not polygons.covers_all([])
