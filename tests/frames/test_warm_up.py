"""The cache warm-up before a frame: when it is held, and that it can reach no real frame."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import fields, replace

import pytest

from edge import ipc
from edge.cameras.layout import Layout
from edge.clock import MS, Clock, VirtualClock
from edge.errors import GuardError
from edge.frames.gate_process import GateProcess
from edge.frames.settings import GateSettings
from edge.frames.warm_up import LONGEST_NS, SHORTEST_NS, Pace, WarmUp
from edge.lease import Revocation
from edge.lease import encode as encode_lease
from edge.reasons import Reason
from tests.support.gate_harness import Harness

PERIOD_NS = 33 * MS


def paced(period_ns: int = PERIOD_NS) -> Pace:
    """Two frames, the second at `period_ns`."""
    pace = Pace()
    pace.arrived(period_ns)
    pace.arrived(2 * period_ns)
    return pace


@pytest.fixture
def warmed(tmp_path) -> Iterator[Harness]:
    """A gate with a cache warm-up and a matcher, in time that stands still."""
    harness = Harness(str(tmp_path / "m"), clock=VirtualClock(10_000 * MS), warm=True)
    harness.connect()
    yield harness
    harness.close()


def test_the_next_frame_is_foreseen_from_the_last_two():
    pace = paced()

    assert pace.wait_ms(2 * PERIOD_NS) == 32
    assert pace.wait_ms(3 * PERIOD_NS - 1500_000) == 0
    assert pace.wait_ms(3 * PERIOD_NS - 900_000) is None, "too late: the frame is nearly there"
    assert pace.wait_ms(5 * PERIOD_NS) is None, "the frame did not come"


def test_one_rehearsal_is_enough_for_a_frame():
    pace = paced()
    pace.warmed()

    assert pace.wait_ms(2 * PERIOD_NS) is None
    pace.arrived(3 * PERIOD_NS)
    assert pace.wait_ms(3 * PERIOD_NS) == 32


@pytest.mark.parametrize("period_ns", [SHORTEST_NS - 1, LONGEST_NS + 1])
def test_frames_too_fast_or_too_slow_are_not_rehearsed(period_ns):
    assert paced(period_ns).wait_ms(2 * period_ns) is None


@pytest.mark.parametrize("period_ns", [SHORTEST_NS, LONGEST_NS])
def test_the_bounds_themselves_are(period_ns):
    assert paced(period_ns).wait_ms(2 * period_ns) is not None


def test_the_first_frame_foresees_nothing():
    pace = Pace()
    pace.arrived(10_000 * MS)

    assert pace.wait_ms(10_000 * MS) is None


def test_each_rehearsal_goes_the_whole_way_to_a_ring_that_nobody_reads(warmed):
    warm_up = warmed.warm_up
    for count in range(2, 200):  # one was held at the start
        warmed.clock.advance(ms=33)
        warm_up.run()
        assert warm_up.released == count


@pytest.mark.parametrize("layout", Layout)
def test_it_is_held_for_each_layout(tmp_path, layout):
    harness = Harness(str(tmp_path / "m"), layout, warm=True)
    harness.clock.advance(ms=33)
    harness.warm_up.run()

    assert harness.warm_up.released == 2
    harness.close()


def test_after_a_long_pause_the_second_gate_doubts_once_and_goes_on(warmed):
    warmed.clock.advance(ms=151)
    warmed.warm_up.run()
    assert warmed.warm_up.released == 1

    warmed.clock.advance(ms=33)
    warmed.warm_up.run()
    assert warmed.warm_up.released == 2


def test_a_gate_that_cannot_be_rehearsed_is_told_at_the_start(warmed):
    class Deaf(GateProcess):
        def admit(self, matcher: socket.socket, hello: bytes) -> None:
            """Lets nobody in."""

    with pytest.raises(GuardError, match="released no black frame"):
        WarmUp(Deaf, warmed.settings, warmed.clock)


def test_it_is_told_of_no_memory_no_channel_and_no_name_of_the_real_gate(warmed):
    found: list[GateSettings] = []

    def make(settings: GateSettings, clock: Clock) -> GateProcess:
        found.append(settings)
        return GateProcess(settings, clock)

    named = replace(warmed.settings.binding, boot=b"\x11" * 16, policy=b"\x22" * 32)
    real = replace(warmed.settings, binding=named)
    WarmUp(make, real, warmed.clock)

    names = [field.name for field in fields(GateSettings)]
    same = {name for name in names if getattr(found[0], name) == getattr(real, name)}
    assert same <= {"view", "uid", "output", "min_view_score", "masks"}  # neither has a mask
    for name in ("camera", "boot", "policy"):
        assert getattr(found[0].binding, name) != getattr(real.binding, name)


def test_a_rehearsal_leaves_the_real_gate_as_it_is(warmed):
    warmed.grant()
    warmed.shoot(0)
    warmed.gate.turn()
    before = memories(warmed)
    messages_of(warmed)

    for _ in range(20):
        warmed.clock.advance(ms=7)
        warmed.warm_up.run()

    assert warmed.warm_up.released == 21
    assert memories(warmed) == before
    assert messages_of(warmed) == []


def test_it_is_held_while_a_lease_holds_and_a_frame_is_due(warmed):
    for slot in range(3):
        warmed.grant()
        warmed.expose(slot)
        warmed.shoot(slot)
        warmed.gate.turn()
        warmed.clock.advance(ms=20)

    before = warmed.warm_up.released
    warmed.gate.turn()  # the time stands at the moment a frame is due: too late
    assert warmed.warm_up.released == before
    warmed.expose(3)
    warmed.shoot(3)
    warmed.gate.turn()
    warmed.clock.advance(ms=18)
    warmed.gate.turn()

    assert warmed.warm_up.released == before + 1
    warmed.clock.advance(ms=0.1)
    warmed.gate.turn()
    assert warmed.warm_up.released == before + 1, "once for each frame"


def test_nothing_is_rehearsed_without_a_lease(warmed):
    for slot in range(3):
        warmed.shoot(slot)
        warmed.gate.turn()
        warmed.clock.advance(ms=18)
        warmed.gate.turn()
        warmed.clock.advance(ms=2)

    assert warmed.warm_up.released == 1


class Stub:
    """A cache warm-up during which something happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self.pace = Pace()
        self.run = happens


@pytest.fixture
def due(warmed) -> Callable[[Callable[[], None]], Harness]:
    """A gate under a lease, three frames seen, about to rehearse what it is given."""

    def ready(happens: Callable[[], None]) -> Harness:
        warmed.gate._wait._warm_up = Stub(happens)
        warmed.grant(to_ns=1 << 62, expires_ns=1 << 62)
        for slot in range(3):
            warmed.expose(slot)
            warmed.shoot(slot)
            warmed.gate.turn()
            assert warmed.matcher.read(timeout_s=0) is not None
            warmed.clock.advance(ms=20 if slot < 2 else 18)
        return warmed

    return ready


def test_a_turn_with_a_rehearsal_waits_no_longer_than_any_other(due, warmed):
    waits: list[float] = []
    gate = due(lambda: None).gate
    poll = gate._wait._poll.poll

    class Noting:
        def poll(self, wait_ms: float) -> list[tuple[int, int]]:
            waits.append(wait_ms)
            return poll(wait_ms)

    gate._wait._poll = Noting()
    gate.turn()

    assert waits == [1, 0]


def test_a_frame_that_comes_during_a_rehearsal_is_released_after_it(due, warmed):
    def frame() -> None:
        warmed.expose(5)
        warmed.shoot(5)

    due(frame).gate.turn()

    assert (warmed.matcher.read(timeout_s=0) == warmed.picture).all()


def test_a_revocation_that_comes_during_a_rehearsal_goes_before_the_frame_behind_it(due, warmed):
    def revocation_and_frame() -> None:
        warmed.expose(5)
        warmed.shoot(5)
        ipc.send(warmed.decider, encode_lease(Revocation(1, (Reason.NO_LEASE,))))

    due(revocation_and_frame).gate.turn()

    assert warmed.matcher.read(timeout_s=0) is None
    assert not warmed.matcher.ring.pixels.any()


def test_a_rehearsal_that_takes_too_long_is_a_doubt_as_any_standstill_is(due, warmed):
    def standstill() -> None:
        warmed.clock.advance(ms=151)
        warmed.shoot(5)

    due(standstill).gate.turn()

    assert warmed.matcher.read(timeout_s=0) is None
    assert not warmed.matcher.ring.pixels.any()


def memories(harness: Harness) -> list[bytes]:
    """All there is in the pool and in the ring."""
    return [os.pread(m.fd, os.fstat(m.fd).st_size, 0) for m in (harness.pool, harness.ring)]


def messages_of(harness: Harness) -> list[bytes]:
    """What the gate told the processes around it since it was last asked."""
    channels = (harness.capture, harness.decider, harness.parent)
    return [data for channel in channels for data in ipc.drain(channel)]
