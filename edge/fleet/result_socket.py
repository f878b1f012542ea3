"""The Unix datagram socket at which the guard hands on its results (`results = "unix:PATH"`)."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
from pathlib import Path

from edge.errors import UsageError
from framegate_client.results import MAX_BYTES

_MAX_PATH_BYTES = 107


class ResultSocket:
    """Listens at a path; the guard's user and group may send."""

    def __init__(self, path: Path) -> None:
        """Listen at `path`; a socket that nobody listens at any more is replaced.

        Raises:
            UsageError: something else lies there, another program listens, or it cannot be used.
        """
        if len(os.fsencode(path)) > _MAX_PATH_BYTES:
            raise UsageError(f"--socket {path}: expected at most {_MAX_PATH_BYTES} bytes")
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            _clear(path)
            before = os.umask(0o117)
            try:
                self._socket.bind(str(path))
            finally:
                os.umask(before)
            self._own = os.stat(path).st_ino
        except OSError as err:
            self._socket.close()
            raise UsageError(f"--socket {path} cannot be used: {err.strerror}") from err
        except UsageError:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def receive(self, wait_s: float) -> bytes | None:
        """The next message, cut after what no result has; None if none came in `wait_s`."""
        if not select.select([self._socket], [], [], wait_s)[0]:
            return None
        with contextlib.suppress(BlockingIOError):
            return self._socket.recv(MAX_BYTES + 1)
        return None

    def close(self) -> None:
        """Stop, and remove the path if it is still this socket's."""
        self._socket.close()
        with contextlib.suppress(OSError):
            if os.stat(self._path).st_ino == self._own:
                self._path.unlink()


def _clear(path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UsageError(f"--socket {path}: expected a Unix socket or nothing there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise UsageError(f"--socket {path}: another program listens there")
