"""What gate and decider said that nobody waited for does not keep a guard from ending."""

from __future__ import annotations

import select
from collections.abc import Callable

import pytest

from edge.errors import GuardError
from edge.guard.launch import START_S, Launch
from edge.guard.supervisor import Guard
from tests.support.guard_runs import plan, quiet
from tests.support.guards import Site

pytestmark = pytest.mark.guard
WHY = "something else failed meanwhile"


def all_gone(guard: Guard) -> bool:
    return all(child.process.returncode is not None for child in guard.children.values())


def test_a_ready_that_nobody_took_is_no_result_and_the_start_ends_in_order(
    kiosk: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []

    def let_lie(launch: Launch, name: str, beat: Callable[[], None]) -> None:
        channels = [launch.gate, launch.decider]
        while channels:
            ready, _, _ = select.select(channels, [], [], START_S)
            assert ready, "neither gate nor decider became ready"
            channels = [channel for channel in channels if channel not in ready]
        raise GuardError(WHY)

    monkeypatch.setattr(Launch, "await_ready", let_lie)
    take = Guard._gate_message
    monkeypatch.setattr(Guard, "_gate_message", lambda s, data: (heard.append(data), take(s, data)))
    guard = Guard(plan(kiosk), quiet)

    with pytest.raises(GuardError, match=WHY), guard:
        pass

    assert heard, "the gate's word did not come as the guard ended"
    assert all_gone(guard)
    assert guard.recorder.decisions == []
    assert guard._folder is None


def test_a_ready_that_was_waited_for_starts_a_guard_that_ends_in_order(kiosk: Site) -> None:
    with Guard(plan(kiosk), quiet) as guard:
        while not guard.over and guard.failure is None:
            guard.turn()

    assert guard.failure is None
    assert guard.recorder.decisions
    assert all_gone(guard)
