"""Resources of a daemon's processes, read repeatedly from /proc, and whether they grow.

A *life* is one process from its start to its end. Growth is judged within a life, after
the first minute: the maximum of its last third is compared with the maximum of its
middle third. This shows a slow leak, but not a cache that fills. Descriptors and
threads are compared by their medians.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

WARM_S = 60.0
SHORTEST_S = 180.0  # a shorter life is not used to judge growth
_BARS = "▁▂▃▄▅▆▇█"
_ROLES = {
    b"edge.frames.capture": "capture",
    b"edge.frames.gate_process": "gate",
    b"edge.decision.decider": "decider",
    b"firmware_bridge.process": "bridge",
    b"edge.status.process": "status",
    b"edge.daemon.check": "check",
    b"soak_matcher.py": "matcher",
    b"edge.sandbox.launcher": "matcher",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of one process."""

    at_s: float
    private_mib: float
    shared_mib: float
    fds: int
    memfds: int
    threads: int
    cpu_s: float


@dataclass(slots=True)
class Life:
    """All samples of one process."""

    role: str
    pid: int
    samples: list[Sample] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.samples[-1].at_s - self.samples[0].at_s

    @property
    def cpu_share(self) -> float:
        """Share of one core."""
        spent = self.samples[-1].cpu_s - self.samples[0].cpu_s
        return spent / self.seconds if self.seconds else 0.0

    def _thirds(self) -> tuple[list[Sample], list[Sample]]:
        warm = [s for s in self.samples if s.at_s - self.samples[0].at_s >= WARM_S]
        third = len(warm) // 3
        return warm[third : 2 * third], warm[2 * third :]

    def growth_mib(self) -> float:
        """Maximum private memory of the last third minus that of the middle third."""
        middle, last = self._thirds()
        return max(s.private_mib for s in last) - max(s.private_mib for s in middle)

    def more(self, name: str) -> float:
        """How many more descriptors ("fds"), "memfds" or "threads" the last third has."""
        before, after = ([float(getattr(s, name)) for s in part] for part in self._thirds())
        return median(after) - median(before)


class Watch:
    """Takes samples of a daemon and all of its children."""

    def __init__(self, daemon: int) -> None:
        self._daemon = daemon
        self._lives: dict[int, Life] = {}

    @property
    def lives(self) -> list[Life]:
        return list(self._lives.values())

    @property
    def long_lives(self) -> list[Life]:
        """The lives that are long enough to judge growth."""
        return [life for life in self.lives if life.seconds >= SHORTEST_S]

    def look(self, at_s: float) -> None:
        """Take a sample of every process now."""
        for role, pid in processes(self._daemon):
            with contextlib.suppress(OSError):
                sample = sample_of(pid, at_s)
                life = self._lives.get(pid)
                if life is None or life.role != role:
                    life = self._lives[pid] = Life(role, pid)
                life.samples.append(sample)

    def table(self) -> Iterable[str]:
        """A line for each role: its lives, memory over time, maximum memory, CPU share."""
        yield f"{'process':<9}{'lives':>6}{'private MiB':>13}{'fds':>6}{'threads':>9}{'core':>8}"
        for role in dict.fromkeys(life.role for life in self.lives):
            lives = [life for life in self.lives if life.role == role]
            samples = [s for life in lives for s in life.samples]
            share = sum(life.cpu_share * life.seconds for life in lives)
            share /= max(1.0, sum(life.seconds for life in lives))
            least, most = (f(s.private_mib for s in samples) for f in (min, max))
            yield (
                f"{role:<9}{len(lives):>6}{f'{least:.0f} to {most:.0f}':>13}"
                f"{max(s.fds for s in samples):>6}{max(s.threads for s in samples):>9}"
                f"{share:>8.1%}  {sparkline([s.private_mib for s in samples])}"
            )


def sparkline(values: list[float], width: int = 48) -> str:
    """`values` as bars from zero to their maximum; each bar is the maximum of its time span."""
    top = max(values, default=0.0)
    if top <= 0:
        return ""
    width = min(width, len(values))
    cells = [
        max(values[i * len(values) // width : max(1, (i + 1) * len(values) // width)])
        for i in range(width)
    ]
    return "".join(_BARS[min(7, int(8 * value / top))] for value in cells)


def processes(daemon: int) -> list[tuple[str, int]]:
    """(role, pid) of the daemon and its children."""
    found = [("daemon", daemon)]
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent != daemon:
                continue
            command = (entry / "cmdline").read_bytes()
            role = next((name for key, name in _ROLES.items() if key in command), "")
            if role:
                found.append((role, int(entry.name)))
    return found


def sample_of(pid: int, at_s: float) -> Sample:
    """The resources of a process now; OSError if it has ended."""
    base = Path(f"/proc/{pid}")
    status = dict(
        line.split(":", 1) for line in (base / "status").read_text().splitlines() if ":" in line
    )
    if "RssAnon" not in status:
        raise ProcessLookupError(f"{pid} has ended")
    links = []
    for name in os.listdir(base / "fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(base / "fd" / name))
    times = (base / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        at_s,
        int(status["RssAnon"].split()[0]) / 1024,
        int(status["RssShmem"].split()[0]) / 1024,
        len(links),
        sum(link.startswith("/memfd:") for link in links),
        int(status["Threads"]),
        (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
    )
