"""Ways for the matcher's own user to files in folders that are closed to it.

An interpreter below a private home folder cannot be run by another user. In a
mount namespace of the matcher's own, such a folder is covered by an empty one
that shows only what was named. Nothing changes for anyone else, and what was
not named is not even there.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable

from edge.errors import SandboxError

_CLONE_NEWNS = 0x00020000
_NOSUID, _NODEV, _REMOUNT, _READ_ONLY = 2, 4, 32, 1
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18


def open_ways(uid: int, paths: Iterable[str]) -> None:
    """Make `paths` reachable for `uid` where a folder on the way is closed to it.

    Raises:
        SandboxError: that takes rights this process does not have.
    """
    closed: dict[str, list[str]] = {}
    for path in dict.fromkeys(os.path.realpath(path) for path in paths):
        barrier = _barrier(uid, path)
        if barrier is not None:
            closed.setdefault(barrier, []).append(path)
    if not closed:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise _refused(uid, next(iter(closed)))
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)
    for barrier, wanted in closed.items():
        _cover(uid, barrier, _outermost(wanted))


def _barrier(uid: int, path: str) -> str | None:
    """The first folder on the way to `path` that `uid` may not pass through."""
    if not os.path.exists(path):
        return None
    folder = "/"
    for part in path.split("/")[1:-1]:
        folder = os.path.join(folder, part)
        status = os.stat(folder)
        may = status.st_mode & (stat.S_IXUSR if status.st_uid == uid else stat.S_IXOTH)
        if not may:
            return folder
    return None


def _outermost(paths: list[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(paths):
        if not any(path.startswith(f"{other}/") for other in kept):
            kept.append(path)
    return kept


def _cover(uid: int, barrier: str, paths: list[str]) -> None:
    """Put an empty folder over `barrier` and only `paths` back into it."""
    before = os.umask(0o022)  # whoever started the guard may have one that shuts `uid` out
    try:
        _cover_with_modes(uid, barrier, paths)
    finally:
        os.umask(before)


def _cover_with_modes(uid: int, barrier: str, paths: list[str]) -> None:
    handles = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in paths}
    if not _mount("none", barrier, "tmpfs", _NOSUID | _NODEV, "mode=755,size=64k"):
        raise _refused(uid, barrier)
    for path, handle in handles.items():
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            os.mkdir(path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        if not _mount(f"/proc/self/fd/{handle}", path, None, _BIND | _RECURSIVE):
            raise _refused(uid, path)
        os.close(handle)
    _mount("none", barrier, None, _REMOUNT | _READ_ONLY | _NOSUID | _NODEV, "mode=755,size=64k")


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    texts = [None if text is None else text.encode() for text in (source, target, kind, options)]
    return bool(libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]) == 0)


def _refused(uid: int, path: str) -> SandboxError:
    why = os.strerror(ctypes.get_errno())
    return SandboxError(f"own_uid: {path} is closed to user {uid}, and no way could be made: {why}")
