"""Is the daemon alive that wrote the status file? The kernel's answer, not the file's age.

The status process holds a lock beside its file for as long as it lives, and it
ends with the daemon, however that ends. A file without its lock is of the past.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


def _lock_of(file: Path) -> Path:
    return file.with_name(file.name + ".lock")


def hold(file: Path) -> None:
    """Say that this process keeps `file`, until it ends."""
    with contextlib.suppress(OSError):  # the file's age still says something
        fd = os.open(_lock_of(file), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def abandoned(file: Path) -> bool:
    """Whether nobody keeps `file` any more; False where there is no lock to ask."""
    try:
        fd = os.open(_lock_of(file), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
