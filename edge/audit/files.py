"""Every file operation of the audit log, in one small class.

The log does its input and output through `Files` alone, so that a test can
make any single call fail, fill the disk, or cut the power at any byte.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from edge import files

# The log's own files: links are refused, and opening a pipe in their place does not wait.
_OWN = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Files:
    """The real file system. Errors are plain `OSError`."""

    def make_directory(self, path: Path) -> None:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)

    def read(self, path: Path) -> bytes | None:
        """The whole file, or None if there is none."""
        try:
            with files.open_named(path) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def names(self, path: Path) -> list[str]:
        """What a directory holds; nothing if there is none."""
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []

    def begin(self, path: Path, *, secret: bool = False) -> int:
        """A descriptor to append to a new or existing file."""
        flags = _OWN | os.O_CREAT | os.O_APPEND
        return os.open(path, flags, 0o600 if secret else 0o640)

    def write(self, fd: int, data: bytes) -> int:
        """Write some of `data`; returns how many bytes were taken."""
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def close(self, fd: int) -> None:
        os.close(fd)

    def overwrite(self, path: Path, data: bytes) -> None:
        """Write `data` over the start of a file, in place, and sync it."""
        fd = os.open(path, _OWN)
        try:
            os.pwrite(fd, data, 0)
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        files.move_over(old, new)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def share(self, path: Path, like: Path) -> None:
        """Let the group of the folder `like` read a public file or folder, whatever the umask.

        Where this process may not give it to that group, it stays as it is.
        """
        with contextlib.suppress(OSError):
            os.chown(path, -1, like.stat().st_gid, follow_symlinks=False)
            path.chmod(0o750 if path.is_dir() else 0o640)

    def sync_directory(self, path: Path) -> None:
        files.sync_directory(path)

    def lock(self, path: Path) -> int:
        """Take the one writer's lock; BlockingIOError if another holds it."""
        fd = os.open(path, _OWN | os.O_CREAT, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return fd


def write_all(disk: Files, fd: int, data: bytes) -> None:
    """Write all of `data`, however the system splits it."""
    rest = data
    while rest:
        rest = rest[disk.write(fd, rest) :]


def replace_file(
    files: Files,
    path: Path,
    data: bytes,
    *,
    durable: bool,
    secret: bool = False,
    shared: Path | None = None,
) -> None:
    """Put `data` at `path` whole or not at all.

    Args:
        shared: a folder whose group may read the file.
    """
    temp = path.with_name(path.name + ".new")
    try:
        files.remove(temp)
        fd = files.begin(temp, secret=secret)
        try:
            write_all(files, fd, data)
            if durable:
                files.sync(fd)
        finally:
            files.close(fd)
        if shared is not None:
            files.share(temp, shared)
        files.rename(temp, path)
    except OSError:
        with contextlib.suppress(OSError):
            files.remove(temp)
        raise
    if durable:
        files.sync_directory(path.parent)
