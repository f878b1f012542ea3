"""The soak's matcher: counts received frames in a file that survives a SIGKILL.

    python soak_matcher.py FOLDER [MIB]

It holds MIB of memory, as a model would. Each start writes one file of sixteen bytes:
the number of frames received, and of frames that the ring overwrote before they were
read. Imports nothing but the client library, so that it runs in the sandbox as any
matcher would.
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

from edge import connect


def main() -> int:
    """Count until the stream ends."""
    counts = os.open(Path(sys.argv[1]) / f"{os.getpid()}", os.O_RDWR | os.O_CREAT, 0o644)
    held = bytearray(b"x") * (int(sys.argv[2]) << 20 if len(sys.argv) > 2 else 0)
    missed = 0
    last = None
    for received, frame in enumerate(connect(), 1):
        missed += 0 if last is None else frame.sequence - last - 1
        last = frame.sequence
        os.pwrite(counts, struct.pack("QQ", received, missed), 0)
    del held
    return 0


def totals(folder: Path) -> tuple[int, int]:
    """(received, missed) over all starts."""
    files = [path.read_bytes() for path in folder.iterdir() if path.stat().st_size == 16]
    pairs = [struct.unpack("QQ", data) for data in files]
    return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)


if __name__ == "__main__":
    sys.exit(main())
