"""Payloads: what each kind of packet carries between header and tag.

Every class packs to a fixed length and unpacks only that length; a value out
of its range raises `BridgeError`. Units on the wire are in the field names.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from edge.errors import BridgeError
from edge.evidence.board_link import Fault
from firmware_bridge.packets import Refusal

WORD = 0xFFFF_FFFF
BOARDS = {1: "virtual", 2: "process", 3: "lm3s6965", 4: "rp2040"}
REAL_BOARDS = frozenset({4})  # the sensors of any other kind are made up


def _fields(layout: struct.Struct, payload: bytes, name: str) -> tuple[int, ...]:
    if len(payload) != layout.size:
        raise BridgeError(f"{name} has {layout.size} bytes, got {len(payload)}")
    return layout.unpack(payload)


@dataclass(frozen=True, slots=True)
class Hello:
    """Host: the versions it speaks, and a nonce that the greeting must echo."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBQ")
    min_version: int
    max_version: int
    nonce: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.min_version, self.max_version, self.nonce)

    @classmethod
    def unpack(cls, payload: bytes) -> Hello:
        return cls(*_fields(cls.LAYOUT, payload, "hello"))


@dataclass(frozen=True, slots=True)
class Greeting:
    """Board: answers a hello, whatever its versions."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBB8sQQIQ")
    min_version: int
    max_version: int
    board: int  # a key of BOARDS
    firmware: bytes  # first 8 bytes of the image's SHA-256
    nonce: int
    challenge: int
    host_sequence: int  # the last one accepted: go on above it
    t_us: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(
            self.min_version,
            self.max_version,
            self.board,
            self.firmware,
            self.nonce,
            self.challenge,
            self.host_sequence,
            self.t_us,
        )

    @classmethod
    def unpack(cls, payload: bytes) -> Greeting:
        if len(payload) != cls.LAYOUT.size:
            raise BridgeError(f"greeting has {cls.LAYOUT.size} bytes, got {len(payload)}")
        return cls(*cls.LAYOUT.unpack(payload))


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Host: permit for `life_ms` from receipt; 0 revokes."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<QIIHB")
    challenge: int
    echo_ms: int  # the newest board time seen, modulo 2**32
    decision: int
    life_ms: int
    releasing: bool  # False asks for a permit, True says it is in use

    def pack(self) -> bytes:
        return self.LAYOUT.pack(
            self.challenge, self.echo_ms, self.decision, self.life_ms, int(self.releasing)
        )

    @classmethod
    def unpack(cls, payload: bytes) -> LeaseRequest:
        challenge, echo_ms, decision, life_ms, claim = _fields(cls.LAYOUT, payload, "lease")
        if claim > 1:
            raise BridgeError(f"lease claims {claim}, expected 0 or 1")
        return cls(challenge, echo_ms, decision, life_ms, bool(claim))


@dataclass(frozen=True, slots=True)
class Status:
    """Board: what it permits and why not, and proof that it has heard the host lately."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBBBIQQIIHHHB")
    permitted: bool
    fault: Fault
    veto: int  # bits of `sensors.Veto`: what speaks against a permit just now
    mismatches: int
    decision: int  # 0 while inhibited
    challenge: int
    t_us: int
    host_sequence: int
    host_age_us: int  # since that sequence number came, at most 2**32 - 1
    life_left_ms: int
    refused: int  # modulo 2**16
    noise: int  # modulo 2**16
    refusal: Refusal  # the last one

    def pack(self) -> bytes:
        return self.LAYOUT.pack(
            int(self.permitted),
            self.fault.value,
            self.veto,
            self.mismatches,
            self.decision,
            self.challenge,
            self.t_us,
            self.host_sequence,
            self.host_age_us,
            self.life_left_ms,
            self.refused,
            self.noise,
            self.refusal.value,
        )

    @classmethod
    def unpack(cls, payload: bytes) -> Status:
        fields = _fields(cls.LAYOUT, payload, "status")
        permitted, fault, refusal = fields[0], fields[1], fields[-1]
        if permitted > 1:
            raise BridgeError(f"status says permitted {permitted}, expected 0 or 1")
        try:
            names = (bool(permitted), Fault(fault), Refusal(refusal))
        except ValueError as err:
            raise BridgeError(f"status holds an unknown code: {err}") from err
        veto, mismatches, decision, challenge, t_us, host, host_us, left_ms, refused, noise = (
            fields[2:-1]
        )
        return cls(
            names[0],
            names[1],
            veto,
            mismatches,
            decision,
            challenge,
            t_us,
            host,
            host_us,
            left_ms,
            refused,
            noise,
            names[2],
        )


@dataclass(frozen=True, slots=True)
class FloorPayload:
    """Host: raise a floor to `value`; 0 only asks. Board: answers with `FloorsPayload`."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<Q")
    value: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.value)

    @classmethod
    def unpack(cls, payload: bytes) -> FloorPayload:
        return cls(*_fields(cls.LAYOUT, payload, "floor"))


@dataclass(frozen=True, slots=True)
class FloorsPayload:
    """Board: the largest audit log size and policy version it knows."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<QQ")
    log_size: int
    policy_version: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.log_size, self.policy_version)

    @classmethod
    def unpack(cls, payload: bytes) -> FloorsPayload:
        return cls(*_fields(cls.LAYOUT, payload, "floors"))


@dataclass(frozen=True, slots=True)
class Refused:
    """Board: this packet was not acted on, and why."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBI")
    kind: int
    refusal: Refusal
    sequence: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.kind, self.refusal.value, self.sequence)

    @classmethod
    def unpack(cls, payload: bytes) -> Refused:
        kind, refusal, sequence = _fields(cls.LAYOUT, payload, "refused")
        try:
            return cls(kind, Refusal(refusal), sequence)
        except ValueError as err:
            raise BridgeError(f"refusal {refusal} is unknown") from err
