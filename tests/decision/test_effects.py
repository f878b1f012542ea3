"""What the decider's effects do when the log takes nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge.clock import VirtualClock
from edge.decision.effects import KEEP_FLOOR_S, Channels, Effects
from edge.errors import AuditError


class _Log:
    """A log that may be full; keeps what it took."""

    def __init__(self, *, full: bool) -> None:
        self.full = full
        self.entries: list[Any] = []
        self.size = 0

    def write(self, entry: Any, durable: bool) -> int:
        if self.full:
            raise AuditError("the log cannot be written: no space left on device")
        self.entries.append(entry)
        return len(self.entries) - 1


def _effects(log: _Log) -> Effects:
    day: Any = SimpleNamespace(
        floor_s=KEEP_FLOOR_S + 1,  # an hour of proven time has passed since the log's floor
        ask=lambda now_ns, dated: SimpleNamespace(jump_s=0),
        turn=lambda: False,
        reasons=(),
        policy=SimpleNamespace(digest=bytes(32)),
        wall_ns=lambda now_ns: now_ns,
    )
    binding = SimpleNamespace(
        lane=SimpleNamespace(identifying=True), boot=bytes(16), camera=bytes(16)
    )
    loaded: Any = SimpleNamespace(
        clerk=log,
        chosen=SimpleNamespace(version=1, floor_s=0),
        setup=SimpleNamespace(binding=binding),
    )
    nothing: Any = SimpleNamespace()
    channels = Channels(nothing, nothing, None)
    return Effects(loaded, nothing, day, channels, nothing, VirtualClock(0))


def test_a_log_that_takes_no_floor_is_said_and_the_decider_goes_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    effects = _effects(_Log(full=True))

    assert effects.ask_day(0) == ()

    assert capfd.readouterr().err == (
        "decider: the log cannot be written: no space left on device\n"
    )


def test_a_log_that_takes_entries_gets_the_floor(capfd: pytest.CaptureFixture[str]) -> None:
    log = _Log(full=False)

    _effects(log).ask_day(0)

    (floor,) = log.entries
    assert floor.kind.value == "floor"
    assert capfd.readouterr().err == ""
