"""The one way a frame leaves: copy, look at the lease again, publish.

`Releaser.drain` holds the only call of `publish` in the product; a test counts
it. Frames that may no longer be released are wiped where they lie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Releaser:
    """Moves frames that pass from the gate's FIFO to the endpoint."""

    gate: Gate
    endpoint: MatcherEndpoint
    clock: Clock
    pixels: Callable[[Pending], np.ndarray]  # finds a waiting frame's picture
    released: Callable[[Pending], None]  # is told the verdict, as is the next
    blocked: Callable[[Blocked], None]
    masks: Callable[[int, int], Mask | None]  # what a frame leaves through, by its capture and
    # the time now; None while it has to wait for that

    def drain(self) -> int:
        """Release every waiting frame that passes now, oldest first; returns how many."""
        count, now_ns = 0, self.clock.now_ns  # asked twice a frame: found once
        while (frame := self.gate.head(now_ns())) is not None:
            if not self.endpoint.listening:
                self.blocked(Blocked(self.gate.take(), Reason.MATCHER_LOST))
                continue
            mask = self.masks(frame.captured_ns, now_ns())
            if mask is None:
                return count  # the places of people in it are not known yet; later frames wait, too
            picture = self.pixels(frame)
            slot = self.endpoint.stage(picture, mask)
            if self.gate.check(frame, now_ns()) is not Verdict.PASS:
                self.endpoint.wipe()  # the lease ran out during the copy
                return count
            self.endpoint.publish(slot, picture, frame.captured_ns, self.gate.epoch)
            self.gate.take()
            self.released(frame)
            count += 1
        return count
