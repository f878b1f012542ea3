"""A matcher that only records when it can read each frame in the ring.

    python -m bench.gate.matcher POOL_FD

On SIGTERM it writes rows of three 64-bit integers: capture time, time of
receipt (CLOCK_BOOTTIME nanoseconds) and sequence number.
"""

from __future__ import annotations

import signal
import sys
from array import array

from edge.clock import BootClock
from framegate_client.connection import connect


def main() -> int:
    """Receive until told to stop."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    clock = BootClock()
    rows = array("q")
    connection = connect()
    print("connected", flush=True)
    while not stop and not connection.ended:
        frame = connection.read(timeout_s=0.1, copy=False)
        if frame is not None:
            rows.extend((frame.captured_ns, clock.now_ns(), frame.sequence))
    sys.stdout.buffer.write(rows.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
