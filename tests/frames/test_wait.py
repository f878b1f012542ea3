"""What the gate waits for ends at the earliest of a message, a turn, and the end of the lease."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from edge.clock import MS
from edge.decision.self_check import SILENT_NS
from edge.frames.gate_process import GAP_NS
from edge.frames.process import wait
from edge.frames.process.wait import TURN_MS, Wait
from edge.heartbeat import REST_TURN_MS

NOW_NS = 1_000_000 * MS


class Clock:
    def now_ns(self) -> int:
        return NOW_NS


class Poll:
    """Says nothing is ready, and keeps for how long it was asked to wait."""

    def __init__(self) -> None:
        self.waited: list[int] = []

    def register(self, fd: int, events: int) -> None:
        """Nothing is ever ready."""

    def poll(self, wait_ms: int) -> list[tuple[int, int]]:
        self.waited.append(wait_ms)
        return []


@pytest.fixture
def poll(monkeypatch: pytest.MonkeyPatch) -> Iterator[Poll]:
    found = Poll()
    monkeypatch.setattr(wait.select, "poll", lambda: found)
    yield found


@pytest.mark.parametrize(
    ("left_ns", "waited_ms"),
    [(10 * MS, 10), (10 * MS + 1, 11), (1, 1), (0, 0), (-5 * MS, 0), (1_000 * MS, TURN_MS)],
)
def test_the_end_of_a_lease_ends_the_waiting(poll, left_ns, waited_ms):
    Wait((), Clock(), None).ready(leased=True, ends_ns=NOW_NS + left_ns)

    assert poll.waited == [waited_ms]


def test_without_a_lease_a_whole_turn_is_waited_for(poll):
    Wait((), Clock(), None).ready(leased=False)

    assert poll.waited == [TURN_MS]


def test_a_turn_at_rest_is_longer_only_while_nothing_is_leased(poll):
    waiting = Wait((), Clock(), None)

    waiting.ready(leased=False, resting=True)
    waiting.ready(leased=True, ends_ns=NOW_NS + 1_000 * MS, resting=True)

    assert poll.waited == [REST_TURN_MS, TURN_MS]
    assert min(SILENT_NS, GAP_NS) > REST_TURN_MS * MS


def test_a_message_ends_the_waiting():
    read, write = os.pipe()
    os.write(write, b"x")

    ready = Wait((read,), Clock(), None).ready(leased=True, ends_ns=NOW_NS + 1_000 * MS)

    assert ready == {read}
    os.close(read)
    os.close(write)
