"""Landlock: which files a sandboxed matcher may read, write and run, by the kernel's own rules.

Everything is refused but what is named. Where the kernel's version of the
interface has them, TCP, abstract sockets outside the sandbox and signals to
processes outside it are refused as well. UDP is not Landlock's to refuse: that
takes the network namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from edge.errors import SandboxError
from edge.sandbox.privileges import failure, libc

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # one number on every machine
_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE = 1 << 14
_REQUESTS = 1 << 15  # ioctl of a device
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _REQUESTS
_CHANGES = (  # what a writable folder adds; never device nodes, sockets or pipes
    _WRITE_FILE
    | 1 << 4  # remove a directory
    | 1 << 5  # remove a file
    | 1 << 7  # make a directory
    | 1 << 8  # make a regular file
    | _TRUNCATE
)
_RIGHTS_OF = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL = (1 << 16) - 1  # from version 5 on: device ioctls too
_TCP = 0b11  # bind and connect, from version 4
_SCOPES = 0b11  # abstract sockets and signals, from version 6


def version() -> int:
    """The kernel's version of the interface; 0 where it has none."""
    found = int(libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))
    return max(found, 0)


def restrict(
    reads: Iterable[Path],
    writes: Iterable[Path],
    devices: Iterable[Path] = (),
    lists: Iterable[Path] = (),
    nodes: Iterable[Path] = (),
) -> None:
    """Refuse this thread, and all that comes from it, every file but these.

    Args:
        reads: files and folders to read and run from; one that does not exist is left out.
        writes: folders to read and write in.
        devices: files to read and write, nothing else.
        nodes: devices to read, write and make requests of.
        lists: folders whose names may be listed, and those of the folders in them.

    Raises:
        SandboxError: the kernel has no Landlock, or refused. `no_new_privs` must be set.
    """
    abi = version()
    if abi == 0:
        raise SandboxError("landlock: this kernel has none, or it is switched off")
    handled = _RIGHTS_OF.get(abi, _ALL)
    attributes = struct.pack("Q", handled)
    if abi >= 4:
        attributes += struct.pack("Q", _TCP)
    if abi >= 6:
        attributes += struct.pack("Q", _SCOPES)
    call = libc().syscall
    ruleset = call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        raise failure("landlock: no rules could be made")
    try:
        for paths, rights in (
            (reads, _EXECUTE | _READ_FILE | _READ_DIR),
            (writes, _READ_FILE | _READ_DIR | _CHANGES),
            (devices, _READ_FILE | _WRITE_FILE),
            (nodes, _READ_FILE | _WRITE_FILE | _REQUESTS),
            (lists, _READ_DIR),
        ):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        if call(_RESTRICT_SELF, ruleset, 0) != 0:
            raise failure("landlock: the kernel refused")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                rights &= _FILE_RIGHTS
            rule = struct.pack("=Qi", rights, fd)
            if libc().syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0) != 0:
                raise failure(f"landlock: {path}: the rule was refused")
        finally:
            os.close(fd)
