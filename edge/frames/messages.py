"""What capture, gate and decider tell each other, as fixed binary messages.

    capture -> gate     Captured, SourceEnd        gate -> capture   Freed
    gate -> decider     Noted, Offered, Ended,     decider -> gate   Returned, edge.lease
                        Compared
    gate -> parent      Resolved (batches)

Every message starts with a byte of `edge.wire.Tag`. All times are nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from edge.errors import GuardError
from edge.reasons import Reason
from edge.view.look import Look
from edge.wire import Tag


class End(Enum):
    """Why a source delivers no more frames."""

    EOF = 0
    LOST = 1
    LAGGING = 2  # a frame came later than the record accepts; it was not delivered


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame now lies in `slot` of the pool."""

    slot: int
    sequence: int
    captured_ns: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """No frame follows `sequence`."""

    end: End
    sequence: int


@dataclass(frozen=True, slots=True)
class Freed:
    """The gate needs `slot` no longer."""

    slot: int


@dataclass(frozen=True, slots=True)
class Noted:
    """What the sentinel saw in one frame."""

    sequence: int
    captured_ns: int
    look: Look


@dataclass(frozen=True, slots=True)
class Offered:
    """The gate lends the frame in `slot` to the decider as evidence."""

    slot: int
    sequence: int
    captured_ns: int
    height: int
    width: int
    final: bool  # the last frame of the stream: every class must read it


@dataclass(frozen=True, slots=True)
class Returned:
    """The decider is done with the lent `slot`."""

    slot: int
    seen_blocks: int | None = None  # to compare while no lease names any; None: as before


@dataclass(frozen=True, slots=True)
class Ended:
    """A lease of `epoch` is no longer held; what was released under that epoch so far."""

    epoch: int
    released: int
    last_captured_ns: int  # of the last released frame; -1 if there was none
    reason: Reason | None  # why the gate gave the lease up; None if it ran out or was revoked
    drained: bool  # the stream is over and nothing waits any more
    final: bool  # the epoch is over: nothing more will be released under it
    judged: int = 0  # frames of the whole run with a final word
    results: int = 0  # of the matcher in the whole run, handed on
    refused: int = 0  # the same, dropped


@dataclass(frozen=True, slots=True)
class Compared:
    """The matcher reports references, each a 32-byte digest."""

    gallery: bool  # whom it compares every face with; else one it just compared
    references: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The final word on one frame."""

    sequence: int
    captured_ns: int
    reason: Reason | None  # None: released to the matcher
    epoch: int  # of the lease or revocation that decided
    step_ns: int  # time the gate spent on the frame when it arrived


Message = Captured | SourceEnd | Freed | Noted | Offered | Returned | Ended | Compared

_CAPTURED = struct.Struct("<BHQqHH")
_END = struct.Struct("<BBQ")
_SLOT = struct.Struct("<BH")
_NOTED = struct.Struct("<BQqfffffQ?")
_OFFERED = struct.Struct("<BHQqHH?")
_RETURNED = struct.Struct("<BH?Q")
_ENDED = struct.Struct("<BQQqi??QQQ")
_COMPARED = struct.Struct("<B?")
_RESOLVED = struct.Struct("<QqiQI")
_BATCH = bytes([Tag.RESOLVED])
_CAPTURED_TAG, _NOTED_TAG = int(Tag.CAPTURED), int(Tag.NOTED)  # plain numbers pack faster
_REASONS = tuple(Reason)
_INDEX = {reason: i for i, reason in enumerate(_REASONS)}


def encode(message: Message) -> bytes:
    """The message as bytes."""
    match message:
        case Noted(s, t, look):
            return encode_note(s, t, look)
        case Captured(slot, s, t, h, w):
            return _CAPTURED.pack(Tag.CAPTURED, slot, s, t, h, w)
        case Freed(slot):
            return _SLOT.pack(Tag.FREED, slot)
        case Offered(slot, s, t, h, w, final):
            return _OFFERED.pack(Tag.OFFERED, slot, s, t, h, w, final)
        case Returned(slot, blocks):
            return _RETURNED.pack(Tag.RETURNED, slot, blocks is not None, blocks or 0)
        case SourceEnd(end, s):
            return _END.pack(Tag.SOURCE_END, end.value, s)
        case Compared(gallery, references):
            return _COMPARED.pack(Tag.COMPARED, gallery) + b"".join(references)
        case Ended(epoch, released, last, reason, drained, final):
            counts = message.judged, message.results, message.refused
            number = _number(reason)
            return _ENDED.pack(Tag.ENDED, epoch, released, last, number, drained, final, *counts)


def encode_captured(slot: int, sequence: int, captured_ns: int, height: int, width: int) -> bytes:
    """A `Captured` straight from its fields; made for each frame, which waits for it."""
    return _CAPTURED.pack(_CAPTURED_TAG, slot, sequence, captured_ns, height, width)


def encode_note(sequence: int, captured_ns: int, look: Look) -> bytes:
    """A `Noted` straight from its fields; made for each frame."""
    return _NOTED.pack(_NOTED_TAG, sequence, captured_ns, *look)


def decode(data: bytes) -> Message:
    """The message in `data`.

    Raises:
        GuardError: not a whole message of this protocol.
    """
    try:
        match data[0]:
            case Tag.CAPTURED:
                return Captured(*_CAPTURED.unpack(data)[1:])
            case Tag.SOURCE_END:
                _, end, sequence = _END.unpack(data)
                return SourceEnd(End(end), sequence)
            case Tag.FREED:
                return Freed(_SLOT.unpack(data)[1])
            case Tag.NOTED:
                _, s, t, *look = _NOTED.unpack(data)
                return Noted(s, t, Look(*look))
            case Tag.OFFERED:
                return Offered(*_OFFERED.unpack(data)[1:])
            case Tag.RETURNED:
                _, slot, named, blocks = _RETURNED.unpack(data)
                return Returned(slot, blocks if named else None)
            case Tag.ENDED:
                _, epoch, released, last, number, *rest = _ENDED.unpack(data)
                return Ended(epoch, released, last, _reason(number), *rest)
            case Tag.COMPARED if (len(data) - _COMPARED.size) % 32 == 0:
                begins = range(_COMPARED.size, len(data), 32)
                return Compared(bool(data[1]), tuple(data[i : i + 32] for i in begins))
    except (struct.error, ValueError) as err:
        raise GuardError(f"malformed message of {len(data)} bytes between processes") from err
    raise GuardError(f"unknown message tag {data[0]} between processes")


def encode_resolved(batch: list[Resolved]) -> bytes:
    """A batch of final words as one message."""
    return _BATCH + b"".join(
        _RESOLVED.pack(
            r.sequence, r.captured_ns, _number(r.reason), r.epoch, min(r.step_ns, 0xFFFFFFFF)
        )
        for r in batch
    )


def is_resolved(data: bytes) -> bool:
    """Whether `data` is a batch of final words."""
    return data[:1] == _BATCH


def decode_resolved(data: bytes) -> list[Resolved]:
    """The batch in `data`; see `encode_resolved`."""
    return [
        Resolved(s, t, _reason(number), epoch, step)
        for s, t, number, epoch, step in _RESOLVED.iter_unpack(data[1:])
    ]


def _number(reason: Reason | None) -> int:
    return -1 if reason is None else _INDEX[reason]


def _reason(number: int) -> Reason | None:
    if number >= len(_REASONS):
        raise ValueError(f"reason {number}")
    return None if number < 0 else _REASONS[number]
