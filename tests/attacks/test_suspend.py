"""The device sleeps for an hour while frames flow (attack D47), in virtual time.

The gate's process, the judge, the bridge and the board are the product's own, on one
clock that leaps. Whoever of them wakes first, nothing from before is released.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge import ipc
from edge.clock import MS, S
from edge.decision.decider import GAP_NS as DECIDER_GAP_NS
from edge.decision.judge import Ask, Judge, Tell, Write
from edge.evidence.board_link import BoardStatus
from edge.evidence.readings import BoardSample, Reading, Source
from edge.frames.messages import Captured, Ended, Freed, Offered, Returned, decode, encode
from edge.lease import Binding, Lane
from edge.lease import encode as encode_lease
from edge.reasons import Reason
from firmware_bridge.bridge import GAP_NS as BRIDGE_GAP_NS
from tests.firmware_bridge.test_bridge import Wire
from tests.support.gate_harness import HEIGHT, LEASE, WIDTH, Harness
from tests.support.judging import POLICY, SETUP

TURN_MS = 10
FRAME_MS = 30
HOUR_NS = 3600 * S
SEEN = (Source.SIGN_MAP, Source.LIVENESS, Source.VIEW, Source.PEOPLE)


class Device:
    """One guard with its board; everything takes its turn every 10 ms of virtual time."""

    def __init__(self, path: Path) -> None:
        self.wire = Wire()
        self.harness = Harness(str(path), clock=self)
        binding = Binding(LEASE.camera, LEASE.boot, LEASE.policy, Lane.VERIFY)
        self.judge = Judge(replace(SETUP, binding=binding), POLICY, self.now_ns())
        self.free = list(range(self.harness.pool.size.slots))
        self.matcher = self.harness.connect()
        self.captured: list[int] = []  # of every frame that the matcher got
        self.sequence = 0
        self.records = 0
        self.turns = 0
        self.last_ns = {"decider": self.now_ns(), "bridge": self.now_ns()}

    def now_ns(self) -> int:
        return self.wire.now_ns

    def run(self, ns: int, first: str = "bridge") -> None:
        order = [first, *(name for name in ("bridge", "gate", "decider") if name != first)]
        for _ in range(ns // (TURN_MS * MS)):
            for name in order:
                getattr(self, name)()
            while (frame := self.matcher.read(timeout_s=0)) is not None:
                self.captured.append(frame.captured_ns)
            self.turns += 1

    def bridge(self) -> None:
        if self._gap("bridge") > BRIDGE_GAP_NS:
            self.wire.bridge.paused(self.now_ns())
        self.wire.run(TURN_MS)
        self.last_ns["bridge"] = self.now_ns()
        for message in self.wire.messages_up:
            if isinstance(message, BoardSample):
                self.judge.board(message)
            elif isinstance(message, BoardStatus):
                self.judge.board_status = message
        self.wire.messages_up.clear()

    def gate(self) -> None:
        """A frame, every third turn: the gate's process looks at it and at what it was told."""
        for data in ipc.drain(self.harness.capture):
            freed = decode(data)
            assert isinstance(freed, Freed)
            self.free.append(freed.slot)
        if self.turns % (FRAME_MS // TURN_MS) or not self.free:
            return
        slot = self.free.pop(0)
        self.harness.expose(slot)
        shot = Captured(slot, self.sequence, self.now_ns(), HEIGHT, WIDTH)
        self.sequence += 1
        self.harness.send(encode(shot))

    def decider(self) -> None:
        now_ns = self.now_ns()
        gap = self._gap("decider") > DECIDER_GAP_NS
        self.last_ns["decider"] = now_ns
        for message in map(decode, ipc.drain(self.harness.decider)):
            if isinstance(message, Offered):
                ipc.send(self.harness.decider, encode(Returned(message.slot)))
                self.judge.observe(
                    [Reading(one, message.captured_ns) for one in SEEN], LEASE.seen_blocks
                )
            elif isinstance(message, Ended):
                self.judge.ended(message)
        self.judge.silent = (Reason.TIME_GAP,) if gap else ()
        while actions := self.judge.step(now_ns):
            for action in actions:
                match action:
                    case Write(_, True):
                        self.records += 1
                        self.judge.recorded(self.records, now_ns)
                    case Ask(claim):
                        self.wire.bridge.hear_decider(claim, now_ns)
                    case Tell(message):
                        ipc.send(self.harness.decider, encode_lease(message))

    def ring(self) -> bytes:
        """Every slot of the release ring."""
        fd = self.harness.ring.fd
        return os.pread(fd, os.fstat(fd).st_size, 64)

    def _gap(self, name: str) -> int:
        return self.now_ns() - self.last_ns[name]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "m")
    yield device
    device.matcher.close()


@pytest.mark.slow
@pytest.mark.parametrize("first", ["gate", "decider", "bridge"])
def test_after_an_hour_of_sleep_nothing_from_before_is_released_and_frames_flow_again(
    device: Device, first: str
) -> None:
    device.run(3 * S)
    assert len(device.captured) > 20
    assert device.wire.board.line and any(device.ring())
    slept_ns = device.now_ns()

    device.wire.now_ns += HOUR_NS
    woke_ns = device.now_ns()
    device.captured.clear()
    device.run(50 * MS, first)

    assert device.captured == []
    assert not any(device.ring())
    assert not device.judge.outlook.permitted
    assert not device.wire.board.line

    device.run(4 * S)

    assert len(device.captured) > 20
    assert min(device.captured) >= woke_ns + S  # the dwell
    assert all(at > slept_ns + HOUR_NS for at in device.captured)
    assert device.wire.board.line
