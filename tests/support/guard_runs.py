"""Whole runs of a guard over a short clip: their plan and their results."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from edge.guard.plan import Plan
from edge.guard.supervisor import Guard
from edge.report.record import FrameDecision, Outcome
from framegate_client.connection import Connection
from tests.support.guards import Site


def plan(kiosk: Site, *matcher: str, release: str = "bracketed") -> Plan:
    return Plan(
        source=str(kiosk.clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        matcher=matcher,
        release=release,
        audit=kiosk.folder / "audit",
    )


def quiet(line: str) -> None:
    """These tests ignore the messages to the operator."""


def released(decisions: list[FrameDecision]) -> list[FrameDecision]:
    return [d for d in decisions if d.verdict is Outcome.PASS]


def frames_through(
    chosen: Plan, enough: Callable[[int, list[FrameDecision]], bool]
) -> list[FrameDecision]:
    """Run until `enough` is true of the frames that a matcher got and of the decisions."""
    seen = 0
    with Guard(chosen, quiet) as guard, closing(Connection(*guard.environment.values())) as matcher:
        deadline = time.monotonic() + 30
        while not enough(seen, guard.recorder.decisions):
            assert time.monotonic() < deadline, (seen, guard.recorder.decisions[-1:])
            guard.turn()
            while (frame := matcher.read(timeout_s=0)) is not None:
                assert frame.shape == (480, 640, 3) and frame.any()
                seen += 1
        return sorted(guard.recorder.decisions, key=lambda d: d.frame)


def flowing(chosen: Plan, say: Callable[[str], None] = quiet) -> list[FrameDecision]:
    """Run a guard, with a matcher connected, until it releases a frame or its footage is over."""
    with Guard(chosen, say) as guard, closing(Connection(*guard.environment.values())):
        while not (guard.over or guard.failure or released(guard.recorder.decisions)):
            guard.turn()
    return guard.recorder.decisions


def finished(chosen: Plan, say: Callable[[str], None] = quiet) -> list[FrameDecision]:
    """Run a guard to the end of its footage, with a matcher connected."""
    with Guard(chosen, say) as guard:
        matcher = Connection(*guard.environment.values())
        guard.run()
        matcher.close()
    return guard.recorder.decisions
