"""The matcher of `bench.gate.unsafe_gate`: reads frames directly in the capture pool.

python -m bench.gate.unsafe_matcher POOL_FD
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
from array import array

import numpy as np

from edge.clock import BootClock
from framegate_client import ring
from framegate_client.connection import connect


class IndexReader(ring.RingReader):
    """Finds the offset of the next frame; copies nothing."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        pool_fd = int(sys.argv[1])
        self._pool = np.frombuffer(
            mmap.mmap(pool_fd, os.fstat(pool_fd).st_size, prot=mmap.PROT_READ), np.uint8
        )

    def next(self, *, copy: bool = True) -> tuple[ring.Slot, np.ndarray] | None:
        (newest,) = ring.NEWEST.unpack_from(self._map, ring.NEWEST_AT)
        if self._next > newest:
            return None
        at = ring.HEADER_BYTES + (self._next - 1) % self.slots * self._stride
        slot = ring.Slot(*ring.SLOT.unpack_from(self._map, at))
        self._next += 1
        pixels = self._pool[slot.epoch : slot.epoch + slot.size]
        return slot, pixels.reshape(slot.height, slot.width, 3)


def main() -> int:
    """Receive until told to stop."""
    from framegate_client import connection as client

    client.RingReader = IndexReader  # type: ignore[misc]
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    clock = BootClock()
    rows = array("q")
    connection = connect()
    print("connected", flush=True)
    while not stop and not connection.ended:
        frame = connection.read(timeout_s=0.1)
        if frame is not None:
            rows.extend((frame.captured_ns, clock.now_ns(), frame.sequence))
    sys.stdout.buffer.write(rows.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
