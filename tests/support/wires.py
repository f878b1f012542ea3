"""The wire and the line of a board under test: faults on the one, waiting for the other."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable

from firmware_bridge.checks.rigs import Rig


def wait_line(rig: Rig, level: bool, timeout_s: float) -> bool:
    """Wait until the line of `rig` is at `level`; it is down until it first changes."""
    end = time.monotonic() + timeout_s
    while True:
        changes = rig.changes
        if (bool(changes) and changes[-1][1]) is level:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.002)


class Tap:
    """A wire between a board's port and a new one, on which faults can be put.

    The bridge or session uses `port`; every chunk passes through `to_board` or
    `to_host`. Runs in a thread of its own; a few hundred microseconds a chunk.
    """

    def __init__(self, board_port: str) -> None:
        import tty

        self.to_board: Callable[[bytes], list[bytes]] = lambda chunk: [chunk]
        self.to_host: Callable[[bytes], list[bytes]] = lambda chunk: [chunk]
        self._board = os.open(board_port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopped = True
        self._thread.join()
        for fd in (self._board, self._master, self._slave):
            os.close(fd)

    def _run(self) -> None:
        while not self._stopped:
            ready, _, _ = select.select([self._board, self._master], [], [], 0.05)
            for fd in ready:
                with contextlib.suppress(OSError):
                    self._pass(fd)

    def _pass(self, fd: int) -> None:
        chunk = os.read(fd, 4096)
        inward = fd == self._master
        for piece in (self.to_board if inward else self.to_host)(chunk):
            with contextlib.suppress(BlockingIOError):
                os.write(self._board if inward else self._master, piece)
