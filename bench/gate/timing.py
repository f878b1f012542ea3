"""Timing methods: hot (a tight loop), paced (at the frame rate), cold (with emptied caches).

A hot loop gives too short times for code that runs 30 times a second: between two
frames other programs fill the caches. The main figures are paced. Durations are
nanoseconds.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram

AWAKE_NS = 500_000  # before a frame is due
EVICT_BYTES = 96 * 1024 * 1024
_LONGEST_NS = 60_000_000_000


def hot(call: Callable[[], object], seconds: float = 0.05) -> float:
    """Nanoseconds a call takes in a tight loop, amortised, the loop included."""
    clock = time.perf_counter_ns
    count = 1
    while True:
        began_ns = clock()
        for _ in range(count):
            call()
        took_ns = clock() - began_ns
        if took_ns >= seconds * 1e9:
            return took_ns / count
        count = max(count * 2, round(count * seconds * 1e9 / max(took_ns, 1) * 1.1))


def paced(
    calls: Mapping[str, Callable[[], object]], count: int, rate_hz: float
) -> dict[str, np.ndarray]:
    """Run the calls in turn, one per tick, `count` times each; the sleeps let the caches cool."""
    clock = time.perf_counter_ns
    taken: dict[str, list[int]] = {name: [] for name in calls}
    period_ns = round(1e9 / rate_hz)
    due_ns = clock() + period_ns
    for _ in range(count):
        for name, call in calls.items():
            time.sleep(max(0, due_ns - clock()) / 1e9)
            began_ns = clock()
            call()
            taken[name].append(clock() - began_ns)
            due_ns = max(due_ns + period_ns, clock())
    return {name: np.array(times) for name, times in taken.items()}


def wait_until(due_ns: int, now_ns: Callable[[], int]) -> None:
    """Return when `now_ns` says `due_ns`, awake half a millisecond before.

    So a late wake-up of the simulating process does not make a camera frame late.
    """
    wait_ns = due_ns - now_ns() - AWAKE_NS
    if wait_ns > 0:
        time.sleep(wait_ns / 1e9)
    while now_ns() < due_ns:
        pass


def cold(call: Callable[[], object], count: int) -> np.ndarray:
    """Run the call `count` times, each after reading more memory than any cache holds."""
    ballast = np.ones(EVICT_BYTES // 8)
    taken = []
    for _ in range(count):
        ballast.sum()
        began_ns = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - began_ns)
    return np.array(taken)


def histogram(values_ns: Sequence[int] | np.ndarray) -> HdrHistogram:
    """Latencies, each from its intended time, in an HDR histogram of three digits."""
    from hdrh.histogram import HdrHistogram  # no wheel for ARM: what needs none runs without

    histogram = HdrHistogram(1, _LONGEST_NS, 3)
    for value in values_ns:
        histogram.record_value(int(max(1, min(value, _LONGEST_NS))))
    return histogram


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure of a run: median, minimum and maximum over its rounds."""

    value: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> Ratio:
        """The ratio of two candidates that alternated, round by round."""
        ratios = [a / b for a, b in zip(above, below, strict=True)]
        return cls(median(ratios), min(ratios), max(ratios), len(ratios))


def steady(rounds: Sequence[dict[str, float]], canary: str) -> list[dict[str, float]]:
    """The rounds in which the canary took at most twice its median."""
    usual = median(r[canary] for r in rounds)
    return [r for r in rounds if r[canary] <= 2 * usual]


def punctual() -> None:
    """Have this thread's sleeps end when they are due, not up to 50 us later, as a camera would."""
    ctypes.CDLL(None).prctl(29, 1, 0, 0, 0)  # PR_SET_TIMERSLACK, ns


def real_time() -> str:
    """Request the gate's scheduling without its CPU-time limit; returns what was granted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError:
        return "SCHED_OTHER"
    return "SCHED_FIFO 10"
