"""A virtual board, where one may stand in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from edge import isolation
from edge.errors import GuardError
from edge.guard.processes import Child, key_pipe


def start_virtual_board(key: bytes, arguments: Iterable[str], line_fd: int) -> Child:
    """Start a virtual board; `port_of` tells where it listens.

    Args:
        line_fd: where it writes its interlock's transitions; -1 for nowhere.
    """
    key_fd = key_pipe(key)
    options = ["--key-fd", str(key_fd), *arguments, "--line-fd", str(line_fd)]
    process = subprocess.Popen(
        isolation.python("firmware_bridge.virtual.process", *options),
        env=isolation.environment(),
        pass_fds=(key_fd, *((line_fd,) if line_fd >= 0 else ())),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    os.close(key_fd)
    return Child("virtual board", process)


def port_of(board: Child) -> str:
    """The serial port of a virtual board that was just started.

    Raises:
        GuardError: it did not start, and how it ended.
    """
    assert board.process.stdout is not None
    line = board.process.stdout.readline()
    if not line.endswith(b"\n"):  # also half a line is none
        raise GuardError(board.describe_end())
    port = line.decode().strip()
    return port
