"""The service's hold on its status process: sends snapshots, starts it again when it is lost.

Nothing here waits and nothing of it can hold up the guard: a snapshot that
does not go through at once is dropped, the next one replaces it.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from edge import ipc
from edge.clock import BootClock, S
from edge.guard.processes import Child, spawn_module
from edge.status.settings import StatusSettings

_AGAIN_NS = 5 * S


class StatusServer:
    """At most one status process."""

    def __init__(self, listener: socket.socket | None, file: Path, audit: Path) -> None:
        """`listener` may be None: then only the file is written. `audit`: the log's folder."""
        self._listener = listener
        self._file = file
        self._audit = audit
        self._clock = BootClock()
        self._child: Child | None = None
        self._channel: socket.socket | None = None
        self._started_ns = 0

    def start(self) -> None:
        self._channel, theirs = ipc.pair()
        self._started_ns = self._clock.now_ns()
        fds = [theirs.fileno()]
        listen_fd = None if self._listener is None else self._listener.fileno()
        if listen_fd is not None:
            fds.append(listen_fd)
        settings = StatusSettings(self._file, self._audit / "tile", theirs.fileno(), listen_fd)
        self._child = spawn_module("status", "edge.status.process", settings, fds)
        theirs.close()

    def show(self, audit: Path) -> None:
        """From now on the log is in `audit`: only a new process may read there."""
        self._audit = audit
        if self._child is not None:
            self.close()
            self.start()

    def tell(self, snapshot: dict[str, Any]) -> None:
        """Hand over a snapshot; starts a lost process again, seconds later."""
        if self._child is None or self._channel is None:
            return
        if self._child.process.poll() is not None:
            if self._clock.now_ns() - self._started_ns < _AGAIN_NS:
                return
            self.close()
            self.start()
        ipc.send(self._channel, json.dumps(snapshot).encode())

    def close(self) -> None:
        """End the process; it removes its file when its socket is gone."""
        if self._channel is not None:
            self._channel.close()
        if self._child is not None:
            self._child.end(wait_s=2.0)
        self._child = self._channel = None
