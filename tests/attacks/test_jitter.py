"""Each frame is held back by a random time (attack D02); in virtual time, by the gate's process."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import ipc
from edge.clock import MS, S, VirtualClock
from edge.frames.messages import (
    Captured,
    Freed,
    Resolved,
    decode,
    decode_resolved,
    encode,
    is_resolved,
)
from edge.reasons import Reason
from tests.support.gate_harness import HEIGHT, WIDTH, Harness
from tests.support.parts import long

pytestmark = pytest.mark.slow


class Held(Harness):
    """A gate whose frames come when they are let go, not when they were captured."""

    clock: VirtualClock

    def __init__(self, path: str) -> None:
        super().__init__(path, clock=VirtualClock(1000 * S))
        self.free = list(range(self.pool.size.slots))

    def wait_until(self, due_ns: int) -> None:
        """Let time pass for a gate that keeps turning."""
        while (left_ms := (due_ns - self.clock.now_ns()) // MS) > 0:
            self.clock.advance(ms=min(100, left_ms))
            self.gate.turn()

    def hand_over(self, captured_ns: int) -> list[Resolved]:
        """One good frame, captured then and let go now, in a slot that capture may use."""
        for data in ipc.drain(self.capture):
            freed = decode(data)
            assert isinstance(freed, Freed)
            self.free.append(freed.slot)
        slot = self.free.pop(0)
        self.expose(slot)
        self.send(encode(Captured(slot, self.sequence, captured_ns, HEIGHT, WIDTH)))
        self.sequence += 1
        self.give_back()
        batches = [data for data in ipc.drain(self.parent) if is_resolved(data)]
        return [word for batch in batches for word in decode_resolved(batch)]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Held]:
    gate = Held(str(tmp_path / "m"))
    gate.connect()
    yield gate
    assert gate.matcher is not None
    gate.matcher.close()


@pytest.mark.parametrize("seed", [0, 1, *long(2, 3, 4)])
def test_frames_held_back_by_one_to_three_seconds_are_stale_and_prompt_ones_pass(
    gate: Held, seed: int
) -> None:
    rng = random.Random(seed)
    began_ns = gate.clock.now_ns()
    gate.grant(from_ns=0, expires_ns=1 << 62, to_ns=1 << 62)  # permitted all the while
    captured = range(began_ns, began_ns + 3 * S, 33 * MS)
    held = sorted((at_ns + rng.randint(1 * S, 3 * S), at_ns) for at_ns in captured)

    words = []
    for due_ns, captured_ns in held:
        gate.wait_until(due_ns)
        words += gate.hand_over(captured_ns)
    for _ in range(2):
        gate.clock.advance(ms=60)
        words += gate.hand_over(gate.clock.now_ns())
    matcher = gate.matcher
    assert matcher is not None
    got = []
    while (frame := matcher.read(timeout_s=0)) is not None:
        got.append(frame.captured_ns)

    reasons = [word.reason for word in words if word.captured_ns < began_ns + 3 * S]
    assert set(reasons) <= {Reason.FRAME_STALE, Reason.FRAME_MALFORMED}  # late, or out of order too
    assert reasons.count(Reason.FRAME_STALE) > 5
    assert got and min(got) > held[-1][0]
