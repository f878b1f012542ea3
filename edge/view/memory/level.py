"""The level of contrast: a cross-fade takes it from every block, and goes on.

Measured: own recordings keep 0.83 of the last two seconds' level and more, and a fade that is
noticed in time has less than half of the other picture in it.

A lamp that goes out scales what a place shows: its contrast falls by as much as its brightness,
and by a power law (a camera's gamma) still by as much. Another picture that is mixed in brings
brightness of its own, so the contrast falls by more, or by less.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.clock import S
from edge.view import signs
from edge.view.exact.order import median, medians
from edge.view.signs import Pixels

BASELINE_NS = 2 * S
MIN_LEVEL = 0.75  # contrast of the middle block, of the last two seconds'
_BASELINE_READINGS = 3  # fewer are no level
_FALLING = 0.97  # of the reading before: it goes on falling
_BEFORE = 0.9  # of the level: what fell below `MIN_LEVEL` from here fell at once
EVEN = 0.06  # between the falls of contrast and of brightness, in the middle block: lamps and
# exposures differ by 0.04 and less, 894 mixtures with 28 other places by 0.19 and more
LEAST_LIT = 0.5  # of the level: half of another picture, be it black, takes as much

Blocks = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fall:
    """What one frame has left of the level."""

    level: float  # contrast of the middle block, as a share of the last two seconds'
    faded: bool = False  # too little
    at_once: bool = False  # the first reading with too little, and brightness fell alike: a lamp?
    stays: bool = False  # it stopped falling: this is the level from now on
    free: float = 1.0  # like `level`, of the blocks that nobody covers, be they few


@dataclass(frozen=True, slots=True)
class _Shown:
    contrast: Blocks  # by enrolled block
    light: Blocks  # likewise


@dataclass(frozen=True, slots=True)
class _Fell:
    contrast: Blocks
    at_once: bool


class Level:
    """The contrast of each enrolled block over the last two seconds."""

    def __init__(
        self, block_of_pair: NDArray[np.intp], enrolled: NDArray[np.bool_], least: int
    ) -> None:
        """Begin without a level.

        Args:
            block_of_pair: of each enrolled pair.
            enrolled: by block.
            least: blocks that are enough to judge a picture by.
        """
        self._block_of_pair, self._enrolled, self._least = block_of_pair, enrolled, least
        self._levels: deque[tuple[int, _Shown]] = deque()
        self._before = 1.0  # the last reading's level
        self._fell: _Fell | None = None  # a fall that was noticed in the last reading

    def read(
        self, captured_ns: int, pairs: Blocks, thumb: Pixels, explained: NDArray[np.bool_]
    ) -> Fall:
        """How much of the last two seconds' contrast is left, in the middle block.

        A cross-fade takes contrast from every block, and goes on. A hand takes
        it from some, and the middle one keeps its own. A lamp or the exposure
        takes it from all, but stops at once: what it fell to becomes the level.

        Args:
            captured_ns: when the frame was captured.
            pairs: contrast of each enrolled pair, negative where its sign is wrong.
            thumb: the frame's thumbnail.
            explained: the blocks that a person covers. Whoever comes near takes contrast from
                more than half of all, so the others are judged by themselves, too, if they are
                enough: what keeps its level either way is no fade, which takes it from each.
        """
        sums = np.bincount(self._block_of_pair, pairs, signs.BLOCKS)
        now = _Shown(np.asarray(sums[self._enrolled], np.float64), self._light(thumb))
        free = ~explained[self._enrolled]
        away = free if int(free.sum()) >= self._least else np.ones_like(free)
        while self._levels and self._levels[0][0] < captured_ns - BASELINE_NS:
            self._levels.popleft()
        fall = self._judged(now, away)
        if fall.faded and free.any():
            usual = medians([known.contrast for _, known in self._levels])
            fall = replace(fall, free=_of(now.contrast[free], usual[free]))
        self._before = fall.level
        if fall.stays:
            self._levels.clear()
        repeat = 1 if self._levels or fall.faded else _BASELINE_READINGS
        self._levels.extend([(captured_ns, now)] * repeat)
        return fall

    def _judged(self, now: _Shown, away: NDArray[np.bool_]) -> Fall:
        fell, self._fell = self._fell, None
        if len(self._levels) < _BASELINE_READINGS:
            return Fall(1.0)
        usual = medians([known.contrast for _, known in self._levels])
        level = max(_of(now.contrast, usual), _of(now.contrast[away], usual[away]))
        low = level < MIN_LEVEL
        if fell is None:
            lamp = low and level > LEAST_LIT and self._before >= _BEFORE
            at_once = lamp and self._even(now, usual, away)
            self._fell = _Fell(now.contrast, at_once) if low else None
            return Fall(level, faded=low, at_once=at_once)
        stopped = _of(now.contrast, fell.contrast) >= _FALLING
        if fell.at_once and not (stopped and self._even(now, usual, away)):
            self._fell = _Fell(now.contrast, at_once=False)
            return Fall(level, faded=True)  # whatever it was, no lamp
        if low and stopped:
            return Fall(1.0, stays=True)
        self._fell = _Fell(now.contrast, at_once=False) if low else None
        return Fall(level, faded=low)

    def _even(self, now: _Shown, usual: Blocks, away: NDArray[np.bool_]) -> bool:
        """Whether contrast and brightness fell alike, in the middle one of the free blocks."""
        lit = medians([known.light for _, known in self._levels])
        contrast = now.contrast[away] / np.maximum(usual[away], 1.0)
        light = now.light[away] / np.maximum(lit[away], 1.0)
        apart = np.abs(contrast - light) / np.maximum(light, 0.01)
        return median(apart) <= EVEN

    def _light(self, thumb: Pixels) -> Blocks:
        split = thumb.reshape(signs.ROWS, signs.BLOCK, signs.COLUMNS, signs.BLOCK)
        return np.asarray(split.mean(axis=(1, 3)).ravel()[self._enrolled], np.float64)


def _of(now: Blocks, before: Blocks) -> float:
    """The contrast of the middle block, as a share of what it was."""
    return median(now / np.maximum(before, 1.0))
