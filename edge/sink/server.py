"""The process that serves the masked view; it ends with its parent.

python -m edge.sink.server < settings.json
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from edge import ipc
from edge.errors import SandboxError, UsageError
from edge.guard.processes import Child, spawn_module
from edge.sandbox import landlock, privileges
from edge.sandbox import spec as sandbox
from edge.sink.site import Site
from edge.status.http import serve

PORT = 8377


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """What is shown, and where."""

    picture: Path
    listen_fd: int


def start(folder: Path, port: int) -> Child:
    """Start the process; it shows what the writer keeps in `folder` on this loopback port.

    Raises:
        UsageError: the port is taken.
    """
    try:
        listener = socket.create_server(("127.0.0.1", port), backlog=16)
    except OSError as err:
        why = os.strerror(err.errno or 0)  # its own text says the address again
        raise UsageError(f"--sink-port {port}: cannot listen there: {why}") from err
    settings = SinkSettings(folder / "latest.jpg", listener.fileno())
    with listener:
        return spawn_module("sink", "edge.sink.server", settings, [listener.fileno()])


def main() -> int:
    """Serve until the guard's command is gone."""
    ipc.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = ipc.await_order(SinkSettings)
    os.nice(10)
    with contextlib.suppress(SandboxError):  # a second wall, where the kernel has it
        privileges.give_up()
        landlock.restrict([*map(Path, sandbox.interpreter_reads()), settings.picture.parent], [])
    logging.getLogger("waitress").setLevel(logging.CRITICAL)
    serve(Site(settings.picture), socket.socket(fileno=settings.listen_fd))
    return 0


if __name__ == "__main__":
    sys.exit(main())
