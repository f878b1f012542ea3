"""What a process asks the kernel for: to run before others, memory enough, and some of it back.

To run first is not required. What was not granted is said, because it shows in
the tail of every latency. Too little memory is found before a library fails at
it: OpenBLAS then ends the process, and OpenCV may crash it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
from pathlib import Path

from edge.errors import UsageError

LEAST_ADDRESSES = 1 << 30  # bytes; replaying 640x480 takes 0.7 of it on two processors
START_LIMIT_S = 30.0  # for a process, and for the camera, to be ready
MIN_START_LIMIT_S, MAX_START_LIMIT_S = 10, 600  # what a slow device may have
_SMAPS = Path("/proc/self/smaps")
_HEX = tuple("0123456789abcdef")  # a mapping begins with its addresses, a line about it does not
_WRITTEN = ("Anonymous:", "Swap:")  # in this order, a line each
_DONTNEED = 4  # MADV_DONTNEED
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of mallopt(3)
_MOST_IN_HEAP = 32 << 20  # what glibc accepts of the latter
FUSE_US = 500_000  # RLIMIT_RTTIME: a runaway loop at real-time priority is ended


def settle() -> None:
    """The start is over: what it made stays, what it used up is given back.

    The collector need not look at what stays.
    """
    gc.collect()
    gc.freeze()
    return_memory()


def return_memory() -> None:
    """The heap keeps nothing of what was let go, and code that was used once is unmapped.

    The former is a third of what loading a model takes (glibc; elsewhere nothing). The kernel
    maps a page of a library again when it is used, from its cache or its file. Another thread
    might load a library while this one reads where libraries lie, so a process with several
    threads keeps its pages.
    """
    libc = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):
        libc.malloc_trim(0)
    with contextlib.suppress(OSError):
        if len(os.listdir("/proc/self/task")) == 1:
            for begin, end in unwritten(_SMAPS.read_text(errors="replace")):
                libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _DONTNEED)


def keep_memory(size: int) -> None:
    """The heap keeps up to `size` bytes that were let go, from now on, for what comes next.

    Otherwise what a picture takes goes back to the kernel with each picture, and the kernel
    clears every page of it for the next one (glibc; elsewhere nothing).
    """
    libc = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):
        libc.mallopt(_MMAP_THRESHOLD, min(size, _MOST_IN_HEAP))
        libc.mallopt(_TRIM_THRESHOLD, size)


class LateReturn:
    """Returns memory once, some time after the start: the first work has code of its own too."""

    def __init__(self, at_ns: int | None) -> None:
        """`at_ns` is on the clock of `turn`; None for never."""
        self._at_ns = at_ns

    def turn(self, now_ns: int) -> None:
        """Return it if the time has come; that takes some 10 ms."""
        if self._at_ns is not None and now_ns >= self._at_ns:
            self._at_ns = None
            return_memory()


def unwritten(smaps: str) -> list[tuple[int, int]]:
    """First address and end of the mappings of files whose pages are all as in the file.

    A page that was written to, as the loader writes addresses, has no other copy. So the
    kernel must say that there is none, in memory and in swap.

    Args:
        smaps: the mappings of a process, see proc_pid_smaps(5).
    """
    found: list[tuple[int, int]] = []
    place: tuple[int, int] | None = None
    none_of: set[str] = set()
    for line in smaps.split("\n"):
        if line.startswith(_HEX):
            span, mode, _, _, _, *path = line.split(maxsplit=5)
            begin, _, end = span.partition("-")
            file = path and path[0].startswith("/") and mode in ("r-xp", "r--p")
            place = (int(begin, 16), int(end, 16)) if file else None
            none_of.clear()
        elif place is not None and line.startswith(_WRITTEN):
            name, size, _ = line.split()
            if size == "0":
                none_of.add(name)
            if none_of == set(_WRITTEN):
                found.append(place)
    return found


def real_time(priority: int) -> str:
    """Ask for SCHED_FIFO at `priority` (1 to 99) with a fuse; returns what was granted."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_RTTIME, (FUSE_US, FUSE_US))
        if hold_real_time(priority):
            return f"SCHED_FIFO {priority}"
    return "SCHED_OTHER: real-time scheduling is not allowed here; expect a longer tail"


def require_memory() -> None:
    """See that this process may map what pictures and models take.

    Raises:
        UsageError: its limit is below that.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESSES:
        raise UsageError(
            f"too little memory: expected a limit of at least {LEAST_ADDRESSES >> 20} MiB of "
            f"addresses, got {limit >> 20} MiB (ulimit -v {LEAST_ADDRESSES >> 10})"
        )


def hold_real_time(priority: int) -> bool:
    """Ask for SCHED_FIFO until `give_back`; whether that is allowed. Children do not inherit it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError:
        return False
    return True


def give_back() -> None:
    """Return to ordinary scheduling."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def prefer(niceness: int = -10) -> None:
    """Ask to run before ordinary processes; silently as before where that is not allowed.

    Where the kernel shares out time by session first (autogroup, see sched(7)), a
    niceness only counts inside the session, so a session's leader asks for its group too.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
            group.write(str(niceness))
