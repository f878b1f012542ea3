"""Test rigs: three kinds of board that a test can power, watch and disturb.

`HostRig` runs the rule as a process on a pseudo-terminal. `emulated.lm3s6965.Emulator` runs
the ARM image in QEMU and watches its pin. `PortRig` is a real board: its line is known only
from its own reports, and its sensors cannot be simulated.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Protocol

from edge.errors import BridgeError
from edge.isolation import environment
from firmware_bridge import store

Change = tuple[int, bool]  # CLOCK_BOOTTIME ns, level of the line


class Rig(Protocol):
    """A board under test."""

    name: str
    port: str
    plays_sensors: bool  # whether `bench` reaches it
    watches_line: bool  # whether `changes` are read off the line itself
    has_watchdog: bool
    changes: list[Change]  # every one of the line since the start

    def bench(self, command: str) -> None:
        """Letters of `firmware/fault_injection.h`."""

    def reset(self) -> None:
        """Reset the board."""

    def close(self) -> None:
        """Take the board away."""


class HostRig:
    """The C rule as a process of this machine."""

    name = "pty"
    plays_sensors = True
    watches_line = True
    has_watchdog = False

    def __init__(self, program: Path, root: bytes, kept: Path | None = None) -> None:
        """`kept` is a file for data that survives a power cut of the board."""
        self.changes: list[Change] = []
        store_read, store_write = os.pipe()
        self._line_read, line_write = os.pipe()
        os.write(store_write, store.block(root))
        os.close(store_write)
        fds = [store_read, line_write]
        if kept is not None:
            fds.append(os.open(kept, os.O_RDWR | os.O_CREAT, 0o600))
        self.process = subprocess.Popen(
            [str(program), *map(str, fds)],
            pass_fds=fds,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for fd in fds:
            os.close(fd)
        assert self.process.stdout is not None
        self.port = self.process.stdout.readline().decode().strip()
        if not self.port:
            self.close()
            raise BridgeError(f"{program} did not start")
        threading.Thread(target=self._watch, daemon=True).start()

    def bench(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode())
        self.process.stdin.flush()

    def reset(self) -> None:
        self.bench("z")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _watch(self) -> None:
        with os.fdopen(self._line_read) as lines:
            for text in lines:
                change = json.loads(text)
                self.changes.append((change["t_ns"], change["permit"]))


class PortRig:
    """A real board on a real port."""

    name = "port"
    plays_sensors = False
    watches_line = False
    has_watchdog = True

    def __init__(self, port: str) -> None:
        self.port = port
        self.changes: list[Change] = []

    def bench(self, command: str) -> None:
        raise BridgeError("a real board's sensors cannot be played from here")

    def reset(self) -> None:
        raise BridgeError("a real board's reset pin cannot be reached from here")

    def close(self) -> None:
        pass
