"""The cost of a process by the kernel's counters: memory, CPU time, wake-ups, bytes written.

Memory is given in two ways. *Proportional* (PSS) divides each page among all processes
that map it, so the sum over processes is the total. *Private* is the memory that is
freed when the process ends. *Resident* counts each page of several processes once; unlike
the sum of their proportional memory, it does not fall when others on the machine map the
same libraries. A wake-up is one voluntary context switch of any of its
threads: the thread slept and was woken. Bytes written are those that reach a disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_KIB = 1024
_ENTRY = 8  # bytes a page in /proc/PID/pagemap: bit 63 is "in memory", bits 0 to 54 are which
_FRAME = np.uint64((1 << 55) - 1)
_POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True)
class Reading:
    """One process at one moment; all values except memory count from its start."""

    pss_bytes: int
    private_bytes: int
    cpu_s: float
    wakeups: int
    written_bytes: int


@dataclass(frozen=True, slots=True)
class Cost:
    """One process, or several, over a span of time."""

    pss_mib: float
    private_mib: float
    cpu_percent: float  # of one core
    wakeups_s: float
    written_kib_min: float  # a minute

    @classmethod
    def between(cls, before: Reading, after: Reading, seconds: float) -> Cost:
        """The cost of a process between two readings; memory is that of the second."""
        return cls(
            after.pss_bytes / _KIB**2,
            after.private_bytes / _KIB**2,
            100 * (after.cpu_s - before.cpu_s) / seconds,
            (after.wakeups - before.wakeups) / seconds,
            (after.written_bytes - before.written_bytes) / _KIB * 60 / seconds,
        )

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.pss_mib + other.pss_mib,
            self.private_mib + other.private_mib,
            self.cpu_percent + other.cpu_percent,
            self.wakeups_s + other.wakeups_s,
            self.written_kib_min + other.written_kib_min,
        )


NOTHING = Cost(0.0, 0.0, 0.0, 0.0, 0.0)


def read(pid: int) -> Reading:
    """The cost of a process until now.

    Raises:
        OSError: it has ended, or this user may not read it: the guard's processes hide
            their memory from other users.
    """
    base = Path(f"/proc/{pid}")
    memory = _fields(base / "smaps_rollup")
    times = (base / "stat").read_text().rpartition(")")[2].split()
    wakeups = 0
    for task in (base / "task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end meanwhile
            wakeups += _fields(task / "status")["voluntary_ctxt_switches"]
    return Reading(
        memory["Pss"] * _KIB,
        (memory["Private_Clean"] + memory["Private_Dirty"]) * _KIB,
        (int(times[11]) + int(times[12])) * _TICK_S,
        wakeups,
        _fields(base / "io")["write_bytes"],
    )


def between(
    before: Mapping[str, Reading], after: Mapping[str, Reading], seconds: float
) -> dict[str, Cost]:
    """The cost of each process that lived through the whole span."""
    return {
        name: Cost.between(before[name], reading, seconds)
        for name, reading in after.items()
        if name in before
    }


def resident_bytes(pids: Iterable[int]) -> int | None:
    """The memory of these processes together, each page once; None if the kernel tells only root.

    Raises:
        OSError: one has ended, or this user may not read it.
    """
    found = np.unique(np.concatenate([_frames(pid) for pid in pids]))
    if 0 in found:
        return None
    return len(found) * os.sysconf("SC_PAGE_SIZE")


def _frames(pid: int) -> np.ndarray:
    """The numbers of the pages that a process has in memory; 0 for one that is not told."""
    page = os.sysconf("SC_PAGE_SIZE")
    found = [np.empty(0, np.uint64)]
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
            if line.endswith("]") and "[v" in line:  # the kernel's own pages
                continue
            begin, end = (int(number, 16) // page for number in line.split()[0].split("-"))
            data = os.pread(file.fileno(), (end - begin) * _ENTRY, begin * _ENTRY)
            entries = np.frombuffer(data, np.uint64)
            found.append(entries[entries >> np.uint64(63) == 1] & _FRAME)
    return np.concatenate(found)


def energy_j(powercap: Path = _POWERCAP) -> float | None:
    """Energy that the processor packages have used so far (RAPL); None if not available."""
    found = None
    for meter in sorted(powercap.glob("intel-rapl:?")):
        with contextlib.suppress(OSError, ValueError):
            found = (found or 0.0) + int((meter / "energy_uj").read_text()) / 1e6
    return found


def _fields(path: Path) -> dict[str, int]:
    """The lines `Name:  number ...` of a file of the kernel."""
    found = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        number = rest.split()[0] if rest.split() else ""
        if number.isdigit():
            found[name] = int(number)
    return found
