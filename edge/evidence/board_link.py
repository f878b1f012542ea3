"""What bridge and decider tell each other: one message a datagram.

Decider to bridge: `Claim`, `Floors`. Bridge to decider: `BoardStatus`,
`BoardSample`, `Floors`. Times are nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from edge.errors import GuardError
from edge.evidence.readings import BoardSample, Vector
from edge.reasons import Reason
from edge.wire import Tag, pack, unpack


class Link(Enum):
    """How far the link to the board has come."""

    DOWN = 0  # no port
    HELLO = 1  # a port, and no board that answers as it should
    UP = 2  # authenticated, and heard from within the last 200 ms


class Fault(Enum):
    """What the board has latched; a later member outranks an earlier one."""

    NONE = 0
    VETO = 1  # its own sensors spoke against a running permit
    CLAIM = 2  # three leases claimed a release that the line did not permit
    TAMPER = 3
    SEQUENCE = 4  # sequence numbers are used up: only a reset helps


@dataclass(frozen=True, slots=True)
class Claim:
    """Decider: frames may be released under `decision`, or (`releasing` false) may not."""

    decision: int  # 1 to 2**32 - 1
    releasing: bool


@dataclass(frozen=True, slots=True)
class Floors:
    """Largest audit log size and policy version, sent to the board or by it."""

    log_size: int
    policy_version: int


@dataclass(frozen=True, slots=True)
class BoardStatus:
    """Bridge: the state of board and link."""

    captured_ns: int
    link: Link
    permitted: bool
    decision: int  # the one the board permits; 0 while it inhibits
    fault: Fault
    reasons: tuple[Reason, ...] = ()  # why no permit should be asked for or relied on


Message = Claim | Floors | BoardStatus | BoardSample

_KINDS: dict[Tag, type[Claim | Floors | BoardStatus]] = {
    Tag.CLAIM: Claim,
    Tag.FLOORS: Floors,
    Tag.BOARD_STATUS: BoardStatus,
}
_TAGS = {kind: tag for tag, kind in _KINDS.items()}
_SAMPLE = struct.Struct("<BqH12d")  # tag, time, which of what follows are there
_NO_VECTOR = (None, None, None)
_SAMPLE_TAG = bytes([Tag.BOARD_SAMPLE])  # as often as frames, and packed as what comes with those


def encode(message: Message) -> bytes:
    """The datagram for `message`."""
    if isinstance(message, BoardSample):
        return _encode_sample(message)
    return pack(_TAGS[type(message)], message)


def decode(data: bytes) -> Message:
    """The message in `data`.

    Raises:
        GuardError: it is none of the messages above.
    """
    if data[:1] != _SAMPLE_TAG:
        found: Message = unpack(data, _KINDS)
        return found
    try:
        return _decode_sample(data)
    except (struct.error, ValueError) as err:
        raise GuardError(f"malformed board sample of {len(data)} bytes: {err}") from err


def _encode_sample(sample: BoardSample) -> bytes:
    values: tuple[float | None, ...] = (
        *(sample.gyro_rad_s or _NO_VECTOR),
        *(sample.accel_m_s2 or _NO_VECTOR),
        *(sample.lux, sample.speed_m_s, sample.lat_deg, sample.lon_deg),
        *(sample.dock, sample.tampered),
    )
    has = sum(1 << i for i, value in enumerate((*values, sample.dock_id)) if value is not None)
    numbers = [0.0 if value is None else value for value in values]
    dock_id = (sample.dock_id or "").encode()
    return _SAMPLE.pack(Tag.BOARD_SAMPLE, sample.captured_ns, has, *numbers) + dock_id


def _decode_sample(data: bytes) -> BoardSample:
    _, captured_ns, has, *numbers = _SAMPLE.unpack_from(data)
    if has >> len(numbers) > 1:
        raise ValueError("unknown flags")
    values = [number if has >> i & 1 else None for i, number in enumerate(numbers)]
    lux, speed_m_s, lat_deg, lon_deg, dock, tampered = values[6:]
    return BoardSample(
        captured_ns=captured_ns,
        dock=None if dock is None else dock == 1.0,
        dock_id=data[_SAMPLE.size :].decode() if has >> len(numbers) else None,
        tampered=None if tampered is None else tampered != 0.0,
        gyro_rad_s=_vector(values[0:3]),
        accel_m_s2=_vector(values[3:6]),
        lux=lux,
        speed_m_s=speed_m_s,
        lat_deg=lat_deg,
        lon_deg=lon_deg,
    )


def _vector(values: list[float | None]) -> Vector | None:
    x, y, z = values
    return None if x is None or y is None or z is None else (x, y, z)
