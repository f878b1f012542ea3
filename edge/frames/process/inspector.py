"""Runs the sentinel on a frame in the pool and returns what the gate needs of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.frames.gate import Pending
from edge.frames.messages import Captured
from edge.frames.pool import Pool
from edge.frames.sentinel import Sentinel
from edge.lease import Lease
from edge.view.signs import ALL_BLOCKS

_NO_PICTURE = np.zeros((0, 0, 3), np.uint8)


@dataclass(slots=True)
class Inspector:
    """Looks at one frame at a time."""

    sentinel: Sentinel
    pool: Pool
    size: tuple[int, int]  # height and width that the ring was made for, in pixels
    scored: bool  # whether the enrolled view counts; lanes without one score 1
    anchor: int = ALL_BLOCKS  # the blocks of the view to compare while no lease names them

    def look(self, shot: Captured, lease: Lease | None) -> tuple[Pending, bool]:
        """The frame as the gate takes it, and whether it is a picture at all."""
        fits = (shot.height, shot.width) == self.size
        picture = self.pool.frame(shot.slot, *self.size) if fits else _NO_PICTURE
        seen = self.sentinel.glance(picture, self.anchor if lease is None else lease.seen_blocks)
        score = 0.0 if seen is None else seen if self.scored else 1.0
        repeat = self.sentinel.repeat
        size = picture.nbytes
        frame = Pending(shot.sequence, shot.captured_ns, score, shot.slot, size, repeat)
        return frame, seen is not None
