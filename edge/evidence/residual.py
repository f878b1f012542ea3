"""What changed between two pictures beyond light and a small shift of the whole.

The change of a pixel is explained by a gain and an offset of the light and by a
shift along the picture's gradients (Lucas and Kanade 1981, for all pixels at once),
fitted by least squares to some of the pixels that follow it. What is left is movement and noise.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.clock import S
from edge.view.order import median

SAME_NS = 1 * S  # a look is trusted so long at most
SAME_LEVELS = 2.0  # mean change of a cell, in grey levels; the noise of a webcam leaves 0.6
_SMALL_PX, _CELLS = (160, 96), (20, 12)  # width and height
Levels = NDArray[np.float32]
_FITS = 2
_FITTED = 1024  # pixels, evenly spread
_RIDGE = 1e-3
_KEPT = 2.0  # times the middle residual: pixels further off do not follow the whole
_LEAST = (2.0, 1.0)  # grey levels that are always near enough: first fit, later fits


def gradients(picture: Levels) -> tuple[Levels, Levels]:
    """How a picture changes from pixel to pixel, across and down, in levels a pixel."""
    down, across = np.gradient(picture)
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def explained(before: Levels, now: Levels, across: Levels, down: Levels) -> tuple[Levels, Levels]:
    """The residual of `now` and the part of its change that is explained.

    Args:
        before: grey levels, any shape.
        now: of the same shape.
        across: gradients of `before` in levels a pixel, of the same shape.
        down: likewise.
    """
    change = (now - before).ravel()
    terms = np.stack([across.ravel(), down.ravel(), before.ravel(), np.ones_like(change)], axis=1)
    every = max(1, change.size // _FITTED)
    some, seen = terms[::every], change[::every]
    near = np.abs(seen - median(seen))
    kept = near <= max(_LEAST[0], _KEPT * median(near))
    weights = np.zeros(4, np.float32)
    for _ in range(_FITS):
        used = some[kept]
        square = used.T @ used + _RIDGE * np.eye(4, dtype=np.float32)
        weights = np.linalg.solve(square, used.T @ seen[kept])
        off = np.abs(seen - some @ weights)
        kept = off <= max(_LEAST[1], _KEPT * median(off))
    fit = terms @ weights
    return (change - fit).reshape(now.shape), fit.reshape(now.shape)


class Unchanged:
    """Whether a picture still shows what a picture looked at before showed.

    Compared with the one that was looked at, never with the last one, so that slow changes
    add up. Noise is averaged away; the smallest face that the detector finds is four pixels
    here, and one that stands out by so little that it changes no cell is not found either.
    """

    def __init__(self) -> None:
        self._kept: NDArray[np.uint8] | None = None
        self._kept_ns = 0
        self._now: NDArray[np.uint8] | None = None

    def same(self, frame: np.ndarray, captured_ns: int) -> bool:
        """Whether a BGR frame shows the same; what was looked at is trusted for a second."""
        green = cv2.extractChannel(frame, 1)
        small = cv2.resize(green, _SMALL_PX, interpolation=cv2.INTER_AREA)
        self._now = np.asarray(small, np.uint8)
        if self._kept is None or captured_ns - self._kept_ns >= SAME_NS:
            return False
        cells = cv2.resize(
            cv2.absdiff(self._now, self._kept).astype(np.float32),
            _CELLS,
            interpolation=cv2.INTER_AREA,
        )
        return float(cells.max()) < SAME_LEVELS

    def looked(self, captured_ns: int) -> None:
        """The frame last asked about was looked at."""
        self._kept, self._kept_ns = self._now, captured_ns
