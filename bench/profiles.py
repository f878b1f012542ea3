"""Device profiles: limit this machine to the resources of a small board.

A profile limits the share of CPU time (10 ms period), the cores and the memory, by
cgroup version 1 or 2 if that is allowed, else by affinity and resource limits, and
reports what it could not limit. Cache sizes, memory bandwidth and instruction sets
remain those of this machine, so the result is nearer to the board than to this machine,
but is not the board's.

The ratios are published single-core results of the boards against the machine
that docs/benchmarks.md was measured on; see there.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Basis, Figure
from bench.gate.timing import real_time

PERIOD_US = 10_000
_MIB = 1024 * 1024
_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a board has, next to one core of the reference machine."""

    cpu_ratio: float  # of one core, the lower of 7-zip and sysbench
    cores: int
    memory_mib: int
    memcpy_mb_s: int  # published, large blocks


PROFILES = {
    "pi-zero-2w": Profile(0.24, 4, 512, 1300),
    "pi-4": Profile(0.36, 4, 4096, 2240),
    "pi-5": Profile(0.67, 4, 4096, 5270),
    "jetson-orin-nano": Profile(0.61, 6, 8192, 6730),
}


@dataclass(frozen=True, slots=True)
class Confinement:
    """Which limits of the profile could be applied."""

    name: str
    profile: Profile
    means: str
    not_done: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "means": self.means, "not_done": list(self.not_done)}

    def estimates(self) -> list[Figure]:
        """The time of a release, calculated from the board's published memory bandwidth."""
        rows = []
        for size, pixels in (("VGA", 640 * 480), ("720p", 1280 * 720)):
            copy_us = pixels * 3 / self.profile.memcpy_mb_s
            rows.append(
                Figure(
                    f"copy of one {size} frame",
                    copy_us,
                    "",
                    "us",
                    basis=Basis.ESTIMATED,
                    note="frame bytes by published memory bandwidth",
                )
            )
        return rows


def confine(name: str) -> Confinement:
    """Limit this process and all its children; the limits cannot be removed."""
    profile = PROFILES[name]
    not_done = []
    here = sorted(os.sched_getaffinity(0))
    cores = here[: profile.cores]
    os.sched_setaffinity(0, cores)
    if len(cores) < profile.cores:
        not_done.append(f"{profile.cores} cores: there are {len(cores)} here")
    quota_us = round(PERIOD_US * profile.cpu_ratio * len(cores))
    try:
        pid = os.getpid()
        means = _by_cgroup(f"framegate-bench-{pid}", quota_us, profile.memory_mib * _MIB, pid)
    except OSError as err:
        means = "affinity and resource limits"
        not_done.append(f"CPU quota of {profile.cpu_ratio:g} a core: no cgroup ({err.strerror})")
        try:
            limit = profile.memory_mib * _MIB * 4  # address space, not memory in use
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        except (OSError, ValueError):
            not_done.append(f"{profile.memory_mib} MiB of memory")
    if real_time() == "SCHED_OTHER":
        not_done.append("SCHED_FIFO: not granted in the group; the tail is longer than a board's")
    else:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return Confinement(name, profile, means, tuple(not_done))


def hold(name: str, pid: int) -> Path | None:
    """Limit another process and its future children; this process is not limited.

    Together they get the processor time of all cores of the board. If this machine has
    fewer cores, one process may use more than one core of the board; no limit prevents
    this. Returns the group's folder of memory figures, or None if no group may be made.
    """
    profile = PROFILES[name]
    quota_us = round(PERIOD_US * profile.cpu_ratio * profile.cores)
    group = f"framegate-bench-{pid}"
    try:
        means = _by_cgroup(group, quota_us, profile.memory_mib * _MIB, pid)
    except OSError:
        return None
    return _ROOT / group if means == "cgroup v2" else _ROOT / "memory" / group


def memory_of(folder: Path) -> tuple[int, int]:
    """(bytes in use, processes that the kernel ended for want of memory) of a group."""
    if (folder / "memory.current").exists():
        used, events = folder / "memory.current", folder / "memory.events"
    else:
        used, events = folder / "memory.usage_in_bytes", folder / "memory.oom_control"
    reported = dict(line.split() for line in events.read_text().splitlines())
    return int(used.read_text()), int(reported.get("oom_kill", 0))


def _by_cgroup(group: str, quota_us: int, memory_bytes: int, pid: int) -> str:
    if (_ROOT / "cgroup.controllers").exists():
        folder = _ROOT / group
        folder.mkdir(exist_ok=True)
        (folder / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
        (folder / "memory.max").write_text(str(memory_bytes))
        (folder / "cgroup.procs").write_text(str(pid))
        atexit.register(_leave, folder, _ROOT)
        return "cgroup v2"
    settings = {
        "cpu": {"cpu.cfs_period_us": PERIOD_US, "cpu.cfs_quota_us": quota_us},
        "memory": {"memory.limit_in_bytes": memory_bytes},
    }
    for controller, values in settings.items():
        folder = _ROOT / controller / group
        folder.mkdir(exist_ok=True)
        for file, value in values.items():
            (folder / file).write_text(str(value))
    for controller in settings:
        (_ROOT / controller / group / "cgroup.procs").write_text(str(pid))
        atexit.register(_leave, _ROOT / controller / group, _ROOT / controller)
    return "cgroup v1"


def _leave(folder: Path, above: Path) -> None:
    """Return this process to its former group and remove the new one."""
    with contextlib.suppress(OSError):
        for pid in (folder / "cgroup.procs").read_text().split():
            (above / "cgroup.procs").write_text(pid)
        folder.rmdir()
