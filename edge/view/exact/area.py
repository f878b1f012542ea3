"""A smaller picture, each pixel the mean of its area, rounded alike on every processor.

OpenCV adds the parts of pixels as floats: where a mean lies halfway between two levels, ARM and
x86-64 round it differently, and a view enrolled on one has other pairs than on the other. Whole
numbers have no such doubt: every part is counted in as many parts as the picture is cut into.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def shrunk(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture at a smaller size; what lies halfway is rounded up.

    Args:
        picture: uint8 of any channels, with sides of 8192 pixels or less.
        size: width and height in pixels. Where the picture is smaller, OpenCV interpolates.
    """
    (wide, high), (rows, columns) = size, picture.shape[:2]
    even = rows % high == 0 and columns % wide == 0  # OpenCV has whole numbers, too
    if even or rows < high or columns < wide:
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    down = _down(picture.reshape(rows, -1), high).reshape(high, columns, -1)
    sums = _across(down, wide)  # each `high` * `wide` times too much
    whole = rows * columns
    means = (2 * sums + whole) // (2 * whole)
    return np.asarray(means.reshape((high, wide, *picture.shape[2:])), np.uint8)


def _borders(length: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each of so many equal parts begins, and the last ends: the pixel, and parts of it."""
    return np.divmod(np.arange(count + 1) * length, count)


def _down(rows: NDArray[np.uint8], count: int) -> NDArray[np.int32]:
    """The sums of equal parts of each column, times their number."""
    at, part = _borders(len(rows), count)
    sums = np.empty((count, rows.shape[1]), np.int32)
    for number in range(count):
        band = rows[at[number] : at[number + 1]]
        cv2.reduce(band, 0, cv2.REDUCE_SUM, dst=sums[number : number + 1], dtype=cv2.CV_32S)
    broken = rows.take(np.minimum(at, len(rows) - 1), axis=0) * part[:, None].astype(np.int32)
    return np.asarray(sums * count + broken[1:] - broken[:-1], np.int32)


def _across(rows: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """The sums of equal parts of each row, of any channels, times their number."""
    high, length, channels = rows.shape
    at, part = _borders(length, count)
    table = np.zeros((high, length + 1, channels), np.int64)
    np.cumsum(rows, axis=1, out=table[:, 1:])
    before, after = table.take(at, 1), table.take(np.minimum(at + 1, length), 1)
    return np.diff(before * count + (after - before) * part[None, :, None], axis=1)
