"""The status process: the newest snapshot as a page, as JSON, as metrics and as a file.

    python -m edge.status.process < settings.json

It listens on loopback, answers at most a hundred connections with two threads
(`edge.status.http`), runs behind everything else, and can read no file but its own and the log's
public tiles, and write none but its own. What is done to it cannot reach the
guard. Reading stays possible while the daemon pauses; when the daemon ends, so
does this.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from edge import ipc, scheduling
from edge.audit.files import Files
from edge.audit.proofs.tiled import prove_from_tiles
from edge.clock import BootClock, S
from edge.errors import SandboxError, UsageError
from edge.report.record import write_atomic
from edge.sandbox import landlock, privileges
from edge.sandbox import spec as sandbox
from edge.status.alive import hold
from edge.status.http import serve
from edge.status.settings import StatusSettings
from edge.status.web import Site

_NOFILE = 256
_FILE_NS = 500_000_000


class Mailbox(threading.Thread):
    """Holds the newest snapshot and keeps the file of it."""

    def __init__(self, channel: socket.socket, file: Path) -> None:
        super().__init__(daemon=True, name="mailbox")
        self._channel = channel
        self._file = file
        self._clock = BootClock()
        self.newest: tuple[int, dict[str, Any]] | None = None  # (arrived, snapshot)

    def run(self) -> None:
        """Until the service is gone; then the file goes and the process ends."""
        written_ns = 0
        self._channel.setblocking(True)
        while True:
            try:
                data = ipc.receive(self._channel)
            except ipc.PeerGone:
                with contextlib.suppress(OSError):
                    self._file.unlink()
                os._exit(0)
            now_ns = self._clock.now_ns()
            self.newest = (now_ns, json.loads(data or b"{}"))
            if now_ns - written_ns >= _FILE_NS:
                written_ns = now_ns
                with contextlib.suppress(UsageError):  # a full disk is no reason to stop serving
                    write_atomic(self._file, json.dumps(self.newest[1]))

    def read(self) -> tuple[float, dict[str, Any]] | None:
        """(age in seconds, snapshot), or None before the first."""
        if self.newest is None:
            return None
        arrived_ns, snapshot = self.newest
        return (self._clock.now_ns() - arrived_ns) / S, snapshot


def main() -> int:
    """Serve until the service is gone."""
    ipc.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = ipc.await_order(StatusSettings)
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_NOFILE, _NOFILE))
    file = settings.file
    file.parent.mkdir(parents=True, exist_ok=True)
    hold(file)
    scheduling.settle()  # before the wall: behind it this process cannot read what it has mapped
    tiles = settings.tiles
    with contextlib.suppress(OSError):  # the rule below is for what is there
        Files().make_directory(tiles)
    with contextlib.suppress(SandboxError):  # a second wall, where the kernel has it
        privileges.give_up()
        reads = [*map(Path, sandbox.interpreter_reads()), tiles]
        landlock.restrict(reads, [file.parent])
    mailbox = Mailbox(ipc.attach(settings.parent_fd), file)
    if settings.listen_fd is None:
        mailbox.run()
    mailbox.start()
    listener = socket.socket(fileno=settings.listen_fd)
    logging.getLogger("waitress").setLevel(logging.CRITICAL)  # a flood must not fill the journal
    serve(Site(mailbox.read, partial(prove_from_tiles, tiles)), listener)
    return 0


if __name__ == "__main__":
    sys.exit(main())
