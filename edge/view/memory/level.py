"""The level of contrast: a cross-fade takes it from every block, and goes on.

Measured: own recordings keep 0.83 of the last two seconds' level and more, and a fade that is
noticed in time has less than half of the other picture in it.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from edge.clock import S
from edge.view import signs

BASELINE_NS = 2 * S
MIN_LEVEL = 0.75  # contrast of the middle block, of the last two seconds'
_BASELINE_READINGS = 3  # fewer are no level
_FALLING = 0.97  # of the reading before: it goes on falling


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
        self._levels: deque[tuple[int, NDArray[np.float64]]] = deque()  # contrast by block
        self._fell: NDArray[np.float64] | None = None  # what a fall that was noticed fell to

    def read(
        self, captured_ns: int, pairs: NDArray[np.float64], explained: NDArray[np.bool_]
    ) -> float:
        """How much of the last two seconds' contrast is left, in the middle block.

        A cross-fade takes contrast from every block, and goes on. A hand takes
        it from some, and the middle one keeps its own. A lamp or the exposure
        takes it from all, but stops at once: what it fell to becomes the level.

        Args:
            captured_ns: when the frame was captured.
            pairs: contrast of each enrolled pair, negative where its sign is wrong.
            explained: the blocks that a person covers. Whoever comes near takes contrast from
                more than half of all, so the others are judged by themselves, too, if they are
                enough: what keeps its level either way is no fade, which takes it from each.
        """
        sums = np.bincount(self._block_of_pair, pairs, signs.BLOCKS)
        now = np.asarray(sums[self._enrolled], np.float64)
        away = ~explained[self._enrolled]
        away = away if int(away.sum()) >= self._least else np.ones_like(away)
        while self._levels and self._levels[0][0] < captured_ns - BASELINE_NS:
            self._levels.popleft()
        if len(self._levels) < _BASELINE_READINGS:
            level = 1.0
        else:
            usual = np.median([known for _, known in self._levels], axis=0)
            level = max(_of(now, usual), _of(now[away], usual[away]))
        fell, self._fell = self._fell, None
        if level < MIN_LEVEL and fell is not None and _of(now, fell) >= _FALLING:
            self._levels.clear()
            level = 1.0
        elif level < MIN_LEVEL:
            self._fell = now
        repeat = 1 if self._levels or level < MIN_LEVEL else _BASELINE_READINGS
        self._levels.extend([(captured_ns, now)] * repeat)
        return level


def _of(now: NDArray[np.float64], before: NDArray[np.float64]) -> float:
    """The contrast of the middle block, as a share of what it was."""
    return float(np.median(now / np.maximum(before, 1.0)))
