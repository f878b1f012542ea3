"""Figures of a board: how soon the line drops, each measured many times.

Wall times of this machine are in `measure`; they are reported, and the limits
are held against the median for a single step and against the worst for a lease.
`measure_board` takes the board's own time, in which a stalled machine does not
count, and holds every limit against the worst.
"""

from __future__ import annotations

import contextlib
import platform
import statistics
from dataclasses import asdict, dataclass
from typing import Any

from edge.errors import BridgeError
from firmware_bridge.checks.harness import Harness
from firmware_bridge.checks.rigs import Rig
from firmware_bridge.emulated.lm3s6965 import Emulator
from firmware_bridge.settings import BAUD

_BITS = 10  # a byte on the wire: start, eight, stop


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number."""

    name: str
    value: float | int | None
    target: float | int | None
    unit: str
    holds: bool


def measure(rig: Rig, root: bytes, rounds: int) -> list[Figure]:
    """Revocation, local veto and lost link, `rounds` times each."""
    with contextlib.closing(Harness(rig, root)) as harness:
        found = _spread("revoke to line", [_revoke(harness) for _ in range(rounds)], 15)
        if rig.plays_sensors:
            found += _spread("local veto to line", [_veto(harness) for _ in range(rounds)], 5)
        lost = [_lost(harness) for _ in range(rounds)]
        return found + _spread("last lease to line", lost, 250, worst=True)


def measure_board(rig: Emulator, root: bytes, rounds: int) -> list[Figure]:
    """Revocation and local veto in board time; `rig` runs paced, so that its time is honest.

    The emulator passes bytes at once, so what a packet takes on the wire is added.
    A round in which this machine held the emulator up is told apart by the board's
    own timer, and made again; at most twice as often as there are rounds.
    """
    revoked: list[float] = []
    vetoed: list[float] = []
    stalled = 0
    with contextlib.closing(Harness(rig, root)) as harness:
        while min(len(revoked), len(vetoed)) < rounds and stalled < 4 * rounds:
            for measure, found in ((_board_revoke, revoked), (_board_veto, vetoed)):
                delay_ms = measure(harness, rig)
                if delay_ms is None:
                    stalled += 1
                else:
                    found.append(delay_ms)
    if not revoked or not vetoed:
        raise BridgeError("this machine is too busy to measure the emulated board")
    return [
        *_spread("revoke to line, board time", revoked, 15, worst=True),
        *_spread("local veto to line, board time", vetoed, 5, worst=True),
        Figure("rounds lost to a stalled machine", stalled, None, "rounds", True),
    ]


def _board_revoke(harness: Harness, emulator: Emulator) -> float | None:
    harness.permit(renewed=False)
    emulator.ask_delay()
    harness.pump(5)
    packet = harness.lease(0, life_ms=0)
    harness.port.write(packet)
    delay = emulator.delay()
    harness.pump(30)
    return None if delay.stalled else delay.since_host + len(packet) * _BITS * 1000 / BAUD


def _board_veto(harness: Harness, emulator: Emulator) -> float | None:
    harness.permit()
    emulator.ask_delay()
    harness.pump(5)
    emulator.bench("u")
    delay = emulator.delay()
    emulator.bench("d")
    harness.keep(None)
    harness.pump(30)
    return None if delay.stalled else delay.since_bench


def _revoke(harness: Harness) -> float:
    harness.permit(renewed=False)
    since_ns = harness.clock.now_ns()
    harness.write(harness.lease(0, life_ms=0))
    return harness.expect_down(1000, "a revocation", since_ns)


def _veto(harness: Harness) -> float:
    harness.permit()
    since_ns = harness.clock.now_ns()
    harness.rig.bench("u")
    took_ms = harness.expect_down(1000, "undocking", since_ns)
    harness.rig.bench("d")
    harness.keep(None)
    harness.pump(30)
    return took_ms


def _lost(harness: Harness) -> float:
    decision = harness.permit(renewed=False)
    since_ns = harness.clock.now_ns()
    harness.write(harness.lease(decision, releasing=True))
    return harness.expect_down(1000, "the last lease", since_ns)


def _spread(
    name: str, values_ms: list[float], target_ms: int, *, worst: bool = False
) -> list[Figure]:
    """Median, 99th percentile and maximum; the target is for the maximum or the median."""
    values_ms = sorted(values_ms)
    p50 = round(statistics.median(values_ms), 2)
    p99 = round(values_ms[min(len(values_ms) - 1, len(values_ms) * 99 // 100)], 2)
    high = round(values_ms[-1], 2)
    return [
        Figure(f"{name}, p50", p50, None if worst else target_ms, "ms", worst or p50 <= target_ms),
        Figure(f"{name}, p99", p99, None, "ms", True),
        Figure(
            f"{name}, max", high, target_ms if worst else None, "ms", not worst or high <= target_ms
        ),
    ]


def report(figures: list[Figure], **environment: str | int) -> dict[str, Any]:
    """The form in which every measuring command reports."""
    return {
        "figures": [asdict(figure) for figure in figures],
        "environment": {
            **environment,
            "machine": platform.machine(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
    }
