"""A failed check of a board: when it is repeated because this machine was late."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from edge.clock import MS
from firmware_bridge.checks import duties
from firmware_bridge.checks.harness import CheckFailed, Harness, NotInTime
from firmware_bridge.checks.rigs import PortRig


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[PortRig]:
    """A port at which nobody answers."""
    monkeypatch.setattr(duties, "_settle", lambda harness: None)
    master, slave = os.openpty()
    yield PortRig(os.ttyname(slave))
    os.close(master)
    os.close(slave)


class Check:
    """Fails the first times, while this machine is so late."""

    def __init__(self, late_ms: int, error: type[CheckFailed], fails: int) -> None:
        self.late_ms, self.error, self.fails = late_ms, error, fails
        self.decisions: list[int] = []

    def __call__(self, harness: Harness) -> float:
        harness.late_ns = self.late_ms * MS
        self.decisions.append(harness.new_decision())
        if len(self.decisions) <= self.fails:
            raise self.error("the line did not stay up")
        return 7.0


@pytest.mark.parametrize(
    ("late_ms", "error", "fails", "tries", "passes"),
    [
        (500, NotInTime, 2, 3, True),
        (500, NotInTime, 9, 3, False),
        (duties.LATE_MS, NotInTime, 1, 1, False),
        (500, CheckFailed, 1, 1, False),
    ],
    ids=["late, then well", "always", "in time", "a line that is up"],
)
def test_only_a_line_that_went_down_while_this_machine_was_late_is_asked_again(
    rig: PortRig, late_ms: int, error: type[CheckFailed], fails: int, tries: int, passes: bool
) -> None:
    check = Check(late_ms, error, fails)

    result = duties.run("one", check, (), rig, bytes(32))

    assert len(check.decisions) == tries
    assert check.decisions == sorted(set(check.decisions)), "the board wants newer ones"
    assert (result.failure == "") is passes
    if not passes and tries > 1:
        assert "left the board alone for 500 ms" in result.failure


def test_the_link_measures_how_late_this_machine_was(rig: PortRig) -> None:
    harness = Harness(rig, bytes(32))
    harness.pump(20)
    prompt_ns = harness.late_ns
    harness._turned_ns = harness.clock.now_ns() - 300 * MS

    harness.pump(0)

    assert prompt_ns < 300 * MS <= harness.late_ns
    harness.close()
