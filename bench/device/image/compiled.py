"""Compiles Python's library and the wheels on a device's new disk, in the device itself.

A compiled module is only valid for the Python that made it, and this host may have another. A
package manager compiles when it installs; here packages are unpacked, and without this step every
start would compile again what it imports.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.device import machines
from bench.device.image.tools import run
from edge.errors import UsageError
from edge.isolation import cleaned

_PURPOSE = "compile the device's Python"


def compile_on(machine: machines.Machine, kernel: Path, root: Path) -> None:
    """Start the new device once, so that Python's library and the wheels are compiled on its disk.

    Raises:
        UsageError: it did not end well.
    """
    with tempfile.TemporaryDirectory(prefix="framegate-device-") as scratch:
        blanks = [Path(scratch) / name for name in ("payload.tar", "results.tar")]
        for blank in blanks:
            blank.write_bytes(bytes(512))
        places = (kernel / "vmlinuz", kernel / "initrd", root, *blanks)
        command = machines.command(
            machine,
            machines.Drives(*map(str, places)),
            host_cores=len(os.sched_getaffinity(0)),
            now_s=int(time.time()),
            start=machines.Start(words=("fgcompile",), keeps=True),
        )
        printed = run(command, _PURPOSE, cleaned(os.environ))
    lines = [line for line in printed.splitlines() if line.strip()] or ["nothing"]
    if "device: compiled" not in lines:
        raise UsageError(f"cannot {_PURPOSE}; the device's last word: {lines[-1].strip()}")
