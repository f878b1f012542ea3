"""A matcher that compares no faces: it only counts the frames it receives.

    python -m framegate_client.counter OUT.json

Writes `{"received": n, "captured_ns": [...], "received_ns": [...]}` when the
stream ends or on SIGTERM. Demo and tests use it to count releases at the matcher's end.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

from framegate_client.connection import connect
from framegate_client.errors import GuardError


def main() -> int:
    """Count until the stream ends."""
    out = Path(sys.argv[1])
    captured: list[int] = []
    received: list[int] = []
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    try:
        connection = connect()
        while not stopped:
            frame = connection.read(timeout_s=0.2)
            if frame is not None:
                captured.append(frame.captured_ns)
                received.append(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
            elif connection.ended:
                break
    except GuardError as err:
        print(f"counter: {err}", file=sys.stderr)
        return 2
    counts = {"received": len(captured), "captured_ns": captured, "received_ns": received}
    beside = out.with_name(f"{out.name}.new")
    beside.write_text(json.dumps(counts))
    beside.replace(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
