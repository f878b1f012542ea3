"""What changed between two pictures beyond light and a small shift of the whole.

The change of a pixel is explained by a gain and an offset of the light and by a
shift along the picture's gradients (Lucas and Kanade 1981, for all pixels at once),
fitted by least squares to some of the pixels that follow it. What is left is movement and noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.clock import S
from edge.view.box import Box
from edge.view.exact.area import shrunk
from edge.view.exact.order import median

SAME_NS = 1 * S  # a look is trusted so long at most
SAME_LEVELS = 2.0  # mean change of a cell, in grey levels; the noise of a webcam leaves 0.6
_SMALL_PX, _CELLS = (160, 96), (20, 12)  # width and height
_LIGHT_GAIN, _LIGHT_OFFSET = 0.2, 20.0  # of light, more is looked at; offset in grey levels
_MARGIN = 1.0  # steps of a window around what changed: a tenth of the width
_WORTHWHILE = 0.85  # of the picture; what is nearly all of it is looked at as a whole
Levels = NDArray[np.float32]
_FITS = 2
_FITTED = 1024  # pixels, evenly spread
_RIDGE = 1e-3
_KEPT = 2.0  # times the middle residual: pixels further off do not follow the whole
_AROUND = 7  # pixels, of what is compared around a place
_LEAST = (2.0, 1.0)  # grey levels that are always near enough: first fit, later fits


def gradients(picture: Levels) -> tuple[Levels, Levels]:
    """How a picture changes from pixel to pixel, across and down, in levels a pixel."""
    return _slope(picture.T).T, _slope(picture)


def _slope(picture: Levels) -> Levels:
    """What `np.gradient` gives down the rows, to the bit, in a fifth of its time."""
    found = np.empty_like(picture)
    found[1:-1] = (picture[2:] - picture[:-2]) / np.float32(2.0)
    found[0], found[-1] = picture[1] - picture[0], picture[-1] - picture[-2]
    return found


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


def drift(
    before: NDArray[np.uint8], now: NDArray[np.uint8], places: Levels
) -> tuple[Levels, Levels]:
    """By how many pixels the surroundings of some places moved: as it seems, and at most.

    The former is one step along the gradients, an offset of the light taken out; it is true
    within a pixel. The latter is the shift that would change the surroundings by as much as
    they changed, along the way on which a shift changes them least. Noise raises it.

    Args:
        before: grey levels.
        now: of the same shape.
        places: x and y, pixels, shape (n, 2).
    """
    across, down = np.asarray(places, np.intp).T
    was, new = _surroundings(before, across, down, _AROUND + 1), _surroundings(now, across, down)
    terms = np.empty((len(was), 3, *new.shape[1:]), np.float32)  # gradients are of two pixels
    np.subtract(was[:, 1:-1, 2:], was[:, 1:-1, :-2], out=terms[:, 0])
    np.subtract(was[:, 2:, 1:-1], was[:, :-2, 1:-1], out=terms[:, 1])
    np.subtract(was[:, 1:-1, 1:-1], new, out=terms[:, 2])
    terms = terms.reshape(len(terms), 3, -1)
    terms -= terms.mean(axis=2, keepdims=True)
    products = np.einsum("nij,nkj->nik", terms, terms)
    xx, xy, x = products[:, 0].T
    _, yy, y = products[:, 1].T
    area = np.maximum(xx * yy - xy * xy, _RIDGE)
    least = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    moved = np.hypot(yy * x - xy * y, xx * y - xy * x) / area
    return 2 * moved, 2 * np.sqrt(products[:, 2, 2] / np.maximum(least, _RIDGE))


def _surroundings(
    picture: NDArray[np.uint8], across: NDArray[np.intp], down: NDArray[np.intp], far: int = _AROUND
) -> Levels:
    """The pixels up to `far` from each place, shape (n, 2 far + 1, 2 far + 1)."""
    padded = cv2.copyMakeBorder(picture, far, far, far, far, cv2.BORDER_REFLECT_101)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * far + 1, 2 * far + 1))
    return windows[down, across].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture in tenths of its width and sixths of its height, edges included."""

    left: int
    top: int
    right: int
    bottom: int

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in a picture of this size."""
        across, down = width / STEPS[0], height / STEPS[1]
        edges = self.left * across, self.top * down, self.right * across, self.bottom * down
        left, top, right, bottom = map(round, edges)
        return left, top, right, bottom

    def touches(self, box: Box, width: int, height: int) -> bool:
        """Whether a face in a picture of this size lies in it, if only by a part."""
        left, top, right, bottom = self.pixels(width, height)
        return left < box.right and box.left < right and top < box.bottom and box.top < bottom

    def holds(self, box: Box, width: int, height: int) -> bool:
        """Whether no edge of it but the picture's own cuts a face."""
        left, top, right, bottom = self.pixels(width, height)
        across = (left == 0 or box.left > left) and (right == width or box.right < right)
        return across and (top == 0 or box.top > top) and (bottom == height or box.bottom < bottom)

    @property
    def share(self) -> float:
        """Of the picture."""
        return (self.right - self.left) * (self.bottom - self.top) / (STEPS[0] * STEPS[1])


STEPS = (10, 6)  # of a window, across and down; a multiple of 32 pixels each in a detector's input
WHOLE = Window(0, 0, *STEPS)


class Changes:
    """Where a picture shows something else than when it was looked at.

    Each place is compared with the picture in which it was looked at, never with the last
    one, so that slow changes add up. Noise is averaged away, and light that rises or falls over
    the whole picture alike is no change; the smallest face that the
    detector finds is four pixels here, and one that stands out by so little that it
    changes no cell is not found either. What was looked at is trusted for a second.
    """

    def __init__(self) -> None:
        self._kept: Levels | None = None  # each place as it was looked at
        self._whole_ns = 0  # when all of the picture was
        self._now: Levels | None = None

    def where(self, frame: np.ndarray, captured_ns: int, boxes: Sequence[Box]) -> Window | None:
        """The part of a BGR frame to look at; None where nothing changed.

        Around what changed there is room for a face to be recognised by its surroundings, and
        a known face that lies in the part lies in it wholly.

        Args:
            frame: BGR uint8.
            captured_ns: when it was captured.
            boxes: the faces that were found, in pixels of the frame.
        """
        green = cv2.extractChannel(frame, 1)
        self._now = now = np.asarray(shrunk(np.asarray(green, np.uint8), _SMALL_PX), np.float32)
        if self._kept is None or captured_ns - self._whole_ns >= SAME_NS:
            return WHOLE
        changed = _by_cell(np.abs(now - _in_the_light_of(now, self._kept))) >= SAME_LEVELS
        if not changed.any():
            return None
        return _around(changed, boxes, frame.shape[1], frame.shape[0])

    def looked(self, window: Window, captured_ns: int) -> None:
        """That part of the frame last asked about was looked at."""
        assert self._now is not None
        if self._kept is None or window == WHOLE:
            self._kept, self._whole_ns = self._now, captured_ns
            return
        left, top, right, bottom = window.pixels(*_SMALL_PX)
        self._kept = self._kept.copy()
        self._kept[top:bottom, left:right] = self._now[top:bottom, left:right]


def _in_the_light_of(now: Levels, kept: Levels) -> Levels:
    """The picture `kept` under the light of `now`, as most of its cells tell; as it is if odd."""
    before, after = _by_cell(kept).ravel(), _by_cell(now).ravel()
    used = np.ones(before.size, np.bool_)
    gain, offset = 1.0, 0.0
    for _ in range(_FITS):
        apart = before[used] - before[used].mean()
        spread = float(apart @ apart)
        gain = float(apart @ after[used]) / spread if spread > _RIDGE else 1.0
        offset = float(after[used].mean()) - gain * float(before[used].mean())
        off = np.abs(after - gain * before - offset)
        used = off <= max(_LEAST[1], _KEPT * median(off))
    if abs(gain - 1.0) > _LIGHT_GAIN or abs(offset) > _LIGHT_OFFSET:
        return kept
    return np.asarray(kept * np.float32(gain) + np.float32(offset), np.float32)


def _by_cell(picture: Levels) -> Levels:
    return np.asarray(cv2.resize(picture, _CELLS, interpolation=cv2.INTER_AREA), np.float32)


def _around(changed: NDArray[np.bool_], boxes: Sequence[Box], width: int, height: int) -> Window:
    """The window around cells that changed and around the faces that it touches."""
    if width < height:  # the detector's input is turned then
        return WHOLE
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    across, down = STEPS[0] / _CELLS[0], STEPS[1] / _CELLS[1]
    edges = _with_room(
        columns[0] * across, rows[0] * down, (columns[-1] + 1) * across, (rows[-1] + 1) * down
    )
    window = None
    while window != (window := _whole_steps(*edges)):
        for box in boxes:
            if window.touches(box, width, height):
                a, b = STEPS[0] / width, STEPS[1] / height
                face = _with_room(box.left * a, box.top * b, box.right * a, box.bottom * b)
                edges = (*map(min, edges[:2], face[:2]), *map(max, edges[2:], face[2:]))
    return window if window.share <= _WORTHWHILE else WHOLE


def _with_room(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    return left - _MARGIN, top - _MARGIN, right + _MARGIN, bottom + _MARGIN


def _whole_steps(left: float, top: float, right: float, bottom: float) -> Window:
    across, down = STEPS
    least = max(0, math.floor(left)), max(0, math.floor(top))
    return Window(*least, min(across, math.ceil(right)), min(down, math.ceil(bottom)))
