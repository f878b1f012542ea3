"""A running emulator and what it prints on its console."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from edge.isolation import environment

_PREFIX = b"device: "


class Console:
    """QEMU in a process of its own; all of the console goes to `log`.

    Used in a `with`, at whose end the emulator is killed: to the device, a power cut.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.ended = False
        self._log = log.open("ab")
        self._waiting = b""
        self._lines: list[str] = []
        prctl = ctypes.CDLL(None).prctl

        def end_with_parent() -> None:  # a test that is killed leaves no emulator
            prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG

        self._process = subprocess.Popen(
            command,
            preexec_fn=end_with_parent,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def line(self, within_s: float) -> str | None:
        """The device's next line of its own; None at its end, or if none comes in this time."""
        end_s = time.monotonic() + within_s
        while not self._lines and not self.ended:
            left_s = end_s - time.monotonic()
            if left_s <= 0 or not self._wait(left_s):
                return None
        return self._lines.pop(0) if self._lines else None

    def kill(self) -> list[str]:
        """End the emulator at once; the lines that it had printed and nobody has read."""
        if self._log.closed:
            return []
        self._process.kill()
        while not self.ended:
            self._wait(1.0)
        self._process.wait()
        self._log.close()
        left, self._lines = self._lines, []
        return left

    def _wait(self, within_s: float) -> bool:
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        if not select.select([out], [], [], within_s)[0]:
            return False
        data = os.read(out, 65536)
        self.ended = not data
        self._log.write(data)
        self._log.flush()
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        self._lines += [
            line.strip().decode(errors="replace")
            for line in lines
            if line.strip().startswith(_PREFIX)
        ]
        return True
