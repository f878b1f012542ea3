"""Repetition: finds movement that was seen before, even if it is not the same bit for bit.

Each reading is reduced to how much each of 16x12 cells changed since half a second
ago beyond light and shift: movement alone, no picture, nothing anybody could look
at. Two seconds of it are compared with every two seconds of the last two minutes.
Noise, another compression, another light and an overlay change little of that.
People never move twice alike. What comes again within a second has the rhythm of a
machine, and is no loop. Times are nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from edge.clock import MS, S
from edge.evidence.residual import Levels, explained, gradients

STEP_NS = 500 * MS  # of movement that one reading tells
READINGS = 10  # in a row that must agree: two seconds
MEMORY = 600  # readings: two minutes
LEAST_LAG = 5  # readings: a second
ALIKE = 0.9  # correlation; of 35 recordings one reaches it, whose street does come again
MOVING_LEVELS, MOVING_CELLS = 1.0, 0.1  # how much must move to be recognised
HOLDS_NS = 120 * S  # that a loop which was found is remembered
MAX_GAP_NS = 1 * S
_CELLS = (12, 4, 16, 4)  # the 64x48 picture in cells of 4x4
_CELL_COUNT = 16 * 12
_TINY = 1e-6
_RHYTHM = 2  # readings: what comes again so soon is no loop
_MOST_LEVELS = 20.0  # of a movement that count: a flashing overlay does not outweigh a person
_LAGS = np.arange(MEMORY)


class Repetition:
    """Remembers how one camera's picture moved."""

    def __init__(self) -> None:
        self._pictures: deque[tuple[int, Levels]] = deque()
        self._past = np.zeros((MEMORY, _CELL_COUNT), np.float32)  # a ring of movements
        self._energy = np.zeros(MEMORY, np.float32)  # of the `READINGS` up to each
        self._count = 0
        self._products: deque[NDArray[np.float32]] = deque(maxlen=READINGS)  # by lag in readings
        self._found_ns: int | None = None

    def seen_before(self, picture: Levels, captured_ns: int) -> bool:
        """Whether a loop was found within the memory.

        Args:
            picture: grey levels, (48, 64), each pixel a mean.
            captured_ns: when it was captured; pictures come in order.
        """
        if self._pictures and captured_ns - self._pictures[-1][0] > MAX_GAP_NS:
            self._forget()
        self._pictures.append((captured_ns, picture))
        while len(self._pictures) > 1 and self._pictures[1][0] <= captured_ns - STEP_NS:
            self._pictures.popleft()
        then_ns, before = self._pictures[0]
        if captured_ns - then_ns >= STEP_NS:
            moved = explained(before, picture, *gradients(before))[0]
            if self._repeats(moved.reshape(_CELLS).mean(axis=(1, 3)).ravel()):
                self._found_ns = captured_ns
        return self._found_ns is not None and captured_ns - self._found_ns < HOLDS_NS

    def _repeats(self, moved: NDArray[np.float32]) -> bool:
        """Take one reading's movement; whether the last ones came before."""
        place = self._count % MEMORY
        moved = np.clip(moved, -_MOST_LEVELS, _MOST_LEVELS)
        self._past[place] = moved
        self._count += 1
        lags = (place - _LAGS) % MEMORY
        self._products.append((self._past @ moved)[lags])
        window = self._past[lags[:READINGS]]
        self._energy[place] = float((window**2).sum())
        known = min(self._count, MEMORY) - READINGS
        if known <= LEAST_LAG:
            return False
        if float((np.abs(window).max(axis=0) > MOVING_LEVELS).mean()) < MOVING_CELLS:
            return False
        scale = np.sqrt(self._energy[lags] * self._energy[place]) + _TINY
        alike = (np.sum(self._products, axis=0) / scale)[:known] >= ALIKE
        rhythm = bool(alike[_RHYTHM:LEAST_LAG].any())
        return not rhythm and bool(alike[LEAST_LAG:].any())

    def _forget(self) -> None:
        self._pictures.clear()
        self._products.clear()
        self._count = 0
