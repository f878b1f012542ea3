"""Fixed masks: polygons of the signed record, as shares of the picture.

A neighbour's window, a screen, a keypad: never released in any lane. Corners
are (x, y) from 0 to 1. Whole blocks are filled, every one that a polygon
touches; a slanting edge takes larger steps where small ones would cost too
many pieces. So what is filled is never less than what was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a record without polygons needs no drawing
    from edge.masking.blocks import Levels

Point = tuple[float, float]
Polygon = tuple[Point, ...]
MOST = 16  # polygons of one record
CORNERS = (3, 32)
FINE = 1 << 12  # steps a pixel that corners are rounded to, before they are drawn
PIECES = 24  # rectangles that the copy is cut into at most, where coarser steps can do it
_STEPS = (1, 2, 4)  # blocks


@dataclass(frozen=True, slots=True)
class MaskRules:
    """The `[mask]` table of the device record."""

    polygons: tuple[Polygon, ...] = ()  # never released, in no lane
    bodies: bool = False  # where people are masked, all of each person


def fault(polygons: Sequence[Polygon]) -> str:
    """What is wrong with the polygons, in words that follow "polygon"; empty if nothing is."""
    if len(polygons) > MOST:
        return f"s: expected at most {MOST}, got {len(polygons)}"
    for number, polygon in enumerate(polygons, 1):
        few, many = CORNERS
        if not few <= len(polygon) <= many:
            return f" {number} must have {few} to {many} corners, got {len(polygon)}"
        for x, y in polygon:
            if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
                return f" {number} must lie in 0 to 1, got a corner at ({x:g}, {y:g})"
        ahead = (*polygon[1:], polygon[0])
        if any(one == other for one, other in zip(polygon, ahead, strict=True)):
            return (
                f" {number} has one corner twice in a row; the last one joins the first by itself"
            )
        if all(map(_straight, polygon, ahead, (*polygon[2:], *polygon[:2]))):
            return f" {number} has no area: its corners lie on one line"
        if (crossing := _crossing(polygon)) is not None:
            one, other = crossing
            return f" {number} crosses itself: its sides {one} and {other} meet"
    return ""


def read_polygons(value: object) -> tuple[Polygon, ...]:
    """The polygons that a record holds: a list of lists of [x, y].

    Raises:
        ValueError: they are none, or leave nothing to see; says what was expected and came.
    """
    if not isinstance(value, list) or not all(map(_corners, value)):
        raise ValueError(
            "expected a list of polygons, each a list of corners [x, y] from 0 to 1, "
            f"got {value!r:.100}"
        )
    found = tuple(tuple((float(x), float(y)) for x, y in corners) for corners in value)
    if wrong := fault(found):
        raise ValueError(f"polygon{wrong}")
    if covers_all(found):
        raise ValueError("the polygons cover the whole picture: expected some of it left to see")
    return found


def _corners(value: object) -> bool:
    """Whether this is a list of pairs of numbers."""
    return isinstance(value, list) and all(
        isinstance(corner, list)
        and len(corner) == 2
        and all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in corner)
        for corner in value
    )


def levels(polygons: Sequence[Polygon], height: int, width: int) -> Levels:
    """The block map of a picture of this size in pixels: filled or clear."""
    import cv2
    import numpy as np

    from edge.masking import blocks
    from edge.masking.blocks import BLOCK_PX, FILLED

    rows, columns = blocks.grid(height, width)
    drawn = np.zeros((rows * BLOCK_PX, columns * BLOCK_PX), np.uint8)
    for polygon in polygons:
        corners = np.rint(np.array(polygon) * (width, height) * FINE).astype(np.int32)
        cv2.fillPoly(drawn, [corners], 1, shift=12)
        cv2.polylines(drawn, [corners], True, 1, thickness=2, shift=12)
    touched = drawn.reshape(rows, BLOCK_PX, columns, BLOCK_PX).any(axis=(1, 3))
    found = np.where(touched, np.uint8(FILLED), np.uint8(blocks.CLEAR))
    for step in _STEPS:
        coarse = blocks.coarser(found, step)
        if len(blocks.rectangles(coarse)) <= PIECES:
            break
    return coarse


def covers_all(polygons: Sequence[Polygon], height: int = 480, width: int = 640) -> bool:
    """Whether no block of a picture of this size stays clear."""
    return bool(polygons) and bool(levels(polygons, height, width).all())


def _crossing(polygon: Polygon) -> tuple[int, int] | None:
    """The first two sides, from 1, that meet although they are no neighbours."""
    count = len(polygon)
    sides = [(polygon[i], polygon[(i + 1) % count]) for i in range(count)]
    for i, one in enumerate(sides):
        for j in range(i + 1, count):
            neighbours = j == i + 1 or (i == 0 and j == count - 1)
            if _folds(one, sides[j]) if neighbours else _meet(*one, *sides[j]):
                return i + 1, j + 1
    return None


def _folds(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    """Whether two sides with a common corner lie upon each other."""
    shared = one[1] if one[1] == other[0] else one[0]
    a = one[0] if one[1] == shared else one[1]
    b = other[1] if other[0] == shared else other[0]
    ahead = (a[0] - shared[0]) * (b[0] - shared[0]) + (a[1] - shared[1]) * (b[1] - shared[1])
    return _turn(a, shared, b) == 0.0 and ahead >= 0.0


def _straight(a: Point, b: Point, c: Point) -> bool:
    return _turn(a, b, c) == 0.0


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the lines from a to b and from c to d have a point in common."""
    one, two, three, four = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if (one > 0) != (two > 0) and (three > 0) != (four > 0) and 0.0 not in (one, two, three, four):
        return True
    on = ((one, a, b, c), (two, a, b, d), (three, c, d, a), (four, c, d, b))
    return any(turn == 0.0 and _between(p, q, r) for turn, p, q, r in on)


def _between(a: Point, b: Point, c: Point) -> bool:
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])
