"""The matcher's own view of the file system, in a mount namespace of its own.

/tmp and /dev/shm are its own there: empty at each start, bounded, gone with it.
A folder that is closed to its user is covered by an empty one that shows only
what was named. Models that the signed record names are copied first, and the
copy is digested and mounted, read-only, where the model was: what was checked
is what is read. The guard's own folders are covered. Nothing changes for
anyone else.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.errors import SandboxError
from edge.files import sha256_of
from edge.sandbox.privileges import failure, libc

PRIVATE = ("/tmp", "/dev/shm")
PRIVATE_BYTES = 64 * 1024 * 1024  # of each
_PRIVATE_FILES = 4096
_CHUNK = 1 << 20
_MOST_LINKS = 64

_CLONE_NEWNS = 0x00020000
_NOSUID, _NODEV, _NOEXEC, _REMOUNT, _READ_ONLY = 2, 4, 8, 32, 1
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_PLAIN = _NOSUID | _NODEV
_EMPTY = "mode=755,size=64k"


@dataclass(frozen=True, slots=True)
class View:
    """What the matcher is to see. Paths are absolute."""

    uid: int | None  # who it becomes; None: it stays who it is
    shown: tuple[str, ...]  # what it may read or write
    cwd: str = "/"
    models: tuple[tuple[str, str], ...] = ()  # path and SHA-256, as the signed record has them
    hidden: tuple[str, ...] = ()  # the guard's own folders
    devices: tuple[str, ...] = ()  # nodes that the matcher's user is to own
    private: tuple[str, ...] = PRIVATE


def own_namespace() -> None:
    """Move into a mount namespace whose changes other processes do not see.

    Raises:
        SandboxError: that takes rights this process does not have.
    """
    if libc().unshare(_CLONE_NEWNS) != 0:
        raise failure("mount_namespace: the kernel refused one")
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)


def arrange(view: View) -> None:
    """Make the view, inside `own_namespace`.

    Raises:
        SandboxError: a mount was refused, or a model is not the one that the record names.
    """
    before = os.umask(0o022)  # an inherited umask could shut the matcher out
    try:
        models = [(path, sha256, _opened(path)) for path, sha256 in view.models]
        covers = _covers(view)
        handles = {path: _handle(path) for inside in covers.values() for path in inside}
        links = _links((*view.shown, view.cwd))
        cwd = os.path.realpath(view.cwd)
        nodes: dict[str, tuple[int, int]] = {}  # owner and number of each node's copy
        if view.uid is not None:  # where the matcher stays who it is, it needs none
            nodes = {path: (view.uid, os.stat(path).st_rdev) for path in view.devices}
        copies = _copies(models, nodes) if models or view.devices else {}
        for place in covers:
            _cover(place, private=place in view.private)
        for path, handle in handles.items():
            _show(path, handle)
        _recreate(cwd, links, covers)
        for place in covers:
            if place not in view.private:
                _mount("none", place, None, _REMOUNT | _READ_ONLY | _PLAIN, _EMPTY)
        for path, copy in copies.items():
            _bind(copy, path)
            if path not in view.devices:
                _mount(None, path, None, _REMOUNT | _BIND | _READ_ONLY | _PLAIN | _NOEXEC)
        for path in filter(os.path.isdir, view.hidden):
            _mount("none", path, "tmpfs", _READ_ONLY | _PLAIN, _EMPTY)
    except OSError as err:
        raise SandboxError(f"mount_namespace: {err.filename or '/'}: {err.strerror}") from err
    finally:
        os.umask(before)


def open_ways(uid: int, paths: Iterable[str]) -> None:
    """Make `paths` reachable for `uid` where a folder on the way is closed to it, and no more.

    Raises:
        SandboxError: that takes rights this process does not have.
    """
    shown = tuple(paths)
    if any(_barrier(uid, os.path.realpath(path)) for path in shown):
        own_namespace()
        arrange(View(uid, shown, private=()))


def _covers(view: View) -> dict[str, list[str]]:
    """Each folder to cover, with what is to be shown in it."""
    covers: dict[str, list[str]] = {place: [] for place in view.private if os.path.isdir(place)}
    inside = f"{os.path.realpath(view.cwd)}/."  # the folder itself must be open as well
    for path in dict.fromkeys([*(os.path.realpath(path) for path in view.shown), inside]):
        place = next((p for p in covers if path.startswith(f"{p}/")), None)
        if place is None and view.uid is not None:
            place = _barrier(view.uid, path)
        if place is not None:
            wanted = covers.setdefault(place, [])
            wanted += [path] if path != inside and os.path.exists(path) else []
    return {place: _outermost(paths) for place, paths in covers.items()}


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


def _cover(place: str, *, private: bool) -> None:
    """Put an empty folder over `place`; a private one may be written in."""
    room = f"mode=1777,size={PRIVATE_BYTES},nr_inodes={_PRIVATE_FILES}" if private else _EMPTY
    _mount("none", place, "tmpfs", _PLAIN | (_NOEXEC if private else 0), room)


def _show(path: str, handle: int) -> None:
    """Put back what was at `path` before its folder was covered."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        os.mkdir(path)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
    _bind(handle, path)


def _links(paths: Iterable[str]) -> dict[str, str]:
    """Every symbolic link on the way to `paths`, and where it leads."""
    found: dict[str, str] = {}
    for path in paths:
        rest = path.split("/")[1:]
        folder = "/"
        while rest and len(found) < _MOST_LINKS:
            step = os.path.join(folder, rest.pop(0))
            if not os.path.islink(step):
                folder = step
                continue
            found[step] = os.readlink(step)
            rest = os.path.normpath(os.path.join(folder, found[step])).split("/")[1:] + rest
            folder = "/"
    return found


def _recreate(cwd: str, links: dict[str, str], covers: Iterable[str]) -> None:
    """Make the current folder again, and the links through which things were named."""
    for place in covers:
        if f"{cwd}/".startswith(f"{place}/"):
            os.makedirs(cwd, exist_ok=True)
        for link, target in links.items():
            if link.startswith(f"{place}/") and not os.path.lexists(link):
                os.makedirs(os.path.dirname(link), exist_ok=True)
                os.symlink(target, link)


def _copies(
    models: Iterable[tuple[str, str, int]], nodes: Mapping[str, tuple[int, int]]
) -> dict[str, int]:
    """A handle of the digested copy of each model, and of a node of its own, by its path.

    The copies lie in memory below what `/tmp` will be, where no name leads to them.
    """
    opened = list(models)
    size = sum(os.fstat(fd).st_size for _, _, fd in opened) + _CHUNK * (len(opened) + 1)
    _mount("none", PRIVATE[0], "tmpfs", _NOSUID | _NOEXEC, f"mode=755,size={size}")
    found = {}
    for number, (path, (uid, device)) in enumerate(nodes.items()):
        copy = f"{PRIVATE[0]}/node{number}"
        os.mknod(copy, stat.S_IFCHR | 0o600, device)
        os.chown(copy, uid, uid)
        found[path] = _handle(copy)
    for number, (path, sha256, fd) in enumerate(opened):
        copy = f"{PRIVATE[0]}/{number}"
        if _copied(fd, copy) != sha256:
            raise SandboxError(f"MODEL_DIGEST: {path} is not the model the device record names")
        found[path] = _handle(copy)
    return found


def _copied(fd: int, copy: str) -> str:
    """Copy what `fd` has; the SHA-256 of what the copy then holds."""
    with os.fdopen(fd, "rb") as source, open(copy, "xb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
    os.chmod(copy, 0o444)
    return sha256_of(Path(copy))


def _opened(path: str) -> int:
    """A model, opened without waiting for anybody."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise SandboxError(f"MODEL_DIGEST: {path} is no regular file")
    return fd


def _handle(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _bind(handle: int, path: str) -> None:
    _mount(f"/proc/self/fd/{handle}", path, None, _BIND | _RECURSIVE)
    os.close(handle)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    texts = [
        None if text is None else os.fsencode(text) for text in (source, target, kind, options)
    ]
    if libc().mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]) != 0:
        raise failure(f"mount_namespace: {target} could not be mounted")
