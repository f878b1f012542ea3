"""A smaller picture, each pixel the mean of its area, rounded alike on every processor.

OpenCV adds the parts of pixels as floats: where a mean lies halfway between two levels, ARM and
x86-64 round it differently, and a view enrolled on one has other pairs than on the other. Whole
numbers have no such doubt. The sum over an area with broken borders is read off the summed-area
table (Crow 1984) between its places, for within a pixel the sum grows evenly.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_MOST_INT32 = 2**31 // 255  # pixels whose sum has room in OpenCV's table of 32 bits


def shrunk(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture at a smaller size; what lies halfway is rounded up.

    Args:
        picture: uint8 of any channels.
        size: width and height in pixels. Where the picture is smaller, OpenCV interpolates.
    """
    (wide, high), (rows, columns) = size, picture.shape[:2]
    even = rows % high == 0 and columns % wide == 0  # OpenCV has whole numbers, too
    if even or rows < high or columns < wide:
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    depth = cv2.CV_32S if rows * columns < _MOST_INT32 else cv2.CV_64F
    table = cv2.integral(picture, sdepth=depth)
    sums = _at_borders(_at_borders(table, high, 0), wide, 1)
    areas = np.diff(np.diff(sums, axis=0), axis=1)  # each `high` * `wide` times too much
    whole = rows * columns
    return np.asarray((2 * areas + whole) // (2 * whole), np.uint8)


def _at_borders(table: NDArray[Any], count: int, axis: int) -> NDArray[np.int64]:
    """The table at the borders of so many equal parts along an axis, times their number."""
    length = table.shape[axis] - 1
    at, part = np.divmod(np.arange(count + 1) * length, count)
    before = table.take(at, axis).astype(np.int64)
    after = table.take(np.minimum(at + 1, length), axis).astype(np.int64)
    shape = [-1 if number == axis else 1 for number in range(table.ndim)]
    return np.asarray(before * count + (after - before) * part.reshape(shape), np.int64)
