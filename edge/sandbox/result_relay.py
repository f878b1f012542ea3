"""Sends a matcher's results to standard output, or to the program that listens at a Unix socket.

One JSON object a line or datagram: `{"subject": "0a1b2c3d", "score": 0.93, "comparisons": 1}`.
The guard's loop must not wait: what cannot be written at once is dropped and counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.clock import S
from edge.errors import UsageError
from framegate_client.results import SUBJECT_DIGITS, Result

STDOUT = "stdout"
_UNIX = "unix:"
_MAX_PATH_BYTES = 107
ALLOWED = f'"stdout", "unix:PATH" (at most {_MAX_PATH_BYTES} bytes from the root) or ""'
_SAY_NS = 60 * S


def target_text(value: Any) -> str:
    """A target as it may be written; a path in it is not placed yet.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError(value)
    path = value.removeprefix(_UNIX)
    if value not in ("", STDOUT) and (path == value or not path or "\0" in path):
        raise ValueError(value)
    return value


def result_target(value: Any, folder: Path) -> str:
    """A checked target: "", "stdout", or "unix:" and an absolute path.

    Args:
        folder: where a relative path starts: that of the file which names it.

    Raises:
        ValueError: it is none of these, or the whole path is too long for a socket.
    """
    text = target_text(value)
    path = text.removeprefix(_UNIX)
    if path == text:
        return text
    whole = str((folder / path).absolute())
    if len(os.fsencode(whole)) > _MAX_PATH_BYTES:
        raise ValueError(value)
    return f"{_UNIX}{whole}"


class ResultRelay:
    """Passes results on; `say` is told, once a minute at most, that some failed."""

    def __init__(self, target: str, say: Callable[[str], None]) -> None:
        """`target` as `result_target` gives it.

        Raises:
            UsageError: something that is no socket lies at the path.
        """
        self.passed = self.dropped = 0
        self._say = say
        self._warned_ns = -_SAY_NS
        self._path = target.removeprefix(_UNIX) if target.startswith(_UNIX) else ""
        self._stdout = target == STDOUT
        self._channel: socket.socket | None = None
        if self._path:
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISSOCK(os.stat(self._path).st_mode):
                    raise UsageError(f"results {target!r}: expected a Unix datagram socket there")
            self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._channel.setblocking(False)

    def take(self, result: Result, now_ns: int) -> None:
        """Pass one result on, if there is where to and it takes it at once."""
        if not self._stdout and self._channel is None:
            return
        why = self._pass(_line(result))
        if not why:
            self.passed += 1
            return
        self.dropped += 1
        self.warn(f"a result could not be passed on ({why}); {self.dropped} so far", now_ns)

    def warn(self, line: str, now_ns: int) -> None:
        """Say `line`, but not more than one a minute."""
        if now_ns - self._warned_ns >= _SAY_NS:
            self._warned_ns = now_ns
            self._say(f"results: {line}")

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _pass(self, line: bytes) -> str:
        """Why `line` was not passed on; empty if it was."""
        try:
            if self._channel is not None:
                self._channel.sendto(line, self._path)
                return ""
            poll = select.poll()
            poll.register(1, select.POLLOUT)
            if not any(event & select.POLLOUT for _, event in poll.poll(0)):
                return "standard output takes nothing"
            os.write(1, line + b"\n")  # shorter than PIPE_BUF: whole, without waiting
        except OSError as err:
            where = self._path or "standard output"
            return f"{where}: {err.strerror}"
        return ""


def _line(result: Result) -> bytes:
    subject = None if result.subject is None else result.subject[:SUBJECT_DIGITS]
    fields = {"subject": subject, "score": result.score, "comparisons": result.comparisons}
    return json.dumps(fields).encode()
