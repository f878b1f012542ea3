"""Random runs of a board: good and bad packets, readings and time, from one seed.

`play` executes one run on any number of boards at once and returns the state of each
after every step; equal boards have equal states.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from firmware_bridge import packets, payloads
from firmware_bridge.framing import Deframer, frame
from firmware_bridge.packets import Kind, Packet
from firmware_bridge.virtual.sensors import Sensors
from tests.support.boards import BOOT_ID, KEYS, MS, STILL, random_reading

TIMES_MS = (0, 1, 2, 10, 19, 20, 49, 50, 99, 100, 101, 150, 200, 249, 250, 251, 499, 500, 501)
STEPS = 12


@dataclass(frozen=True, slots=True)
class Step:
    """One call on a board: `reading`, `data` or neither, at `now_us`."""

    now_us: int
    data: bytes | None = None
    reading: Sensors | None = None


def apply(board: Any, step: Step) -> tuple[bytes, bool]:
    """Do one step; returns the board's packets and state."""
    if step.data is not None:
        board.receive(step.data, step.now_us)
    elif step.reading is not None:
        board.sense(step.reading, step.now_us)
    else:
        board.tick(step.now_us)
    return board.take(), board.line


class Life:
    """Chooses steps; reads the first board's answers, like an attacker on the line."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._now_us = 0
        self._sequence = 0
        self._challenges = [0]
        self._decision = 1
        self._sent: list[bytes] = []
        self._deframer = Deframer()

    def steps(self) -> Iterator[Step]:
        yield Step(self._now_us, reading=STILL)
        if self._rng.random() < 0.9:
            yield self._hello()
        for _ in range(STEPS):
            yield self._choose()

    def hear(self, sent: bytes) -> None:
        for content in self._deframer.feed(sent):
            packet = packets.unseal(content, KEYS.from_board, from_board=True)
            assert isinstance(packet, Packet)
            if packet.kind == Kind.STATUS.value:
                self._challenges.append(payloads.Status.unpack(packet.payload).challenge)
            elif packet.kind == Kind.GREETING.value:
                self._challenges.append(payloads.Greeting.unpack(packet.payload).challenge)

    def _choose(self) -> Step:
        rng = self._rng
        kinds: Sequence[tuple[Callable[[], Step], int]] = (
            (self._good_lease, 30),
            (self._claim, 12),
            (self._pass_time, 25),
            (self._sense, 14),
            (self._odd_lease, 6),
            (self._other_command, 8),
            (self._damaged, 6),
            (self._again, 4),
            (self._hello, 2),
            (self._garbage, 3),
        )
        choices, weights = zip(*kinds, strict=True)
        return rng.choices(choices, weights)[0]()

    def _pass_time(self) -> Step:
        rng = self._rng
        step_ms = rng.choice(TIMES_MS) if rng.random() < 0.9 else rng.choice((999, 1000, 2000))
        self._now_us += step_ms * MS + rng.choice((0, 0, 0, -1 if step_ms else 0, 1, 999))
        return Step(self._now_us)

    def _sense(self) -> Step:
        return Step(self._now_us, reading=random_reading(self._rng))

    def _lease(self, **changes: Any) -> Step:
        values = {
            "challenge": self._challenges[-1],
            "echo_ms": self._now_us // MS & payloads.WORD,
            "decision": self._decision,
            "life_ms": self._rng.choice((20, 50, 200, 200, 500, 501)),
            "releasing": False,
        } | changes
        return self._packet(Kind.LEASE.value, payloads.LeaseRequest(**values).pack())

    def _good_lease(self) -> Step:
        if self._rng.random() < 0.25:
            self._decision += 1
        return self._lease()

    def _claim(self) -> Step:
        return self._lease(releasing=True)

    def _odd_lease(self) -> Step:
        rng = self._rng
        if rng.random() < 0.1:
            return self._packet(Kind.LEASE.value, rng.randbytes(18) + b"\x02")
        return self._lease(
            **rng.choice(
                (
                    {"life_ms": 0, "decision": 0},
                    {"life_ms": 0, "releasing": True},
                    {"decision": 0},
                    {"life_ms": 65535},
                    {"challenge": rng.choice(self._challenges)},
                    {"challenge": rng.getrandbits(64)},
                    {"echo_ms": (self._now_us // MS - rng.choice((250, 251))) & payloads.WORD},
                    {"echo_ms": (self._now_us // MS + 1) & payloads.WORD},
                )
            )
        )

    def _other_command(self) -> Step:
        rng = self._rng
        kind = rng.choice((3, 3, 4, 5, 4, 5, rng.randrange(256)))
        size = rng.choice((0, 8, 8, rng.randrange(47)))
        return self._packet(kind, rng.randbytes(size))

    def _hello(self) -> Step:
        low, high = self._rng.choice(((1, 1), (1, 1), (1, 1), (0, 2), (2, 3), (0, 0)))
        payload = payloads.Hello(low, high, self._rng.getrandbits(64)).pack()
        content = packets.seal(
            Packet(Kind.HELLO.value, 0, 0, payload), KEYS.to_board, from_board=False
        )
        return Step(self._now_us, data=frame(content))

    def _damaged(self) -> Step:
        rng = self._rng
        payload = rng.randbytes(rng.choice((0, 8, 19)))
        what = rng.randrange(7)
        packet = Packet(
            rng.choice((1, 2, 3)),
            BOOT_ID + (what == 0),
            self._sequence + (what != 1),
            payload,
        )
        content = packets.seal(
            packet,
            KEYS.to_board if what != 2 else bytes(32),
            from_board=what == 3,
            key_id=int(what == 4),
        )
        if what == 5:
            content = b"\x09" + content[1:]
        if what == 6:
            content = content[: rng.randrange(1, len(content))]
        return Step(self._now_us, data=frame(content))

    def _again(self) -> Step:
        if not self._sent:
            return self._garbage()
        wire = self._rng.choice(self._sent)
        if self._rng.random() < 0.5:
            cut = self._rng.randrange(len(wire))
            wire = wire[cut:] + wire[:cut]
        return Step(self._now_us, data=wire)

    def _garbage(self) -> Step:
        rng = self._rng
        size = rng.choice((1, 40, 82, 83, 84, 200))
        data = rng.randbytes(size)
        if rng.random() < 0.5:
            data = data.replace(b"\0", b"\1") + b"\0"
        return Step(self._now_us, data=data)

    def _packet(self, kind: int, payload: bytes) -> Step:
        self._sequence += 1
        packet = Packet(kind, BOOT_ID, self._sequence, payload)
        wire = frame(packets.seal(packet, KEYS.to_board, from_board=False))
        self._sent.append(wire)
        return Step(self._now_us, data=wire)


def play(seed: int, oracle: Any) -> Iterator[tuple[Step, bytes, bool]]:
    """Execute the run of `seed` on `oracle`; returns each step with its packets and state."""
    life = Life(seed)
    for step in life.steps():
        sent, line = apply(oracle, step)
        life.hear(sent)
        yield step, sent, line
