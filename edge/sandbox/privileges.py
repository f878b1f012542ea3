"""Giving up what a process may do beyond its user's own rights, for good; calls of libc."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from pathlib import Path

from edge.errors import SandboxError

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN = 2, 21
_LAST_CAPABILITY = 63
_CAPABILITY_VERSION_3 = 0x20080522


def libc() -> ctypes.CDLL:
    """The C library, whose calls leave their error for `failure`."""
    return ctypes.CDLL(None, use_errno=True)


def failure(what: str) -> SandboxError:
    """That the call just made failed, and why by the kernel's word."""
    return SandboxError(f"{what}: {os.strerror(ctypes.get_errno())}")


def has(capability: int) -> bool:
    """Whether this process may use `capability` now. Being root does not say so."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False


def give_up(keep: Collection[int] = ()) -> None:
    """Gain no rights at exec and keep none of root's, not even as root.

    Args:
        keep: capabilities to stay with where this process has them; not handed on.

    Raises:
        SandboxError: the kernel refused.
    """
    kernel = libc()
    if kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise failure("no_new_privs")
    kernel.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(_LAST_CAPABILITY + 1):
        kernel.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    left = sum(1 << number for number in keep if has(number))
    # effective, permitted, inheritable of the low half, then of the high one
    sets = (ctypes.c_uint32 * 6)(left, left, 0, 0, 0, 0)
    if kernel.capset(header, sets) != 0:
        raise failure("no_new_privs: rights stay")
