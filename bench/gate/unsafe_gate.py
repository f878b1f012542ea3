"""A lower bound: the gate process with a release that copies nothing. Unsafe; never shipped.

    python -m bench.gate.unsafe_gate < settings.json

The matcher gets the frame's offset in the capture pool and reads it there. It would
keep this mapping after the permit ends.
"""

from __future__ import annotations

import sys

import numpy as np

from edge.cameras.layout import Layout
from edge.frames import gate_process
from edge.frames.matcher_endpoint import MatcherEndpoint
from edge.frames.pool import Pool
from edge.frames.settings import PoolSize
from edge.masking.mask import Mask

_pool_at = [0]


class WatchedPool(Pool):
    """A pool that records the address of its mapping."""

    def __init__(
        self, fd: int, size: PoolSize, layout: Layout = Layout.BGR, *, writable: bool = True
    ) -> None:
        super().__init__(fd, size, layout, writable=writable)
        _pool_at[0] = self.frame(0, 1, 1).ctypes.data


class OffsetEndpoint(MatcherEndpoint):
    """An endpoint that sends offsets: `epoch` holds the frame's offset in the pool."""

    def stage(self, frame: np.ndarray, mask: Mask) -> int:
        slot, self._staged = self._ring.place(frame.shape)
        return slot

    def publish(self, slot: int, frame: np.ndarray, captured_ns: int, epoch: int) -> int:
        offset = frame.__array_interface__["data"][0] - _pool_at[0]
        return super().publish(slot, frame, captured_ns, max(offset, 0))  # warmed up: of no pool


if __name__ == "__main__":
    gate_process.Pool = WatchedPool  # type: ignore[misc]
    gate_process.MatcherEndpoint = OffsetEndpoint  # type: ignore[misc]
    sys.exit(gate_process.main())
