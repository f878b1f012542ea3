"""A smaller picture is the mean of each area, to the last level, on every processor."""

from __future__ import annotations

import ast
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.view.exact.area import shrunk

_EDGE = Path(__file__).resolve().parents[2] / "edge"
_FLOATS = {"bodies.py", "residual.py"}  # they shrink floats, which no processor rounds to a level
_SIDE = st.integers(1, 24)


def _shares(length: int, count: int) -> list[list[tuple[int, Fraction]]]:
    """For each of `count` parts of a line, the pixels in it and how much of each."""
    parts = []
    for number in range(count):
        low, high = Fraction(number * length, count), Fraction((number + 1) * length, count)
        parts.append(
            [(i, min(high, i + 1) - max(low, i)) for i in range(int(low), -int(-high // 1))]
        )
    return parts


def _by_hand(picture: np.ndarray, wide: int, high: int) -> np.ndarray:
    rows, columns = _shares(picture.shape[0], high), _shares(picture.shape[1], wide)
    area = Fraction(picture.size, wide * high)
    means = [
        [
            sum(int(picture[y, x]) * a * b for y, a in row for x, b in column) / area
            for column in columns
        ]
        for row in rows
    ]
    return np.array([[int(mean + Fraction(1, 2)) for mean in row] for row in means], np.uint8)


@given(_SIDE, _SIDE, _SIDE, _SIDE, st.integers(0, 2**32 - 1))
def test_each_pixel_is_the_mean_of_its_area_and_a_half_is_rounded_up(
    rows: int, columns: int, high: int, wide: int, seed: int
) -> None:
    high, wide = min(high, rows), min(wide, columns)
    few = np.random.default_rng(seed).integers(0, 3, (rows, columns)).astype(np.uint8)
    if rows % high or columns % wide:  # otherwise it is OpenCV's
        np.testing.assert_array_equal(shrunk(few, (wide, high)), _by_hand(few, wide, high))


@pytest.mark.parametrize(
    "shape", [(360, 640, 3), (480, 640, 3), (1080, 1920), (400, 600), (144, 176)]
)
def test_it_is_what_opencv_finds_but_for_a_half(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)

    for size in ((64, 48), (160, 96), (160, 120)):
        theirs = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        apart = cv2.absdiff(shrunk(picture, size), theirs)
        assert int(apart.max()) <= 1 and float((apart > 0).mean()) < 0.01


def test_the_largest_picture_has_room_in_the_sums() -> None:
    white = np.full((8192, 8191), 255, np.uint8)

    assert (shrunk(white, (64, 48)) == 255).all()


def test_each_channel_and_what_lies_apart_in_memory_is_shrunk_by_itself() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (400, 600, 3), dtype=np.uint8)

    alone = [shrunk(np.ascontiguousarray(picture[..., i]), (64, 48)) for i in range(3)]
    np.testing.assert_array_equal(shrunk(picture, (64, 48)), np.stack(alone, axis=-1))
    np.testing.assert_array_equal(shrunk(picture[..., 1], (64, 48)), alone[1])


def test_a_smaller_picture_is_interpolated() -> None:
    ramp = np.repeat(np.arange(0, 176, dtype=np.uint8)[None], 144, axis=0)

    assert len(np.unique(shrunk(ramp, (320, 262)))) > 170


def _interpolations(path: Path) -> list[str]:
    """What each call of `cv2.resize` in a file names, or that it names nothing."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "cv2.resize"
    ]
    named = [{word.arg: ast.unparse(word.value) for word in call.keywords} for call in calls]
    return [words.get("interpolation", "none") for words in named]


def test_what_decides_is_resized_by_whole_numbers() -> None:
    """OpenCV rounds its usual interpolation, and means of broken areas, otherwise on ARM."""
    exact = {"cv2.INTER_LINEAR_EXACT", "cv2.INTER_NEAREST", "exact"}
    paths = [*(_EDGE / "view").rglob("*.py"), *(_EDGE / "evidence").rglob("*.py")]
    found = {path.name: _interpolations(path) for path in paths if path.name != "area.py"}

    assert sum(map(len, found.values())) > 5
    for name, words in found.items():
        allowed = exact | {"cv2.INTER_AREA"} if name in _FLOATS else exact
        assert set(words) <= allowed, name
