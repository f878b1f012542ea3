"""The one way a frame leaves: copy, look at the lease again, publish.

`Releaser.drain` holds the only call of `publish` in the product; a test counts
it. Frames that may no longer be released are wiped where they lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from edge.clock import Clock
from edge.frames.gate import Blocked, Gate, Pending, Verdict
from edge.masking.mask import Mask
from edge.reasons import Reason


class MatcherEndpoint(Protocol):
    """Where released frames go; see `edge.frames.matcher_endpoint.MatcherEndpoint`."""

    @property
    def listening(self) -> bool:
        """Whether there is a matcher to release to."""

    def stage(self, frame: np.ndarray, mask: Mask) -> int:
        """Copy the frame in through its mask, unseen; returns where."""

    def publish(self, slot: int, frame: np.ndarray, captured_ns: int, epoch: int) -> int:
        """Show the staged frame to the reader."""

    def wipe(self) -> None:
        """Erase everything staged or published."""


class Releaser:
    """Moves frames that pass from the gate's FIFO to the endpoint."""

    def __init__(
        self,
        gate: Gate,
        endpoint: MatcherEndpoint,
        clock: Clock,
        pixels: Callable[[Pending], np.ndarray],
        released: Callable[[Pending], None],
        blocked: Callable[[Blocked], None],
        masks: Callable[[int, int], Mask | None],
    ) -> None:
        """`pixels` finds a waiting frame's picture; the others are told its verdict.

        `masks` tells by capture time and the time now what a frame leaves through, or None while
        it has to wait for that.
        """
        self._gate = gate
        self._endpoint = endpoint
        self._now_ns = clock.now_ns  # asked twice a frame: found once
        self._pixels = pixels
        self._released = released
        self._blocked = blocked
        self._masks = masks

    def drain(self) -> int:
        """Release every waiting frame that passes now, oldest first; returns how many."""
        count = 0
        while (frame := self._gate.head(self._now_ns())) is not None:
            if not self._endpoint.listening:
                self._blocked(Blocked(self._gate.take(), Reason.MATCHER_LOST))
                continue
            mask = self._masks(frame.captured_ns, self._now_ns())
            if mask is None:
                return count  # the places of people in it are not known yet; later frames wait, too
            picture = self._pixels(frame)
            slot = self._endpoint.stage(picture, mask)
            if self._gate.check(frame, self._now_ns()) is not Verdict.PASS:
                self._endpoint.wipe()  # the lease ran out during the copy
                return count
            self._endpoint.publish(slot, picture, frame.captured_ns, self._gate.epoch)
            self._gate.take()
            self._released(frame)
            count += 1
        return count
