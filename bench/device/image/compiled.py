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
from bench.device.console import Console
from bench.device.image.cache import Say
from edge.errors import UsageError

_PURPOSE = "compile the device's Python"
_LIMIT_S = 1200
_DONE = "device: compiled"


def compile_on(machine: machines.Machine, kernel: Path, root: Path, say: Say) -> None:
    """Start the new device once, so that Python's library and the wheels are compiled on its disk.

    Args:
        say: is given how many files are compiled, now and then.

    Raises:
        UsageError: it did not end well, or not in time.
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
        log, done = Path(scratch) / "console.log", False
        end_s = time.monotonic() + _LIMIT_S
        with Console(command, log) as console:
            while (line := console.line(end_s - time.monotonic())) is not None:
                done |= line == _DONE
                if line != _DONE:
                    say(line.replace("device: ", "root: compiled ", 1))
            ended = console.ended
        printed = log.read_text(errors="replace").splitlines()
    if not ended:
        raise UsageError(f"cannot {_PURPOSE}: no end after {_LIMIT_S} s; start it again")
    if not done:
        last = next((line.strip() for line in reversed(printed) if line.strip()), "nothing")
        raise UsageError(f"cannot {_PURPOSE}; the device's last word: {last}")
