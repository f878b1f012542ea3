"""The folder of a running guard: its matcher's socket, for this user only.

A guard that is killed cannot remove its folder; the next guard does. Each folder has
a lock, which the kernel releases when its holder ends. A folder without a holder is
left over from a killed guard. Only the socket is ever removed from it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path

from edge.errors import UsageError
from edge.files import temporary_place

_PREFIX = "framegate-run-"
_SOCKET = "matcher.sock"
_LONGEST = 107  # bytes of a socket's name, by the kernel


class RunFolder:
    """A new folder, held until closed."""

    def __init__(self, place: Path | None = None) -> None:
        """Make one in `place`, by default where temporary files go.

        Raises:
            UsageError: no place can be written, or a socket in there would have too long a name.
        """
        place = place or temporary_place()
        held = None
        while held is None:  # again where somebody took it for a leftover before it was held
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
            held = _take(self.path)
        self._held = held
        if len(os.fsencode(self.socket)) > _LONGEST:
            self.close()
            raise UsageError(
                f"{self.path.parent}: expected a folder for temporary files whose name leaves room "
                f"for a socket's ({_LONGEST} bytes in all); set TMPDIR to a shorter one"
            )

    @property
    def socket(self) -> Path:
        """Where the matcher connects."""
        return self.path / _SOCKET

    def close(self) -> None:
        """Remove it."""
        _remove(self.path)
        os.close(self._held)


def sweep(place: Path | None = None) -> int:
    """Remove the folders of guards of this user that are gone; returns how many."""
    removed = 0
    for path in (place or temporary_place()).glob(f"{_PREFIX}*"):
        held = _take(path)
        if held is not None:
            removed += _remove(path)
            os.close(held)
    return removed


def _take(path: Path) -> int | None:
    """Hold a folder of this user; None if it is held, gone, or not one."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), path.lstat()):  # not removed meanwhile
                return fd
    except OSError:
        pass
    os.close(fd)
    return None


def _remove(path: Path) -> bool:
    """Whether it is gone; a folder with anything else in it stays."""
    with contextlib.suppress(OSError):
        (path / _SOCKET).unlink(missing_ok=True)
        path.rmdir()
        return True
    return False
