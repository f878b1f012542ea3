"""A disk in memory that can fail any call, fill up, or lose what was not synced.

It also keeps the state that a power cut would leave: a file's bytes up to its last
sync, and a directory's names up to its last sync.
"""

from __future__ import annotations

import errno
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from edge.audit.files import Files


class PowerCut(BaseException):
    """The machine is off; nothing after this runs."""


class TornWrite(OSError):
    """Half of the bytes arrived, then the storage failed."""


@dataclass
class Inode:
    data: bytes = b""
    synced: bytes = b""


@dataclass
class Disk(Files):
    """`fault(call, name)` may raise before any call; `room` is the bytes left."""

    live: dict[Path, Inode] = field(default_factory=dict)
    durable: dict[Path, Inode] = field(default_factory=dict)
    folders: set[Path] = field(default_factory=set)
    durable_folders: set[Path] = field(default_factory=set)
    room: int | None = None
    calls: int = 0
    fault: object = None
    _open: dict[int, Inode] = field(default_factory=dict)
    _locks: dict[int, Path] = field(default_factory=dict)
    _next_fd: int = 1000

    def _call(self, name: str, path: Path | None = None) -> None:
        self.calls += 1
        if self.fault is not None:
            self.fault(self.calls, name)  # type: ignore[operator]

    def make_directory(self, path):
        self._call("make_directory", path)
        self.folders |= {path, *path.parents}

    def read(self, path):
        self._call("read", path)
        inode = self.live.get(path)
        return None if inode is None else inode.data

    def names(self, path):
        self._call("names", path)
        start = f"{path}/"
        inside = (str(p)[len(start) :] for p in self.live if str(p).startswith(start))
        return sorted({name.split("/")[0] for name in inside})

    def begin(self, path, *, secret=False):
        self._call("begin", path)
        inode = self.live.setdefault(path, Inode())
        self._next_fd += 1
        self._open[self._next_fd] = inode
        return self._next_fd

    def write(self, fd, data):
        try:
            self._call("write")
        except TornWrite:
            self._open[fd].data += data[: len(data) // 2]
            raise
        taken = len(data)
        if self.room is not None:
            taken = min(taken, self.room - sum(len(i.data) for i in self.live.values()))
            if taken <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._open[fd].data += data[:taken]
        return taken

    def sync(self, fd):
        self._call("sync")
        self._open[fd].synced = self._open[fd].data

    def truncate(self, fd, size):
        self._call("truncate")
        self._open[fd].data = self._open[fd].data[:size].ljust(size, b"\0")

    def close(self, fd):
        self._open.pop(fd, None)
        self._locks.pop(fd, None)
        self._call("close")

    def overwrite(self, path, data):
        self._call("overwrite", path)
        inode = self.live[path]
        inode.data = inode.synced = data + inode.data[len(data) :]

    def rename(self, old, new):
        self._call("rename", new)
        self.live[new] = self.live.pop(old)

    def remove(self, path):
        self._call("remove", path)
        self.live.pop(path, None)

    def sync_directory(self, path):
        self._call("sync_directory", path)
        for place in [p for p in self.durable if p.parent == path]:
            del self.durable[place]
        self.durable.update({p: i for p, i in self.live.items() if p.parent == path})
        self.durable_folders |= {p for p in self.folders if p.parent == path}

    def lock(self, path):
        self._call("lock", path)
        if path in self._locks.values():
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._next_fd += 1
        self._locks[self._next_fd] = path
        return self._next_fd

    def after_power_cut(self, rng: random.Random) -> Disk:
        """The state at the next start: synced bytes and names, and perhaps some more."""
        names = {}
        for folder in {p.parent for p in [*self.live, *self.durable]}:
            above = {folder, *folder.parents} - {Path("/")}
            if not above <= self.durable_folders and rng.random() < 0.5:
                continue  # the directory itself was never synced into the one above it
            seen = rng.choice([self.live, self.durable])
            names.update({p: i for p, i in seen.items() if p.parent == folder})
        found = {}
        for path, inode in names.items():
            data = inode.synced
            if inode.data.startswith(data):
                data = inode.data[: rng.randint(len(data), len(inode.data))]
            elif rng.random() < 0.5:
                data = inode.data
            found[path] = Inode(data, data)
        return Disk(dict(found), dict(found), {p.parent for p in found})

    def after_crash(self) -> Disk:
        """The state for the next process if only the process ended."""
        found = {p: Inode(i.data, i.data) for p, i in self.live.items()}
        return Disk(dict(found), dict(found))


def fail_once(call: int, number: int = errno.EIO):
    """A fault: the given call fails with an error of the system."""

    def fault(now: int, name: str) -> None:
        if now == call:
            raise OSError(number, os.strerror(number))

    return fault


def tear_once(call: int):
    """A fault: the given call fails, and if it is a write, half of it is done."""

    def fault(now: int, name: str) -> None:
        if now == call:
            raise TornWrite(errno.EIO, os.strerror(errno.EIO))

    return fault


def power_cut_at(call: int):
    """A fault: the power goes at the given call, and stays off."""

    def fault(now: int, name: str) -> None:
        if now >= call:
            raise PowerCut

    return fault
