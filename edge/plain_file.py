"""Reading a file in a folder that somebody else owns: it never waits and follows no link.

A pipe, a device, a socket or a symbolic link is no file here. Opening a pipe
the usual way waits for a writer, who need not come.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_plain(path: Path, most_bytes: int) -> bytes:
    """At most `most_bytes` of a regular file.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
    if not stat.S_ISREG(path.lstat().st_mode):  # opening a device may already do something
        raise OSError(f"{path.name} is no regular file")
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path.name} is no regular file")
        return file.read(most_bytes)
