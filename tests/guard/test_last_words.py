"""What gate and decider said that nobody waited for does not keep a guard from ending."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

import pytest

from edge.errors import GuardError
from edge.guard import launch
from edge.guard.launch import Launch
from edge.guard.supervisor import Guard
from tests.support.guard_runs import plan, quiet
from tests.support.guards import Site

pytestmark = pytest.mark.guard
WHY = "something else failed meanwhile"


def channels() -> set[str]:
    """The sockets that this process holds."""
    numbers = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    held = {os.readlink(path) for path in numbers if os.path.lexists(path)}
    return {name for name in held if name.startswith("socket:")}


def all_gone(guard: Guard) -> bool:
    return all(child.process.returncode is not None for child in guard.children.values())


def test_a_ready_that_nobody_took_is_no_result_and_the_start_ends_in_order(
    kiosk: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []

    def let_lie(started: Launch, name: str, beat: Callable[[], None]) -> None:
        channels = [started.gate, started.decider]
        while channels:
            ready, _, _ = select.select(channels, [], [], 30.0)
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


def test_a_template_that_dies_is_a_lost_start_that_leaves_no_channel_open(
    kiosk: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "_SHARED", ("tests.support.not_there",))
    before = channels()
    guard = Guard(plan(kiosk), quiet)

    with pytest.raises(GuardError, match="the template process ended with code 1"), guard:
        pass

    assert set(guard.children) == {"board", "bridge"}
    assert all_gone(guard)
    assert channels() == before
    capfd.readouterr()


def test_a_ready_that_was_waited_for_starts_a_guard_that_ends_in_order(kiosk: Site) -> None:
    before = channels()
    with Guard(plan(kiosk), quiet) as guard:
        while not guard.over and guard.failure is None:
            guard.turn()

    assert guard.failure is None
    assert guard.recorder.decisions
    assert all_gone(guard)
    assert channels() == before
