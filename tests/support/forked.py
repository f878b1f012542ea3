"""A part of a template that says what it is, once it is configured."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> int:
    """Say it where standard input says; what that says too is the exit code."""
    code, where = json.loads(sys.stdin.read() or "[0, 1]")
    names = os.listdir("/proc/self/fd")  # one of them is the folder's, and gone by now
    found = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "command": Path("/proc/self/cmdline").read_text().rstrip("\0").split("\0"),
        "fds": sorted(int(name) for name in names if os.path.lexists(f"/proc/self/fd/{name}")),
        "shared": "tests.support.render" in sys.modules,
    }
    os.write(where, json.dumps(found).encode())
    return int(code)
