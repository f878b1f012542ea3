"""Latency from the time when a frame is due until the matcher has it: the product and its peers.

All candidates run at once and alternate in short bursts, so that other load on the
machine affects all of them equally. The rate is at most 80 % of the capacity of the
slowest; above that, a latency only measures a queue.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench import scenery
from bench.figures import Figure, number, ratio
from bench.gate.rig import Rig
from bench.gate.timing import histogram
from bench.peers.queues import QueueRig
from edge.clock import BootClock

LOAD_SHARE = 0.8
TOP_HZ = {"VGA": 60.0, "720p": 30.0}
TARGETS = {"VGA": (">= 10", "<= 1.4"), "720p": (">= 15", "<= 2.2")}


@dataclass(slots=True)
class Latencies:
    """Of one picture size: candidate -> one array of nanoseconds for each burst."""

    size: str
    rate_hz: float
    bursts: dict[str, list[np.ndarray]] = field(default_factory=dict)
    uncounted: int = 0  # frames that neither arrived nor were counted as blocked or dropped

    def medians(self, name: str) -> list[float]:
        return [float(np.median(burst)) for burst in self.bursts.get(name, []) if burst.size]


def measure(size: str, bursts: int, seconds: float, say: Callable[[str], None]) -> Latencies:
    """Bursts of frames through the product, through an unsafe one and through queues."""
    pictures = scenery.takes(scenery.view(*scenery.SIZES[size]), 8)
    clock = BootClock()
    with ExitStack() as stack:
        queues = stack.enter_context(QueueRig(pictures))
        capacity_hz = queues.flood(1.0)
        rate_hz = min(TOP_HZ[size], LOAD_SHARE * capacity_hz)
        ours = stack.enter_context(Rig(pictures))
        unsafe = stack.enter_context(
            Rig(pictures, gate="bench.gate.unsafe_gate", matcher="bench.gate.unsafe_matcher")
        )
        rigs: dict[str, Rig | QueueRig] = {"product": ours, "unsafe": unsafe, "queues": queues}
        spans: dict[str, list[tuple[int, int]]] = {name: [] for name in rigs}
        for i in range(bursts):
            say(f"{size}: capture to matcher at {rate_hz:.0f} Hz, burst {i + 1} of {bursts}")
            for name, rig in rigs.items():
                began_ns = clock.now_ns()
                rig.play(max(8, round(seconds * rate_hz)), rate_hz)
                spans[name].append((began_ns, clock.now_ns()))
                time.sleep(0.05)
        found = Latencies(size, rate_hz)
        for name, rig in rigs.items():
            rows = rig.finish()
            found.bursts[name] = [
                taken[:, 1] - taken[:, 0]
                for low, high in spans[name]
                if len(taken := rows[(rows[:, 0] >= low) & (rows[:, 0] < high + 10**9)])
            ]
            if name == "product":
                found.uncounted = ours.sent - ours.dropped - len(ours.resolved)
    return found


def figures(found: Latencies) -> list[Figure]:
    """The rows of the table for one picture size."""
    ours = found.medians("product")
    faster, dearer = TARGETS[found.size]
    rate = f"at {found.rate_hz:.0f} Hz"
    return [
        ratio(
            f"capture to matcher vs multiprocessing.Queue, {found.size}",
            found.medians("queues"),
            ours,
            faster,
            note=rate,
        ),
        ratio(
            f"copy-on-release vs unsafe zero copy, {found.size}",
            ours,
            found.medians("unsafe"),
            dearer,
            note=f"{rate}; the matcher reads the frame where it lies",
        ),
        number(f"capture to matcher p50, {found.size}", [ns / 1e3 for ns in ours], "us"),
        Figure(
            f"capture to matcher p99, {found.size}",
            _percentile(found, 99.0) / 1e3 if ours else None,
            "",
            "us",
        ),
        Figure(f"frames not accounted for, {found.size}", found.uncounted, "<= 0", "frames"),
    ]


def _percentile(found: Latencies, share: float) -> float:
    merged = np.concatenate(found.bursts["product"])
    return float(histogram(merged).get_value_at_percentile(share))


@dataclass(slots=True)
class Bracketed:
    """Latency under bracketed release, and how often evidence came."""

    latency_ns: np.ndarray
    period_ns: float
    faces: bool


def bracketed(seconds: float, faces: Path | None, say: Callable[[str], None]) -> Bracketed:
    """The gate with a slow loop that reads each evidence frame with the face detector."""
    say("bracketed release" + ("" if faces else " (no face detector here: readings take no time)"))
    pictures = scenery.takes(scenery.view(*scenery.SIZES["VGA"]), 8)
    with Rig(pictures, mode="bracketed", faces=faces) as rig:
        rig.play(round(seconds * 30), 30.0)
        rows = rig.finish()
    rows = rows[30:]  # the first second: caches, and the detector's first runs
    gaps = np.diff(rows[:, 1])
    period_ns = float(np.median(gaps[gaps > 20_000_000])) if gaps.size else 0.0
    return Bracketed(rows[:, 1] - rows[:, 0], period_ns, faces is not None)


def bracketed_figures(found: Bracketed) -> list[Figure]:
    """Latency in evidence periods, and the period."""
    name = "bracketed latency p99, in evidence periods"
    if not found.latency_ns.size or not found.faces:
        return [Figure(name, None, "<= 1.5", "periods", note="no face detector: models pull")]
    p99 = histogram(found.latency_ns).get_value_at_percentile(99.0)
    return [
        Figure(name, p99 / found.period_ns, "<= 1.5", "periods"),
        Figure("evidence period", found.period_ns / 1e6, "", "ms"),
        Figure("bracketed latency p99", p99 / 1e6, "", "ms"),
    ]


def handoff(rounds: int, say: Callable[[str], None]) -> list[Figure]:
    """Copy in, wake, copy out: the release ring and iceoryx2 in turn."""
    medians: dict[str, list[float]] = {"ring": [], "iceoryx2": []}
    for i in range(rounds):
        say(f"hand-off alone, round {i + 1} of {rounds}")
        for kind, values in medians.items():
            done = subprocess.run(
                [sys.executable, "-m", "bench.peers.iceoryx", kind, "120", "120", "VGA"],
                capture_output=True,
                text=True,
                timeout=30,
            )
            if done.returncode == 0 and (taken := json.loads(done.stdout)):
                values.append(float(np.median(taken)))
    return [
        ratio("hand-off by ring : by iceoryx2", medians["ring"], medians["iceoryx2"], "<= 1.0"),
        number("hand-off by ring", [ns / 1e3 for ns in medians["ring"]], "us"),
    ]
