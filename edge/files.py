"""The one place that opens files with care: bounded, never waiting, whole or not at all.

It reads regular files only: no pipe, device or socket. A usual `open` of a pipe waits for a writer,
perhaps forever. Mode and owner are checked on the open descriptor whose bytes are used.

A written file is created under a new name, so a planted link is never followed. It has
exactly the requested mode, independent of the umask.
Every process of the guard loads this; what few of them use is loaded where it is used.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edge.errors import failing, meaning

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
_ROOT = Path(__file__).resolve().parents[1]
MODEL_BYTES = 1 << 30  # more than any model that a device of this kind runs
_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def packaged(package: str) -> Path:
    """The folder of a package of ours, such as "edge.policies", with what comes with it."""
    return _ROOT.joinpath(*package.split("."))


def read_plain(path: Path, most_bytes: int) -> bytes:
    """At most `most_bytes` of a regular file in a folder that somebody else owns: no link.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    return _read(path, most_bytes, os.O_NOFOLLOW)[0]


def read_named(path: Path, most_bytes: int) -> bytes:
    """At most `most_bytes` of the regular file that an operator names, maybe by a link.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    return _read(path, most_bytes)[0]


def read_secret(path: Path, most_bytes: int) -> bytes:
    """`read_named` of a file that its owner alone may read.

    Raises:
        OSError: it cannot be read.
        PermissionError: others may read it; the message says what to do.
    """
    data, found = _read(path, most_bytes)
    if found.st_mode & 0o077:
        why = f"may be read by others: expected mode 600 (chmod 600 {path})"
        raise PermissionError(errno.EPERM, why)
    return data


def read_trusted(path: Path, most_bytes: int) -> bytes:
    """`read_named` of a file that says whom to trust: others may not change it or its folder.

    Raises:
        OSError: it cannot be read.
        PermissionError: others may change it; the message says what to do.
    """
    data, found = _read(path, most_bytes)
    for place, state in ((path, found), (path.parent, path.parent.stat())):
        if state.st_mode & _BY_OTHERS:
            why = f"{place} may be changed by others (chmod go-w {place})"
            raise PermissionError(errno.EPERM, why)
    return data


def open_named(path: Path) -> BinaryIO:
    """The regular file that an operator names, maybe by a link, opened; nothing is waited for.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    return _opened(path)[0]


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of what `open_named` gives, whatever its size.

    Raises:
        OSError: as there.
    """
    digest = hashlib.sha256()
    with open_named(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def move_over(old: Path, new: Path) -> None:
    """Put a file that was written whole at `new`; a link there is replaced, not followed.

    Raises:
        OSError: it cannot be done.
    """
    os.replace(old, new)


def open_append(path: Path) -> BinaryIO:
    """A file of one's own to write at the end of, made where there is none; no link.

    Raises:
        OSError: it cannot be written, or is no regular file.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.fdopen(os.open(path, flags, 0o644), "ab")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _odd(path)
    return file


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file that is not there yet, to the disk.

    Raises:
        FileExistsError: there is one, or a link.
        OSError: it cannot be written; nothing is left behind.
    """
    fd = os.open(path, _NEW, mode & 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put `data` at `path` whole, or leave what is there; a link there is replaced, not followed.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    beside = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    write_new(beside, data, mode)
    try:
        os.replace(beside, path)
    except OSError:
        beside.unlink()
        raise


def sync_directory(path: Path) -> None:
    """See that the names in a folder are on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(path: Path, most_bytes: int, flags: int = 0) -> tuple[bytes, os.stat_result]:
    file, found = _opened(path, flags)
    with file:
        return file.read(min(most_bytes, found.st_size + 1)), found


def _opened(path: Path, flags: int = 0) -> tuple[BinaryIO, os.stat_result]:
    before = path.stat(follow_symlinks=not flags & os.O_NOFOLLOW)
    if not stat.S_ISREG(before.st_mode):  # opening a device may already do something
        raise _odd(path)
    file = os.fdopen(os.open(path, _READ | flags), "rb")
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        file.close()
        raise _odd(path)
    return file, found


def _odd(path: Path) -> OSError:
    return OSError(errno.EINVAL, f"{path.name} is no regular file")


def temporary_place() -> Path:
    """Where temporary files go.

    Raises:
        UsageError: no such folder can be written.
    """
    import tempfile

    line = "no folder for temporary files can be written: expected /tmp, or TMPDIR to name another"
    with meaning(line, OSError):
        return Path(tempfile.gettempdir())


def named_by_user(doing: str, path: Path | str) -> contextlib.AbstractContextManager[None]:
    """What fails within is the fault of a name that the user gave: `cannot read PATH: why`.

    Raises:
        UsageError: for an OSError.
    """
    return failing(f"cannot {doing} {path}")


def read_given(path: Path, most_bytes: int) -> bytes:
    """`read_named` of what the user named.

    Raises:
        UsageError: it cannot be read, or is no regular file.
    """
    with named_by_user("read", path):
        return read_named(path, most_bytes)


def write_given(path: Path, data: bytes, mode: int = 0o644, *, once: bool = False) -> None:
    """`write_whole` where the user named; `once`: `write_new`, for what others may have signed.

    Raises:
        UsageError: it cannot be written; nothing is left behind.
    """
    taken = f"{path} is there already: nothing is overwritten; name another file"
    with named_by_user("write", path), meaning(taken, FileExistsError):
        (write_new if once else write_whole)(path, data, mode)


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A new folder for temporary files, gone at the end.

    Raises:
        UsageError: there is no place for it.
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix=prefix, dir=temporary_place()) as folder:
        yield Path(folder)
