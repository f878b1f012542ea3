"""Payloads: what each kind of packet carries between header and tag.

Every class packs to a fixed length and unpacks only that length; a value out
of its range raises `BridgeError`. Units on the wire are in the field names.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, ClassVar, TypeVar

from edge.errors import BridgeError
from edge.evidence.board_link import Fault
from firmware_bridge.packets import Refusal

WORD = 0xFFFF_FFFF
BOARDS = {1: "virtual", 2: "process", 3: "lm3s6965", 4: "rp2040"}
REAL_BOARDS = frozenset({4})  # the sensors of any other kind are made up

P = TypeVar("P", bound="_Payload")


def _flag(value: int) -> bool:
    if value > 1:
        raise ValueError(f"expected 0 or 1, got {value}")
    return bool(value)


_MEANINGS = {"permitted": _flag, "releasing": _flag, "fault": Fault, "refusal": Refusal}


class _Payload:
    """The fields of a dataclass in their order; flags and codes travel as numbers."""

    __slots__ = ()
    LAYOUT: ClassVar[struct.Struct]

    def pack(self) -> bytes:
        values = [getattr(self, name) for name in _names(type(self))]
        return self.LAYOUT.pack(*(v.value if isinstance(v, Enum) else v for v in values))

    @classmethod
    def unpack(cls: type[P], payload: bytes) -> P:
        """The inverse of `pack`.

        Raises:
            BridgeError: another length, or a flag or code that has no meaning.
        """
        if len(payload) != cls.LAYOUT.size:
            raise BridgeError(f"{cls.__name__} has {cls.LAYOUT.size} bytes, got {len(payload)}")
        found = dict(zip(_names(cls), cls.LAYOUT.unpack(payload), strict=True))
        try:
            found |= {name: read(found[name]) for name, read in _MEANINGS.items() if name in found}
        except ValueError as err:
            raise BridgeError(f"{cls.__name__}: {err}") from err
        return cls(**found)


def _names(kind: Any) -> list[str]:
    return [field.name for field in fields(kind)]


@dataclass(frozen=True, slots=True)
class Hello(_Payload):
    """Host: the versions it speaks, and a nonce that the greeting must echo."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBQ")
    min_version: int
    max_version: int
    nonce: int


@dataclass(frozen=True, slots=True)
class Greeting(_Payload):
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


@dataclass(frozen=True, slots=True)
class LeaseRequest(_Payload):
    """Host: permit for `life_ms` from receipt; 0 revokes."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<QIIHB")
    challenge: int
    echo_ms: int  # the newest board time seen, modulo 2**32
    decision: int
    life_ms: int
    releasing: bool  # False asks for a permit, True says it is in use


@dataclass(frozen=True, slots=True)
class Status(_Payload):
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


@dataclass(frozen=True, slots=True)
class FloorPayload(_Payload):
    """Host: raise a floor to `value`; 0 only asks. Board: answers with `FloorsPayload`."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<Q")
    value: int


@dataclass(frozen=True, slots=True)
class FloorsPayload(_Payload):
    """Board: the largest audit log size and policy version it knows."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<QQ")
    log_size: int
    policy_version: int


@dataclass(frozen=True, slots=True)
class Refused(_Payload):
    """Board: this packet was not acted on, and why."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBI")
    kind: int
    refusal: Refusal
    sequence: int
