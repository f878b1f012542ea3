"""Whether the whole guard releases frames with the resources of a small board.

The daemon and all its children get the board's memory and the processor time of all its
cores together. One of the children is a matcher that holds 100 MiB. The result also
gives the share of one core that the busiest process takes. Camera and virtual board are
not part of the device and are not limited. Caches and instruction sets of the board are
not emulated.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import profiles
from bench.environment import environment
from bench.figures import Basis, Figure
from bench.footprint import proc
from bench.soak.run import Soak
from bench.soak.watch import processes
from bench.suite import Result
from edge.errors import GuardError

RATES_HZ = (15.0, 30.0)
MATCHER_MIB = 100
WAIT_S = 120.0  # for the first permit: a small board starts slowly
SILENT_S = 0.2  # a process that has not beaten for this long blocks


@dataclass(frozen=True, slots=True)
class Flow:
    """The measurements at one frame rate."""

    rate_hz: float
    permit_s: float  # from the start
    released_s: float  # frames a second
    share: float  # of those the camera sent
    restarts: int
    killed: int  # by the kernel, because memory ran out
    memory_mib: float
    silent_s: float  # the oldest heartbeat that was seen
    blocked: str  # why frames were blocked, the most frequent reasons first
    busiest: float  # processor time of the busiest process, of one core of the board


def measure(profile: str, seconds: float, say: Callable[[str], None]) -> Result:
    """Measure every rate in turn.

    Raises:
        GuardError: this user may not make a control group, so nothing would be limited.
    """
    rows: list[Figure] = []
    for rate_hz in RATES_HZ:
        say(f"{profile}, {rate_hz:g} frames a second: {seconds:g} s")
        rows += figures(flow(profile, rate_hz, seconds))
    return Result(tuple(rows), {**environment(), "profile": profile}, {})


def flow(profile: str, rate_hz: float, seconds: float) -> Flow:
    """Start a daemon limited to the profile, wait for frames, and measure them."""
    with tempfile.TemporaryDirectory(prefix="framegate-small-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        soak = Soak(folder, 1, matcher_mib=MATCHER_MIB, rate_hz=rate_hz)
        try:
            group = profiles.hold(profile, soak.daemon.pid)
            if group is None:
                raise GuardError("footprint: expected to make a control group (root), may not")
            ratio = profiles.PROFILES[profile].cpu_ratio
            return _watch(soak, group, rate_hz, seconds, ratio)
        finally:
            soak.close()


def _watch(soak: Soak, group: Path, rate_hz: float, seconds: float, ratio: float) -> Flow:
    began = time.monotonic()
    while not soak.status.get("permitted"):
        if time.monotonic() - began > WAIT_S or soak.daemon.poll() is not None:
            reasons = [reason["code"] for reason in soak.status.get("reasons", ())]
            raise GuardError(f"footprint: no permit within {WAIT_S:g} s, the guard says {reasons}")
        time.sleep(0.1)
        soak.read_status()
    permit_s = time.monotonic() - began
    time.sleep(3.0)
    soak.read_status()
    why = Counter(soak.status["by_reason"])
    released, sent, start = soak.status["frames"]["released"], soak.camera.sent, time.monotonic()
    pids = dict(processes(soak.daemon.pid))
    before = {name: proc.read(pid) for name, pid in pids.items()}
    silent_s = 0.0
    while time.monotonic() - start < seconds:
        time.sleep(0.25)
        soak.read_status()
        beats = soak.status["health"]["beats_s"].values()
        silent_s = max(silent_s, *(9.9 if beat is None else beat for beat in beats))
    took_s = time.monotonic() - start
    released = soak.status["frames"]["released"] - released
    after_why = soak.status["by_reason"]
    after = {name: proc.read(pid) for name, pid in pids.items()}
    costs = proc.between(before, after, took_s).values()
    used, killed = profiles.memory_of(group)
    return Flow(
        rate_hz,
        permit_s,
        released / took_s,
        released / max(1, soak.camera.sent - sent),
        soak.status["health"]["restarts"],
        killed,
        used / 2**20,
        silent_s,
        ", ".join(f"{n} {code}" for code, n in (Counter(after_why) - why).most_common(4)),
        max(cost.cpu_percent for cost in costs) / 100 / ratio,
    )


def figures(found: Flow) -> list[Figure]:
    """A row for each requirement."""
    name, confined = f"{found.rate_hz:g} Hz", Basis.CONFINED
    why = f"blocked: {found.blocked}" if found.blocked else ""
    return [
        Figure(f"{name}: frames released of those sent", found.share, ">= 0.9", "", note=why),
        Figure(f"{name}: frames released", found.released_s, "", "/s", basis=confined),
        Figure(f"{name}: guards started again", found.restarts, "<= 0", "", basis=confined),
        Figure(f"{name}: ended for want of memory", found.killed, "<= 0", "", basis=confined),
        Figure(f"{name}: oldest heartbeat", found.silent_s, f"<= {SILENT_S}", "s", basis=confined),
        Figure(f"{name}: busiest process, of one core", found.busiest, "<= 1", "", basis=confined),
        Figure(f"{name}: memory, matcher and caches too", found.memory_mib, "", "MiB"),
        Figure(f"{name}: start to first permit", found.permit_s, "", "s", basis=confined),
    ]
