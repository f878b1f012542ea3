"""A host for tests of a board: builds good and bad packets, and reads the answers.

Used with `VirtualBoard` and with the firmware's C alike. This module shares no code
with `session`, so that each checks the other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from firmware_bridge import packets, payloads
from firmware_bridge.framing import Deframer, frame
from firmware_bridge.packets import Keys, Kind, Packet
from firmware_bridge.payloads import Greeting, LeaseRequest, Refused, Status
from firmware_bridge.virtual.sensors import Sensors

ROOT = bytes(range(100, 132))
KEYS = Keys.derive(ROOT)
BOOT_ID = 0x0123_4567_89AB_CDEF
MS = 1000
STILL = Sensors(
    docked=True,
    dock_id=b"D-0017",
    tampered=False,
    gyro=(8, -5, 3),
    accel=(0, 0, 4905),
    lux=32000,
)


@dataclass
class Host:
    """Talks to one board in board time, one microsecond counter for both."""

    board: Any
    now_us: int = 0
    sequence: int = 0
    challenge: int = 0
    keys: Keys = KEYS
    boot_id: int = BOOT_ID
    heard: list[Packet] = field(default_factory=list)
    status: Status | None = None
    greeting: Greeting | None = None
    refused: list[Refused] = field(default_factory=list)
    reading: Sensors = STILL
    _deframer: Deframer = field(default_factory=Deframer)

    def pass_ms(self, ms: float, *, sense: bool = True) -> None:
        """Let time pass in steps of a millisecond, sensing every tenth."""
        for _ in range(round(ms)):
            self.now_us += MS
            if sense and self.now_us // MS % 10 == 0:
                self.board.sense(self.reading, self.now_us)
            self.board.tick(self.now_us)
            self.listen()

    def sense(self, reading: Sensors) -> None:
        self.reading = reading
        self.board.sense(reading, self.now_us)
        self.listen()

    def send(self, kind: int, payload: bytes, **changes: Any) -> bytes:
        """Send one packet with the next sequence number; returns its bytes."""
        self.sequence += 1
        wire = self.wire(kind, payload, **changes)
        self.raw(wire)
        return wire

    def wire(self, kind: int, payload: bytes, **changes: Any) -> bytes:
        values = {
            "boot_id": self.boot_id,
            "sequence": self.sequence,
            "key": self.keys.to_board,
            "from_board": False,
            "key_id": 0,
        } | changes
        packet = Packet(kind, values["boot_id"], values["sequence"], payload)
        content = packets.seal(
            packet, values["key"], from_board=values["from_board"], key_id=values["key_id"]
        )
        return frame(content)

    def raw(self, data: bytes) -> None:
        self.board.receive(data, self.now_us)
        self.listen()

    def listen(self) -> None:
        for content in self._deframer.feed(self.board.take()):
            packet = packets.unseal(content, self.keys.from_board, from_board=True)
            assert isinstance(packet, Packet), packet
            self.heard.append(packet)
            if packet.kind == Kind.STATUS.value:
                self.status = Status.unpack(packet.payload)
                self.challenge = self.status.challenge
            elif packet.kind == Kind.GREETING.value:
                self.greeting = Greeting.unpack(packet.payload)
                self.challenge = self.greeting.challenge
                self.sequence = self.greeting.host_sequence
            elif packet.kind == Kind.REFUSED.value:
                self.refused.append(Refused.unpack(packet.payload))

    def hello(self, low: int = 1, high: int = 1, nonce: int = 99) -> None:
        payload = payloads.Hello(low, high, nonce).pack()
        self.raw(self.wire(Kind.HELLO.value, payload, boot_id=0, sequence=0))

    def lease_payload(
        self,
        decision: int = 1,
        life_ms: int = 200,
        releasing: bool = False,
        echo_ms: int | None = None,
        challenge: int | None = None,
    ) -> bytes:
        echo_ms = self.now_us // MS if echo_ms is None else echo_ms
        challenge = self.challenge if challenge is None else challenge
        return LeaseRequest(challenge, echo_ms & payloads.WORD, decision, life_ms, releasing).pack()

    def lease(self, decision: int = 1, life_ms: int = 200, **changes: Any) -> bytes:
        return self.send(Kind.LEASE.value, self.lease_payload(decision, life_ms, **changes))

    def revoke(self) -> bytes:
        return self.lease(0, 0)

    def ready(self) -> Host:
        """Greeted, docked and still."""
        self.pass_ms(10)
        self.hello()
        return self


def random_reading(rng: random.Random) -> Sensors:
    """Mostly still and docked; sometimes anything."""
    if rng.random() < 0.6:
        return STILL
    maybe = [True, False, None]
    return Sensors(
        docked=rng.choice(maybe),
        dock_id=rng.choice([b"D-0017", b"x", None]),
        tampered=rng.choice([False, False, None, True]),
        gyro=rng.choice([(1, 2, 3), (750, 0, 0), (751, 0, 0), (-32768, 32767, 0), None]),
        accel=rng.choice(
            [(0, 0, 4905), (0, 4155, 0), (0, 4154, 0), (5655, 0, 0), (5656, 0, 0), None]
        ),
        lux=rng.choice([None, 0, 2**32 - 1]),
        speed=rng.choice([None, 0, 200, 201, 65535]),
        position=rng.choice([None, (-(2**31), 2**31 - 1)]),
    )
