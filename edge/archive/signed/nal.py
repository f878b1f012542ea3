"""H.264 and H.265: NAL units, and the signing SEI among them. Bytes in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from uuid import UUID

SIGNING = UUID("005bc93f-2d71-5e95-ada4-796f90877a6f").bytes  # of ONVIF Media Signing
GENERAL, HASHES, SIGNATURE, CRYPTO, CERTIFICATES = 1, 2, 3, 4, 6
_UNREGISTERED = 5  # SEI payload type: user data, unregistered


class Codec(Enum):
    """Whose units; the value is the length of a unit's header in bytes."""

    H264 = 1
    H265 = 2


class Kind(Enum):
    """What a unit is to a signer."""

    OPENS = "the first slice of a picture that opens a group"
    SLICE = "another slice"
    UNSIGNED = "a slice of a kind that is not signed"
    SEI = "supplemental information"
    OTHER = "no picture"


@dataclass(frozen=True, slots=True)
class SigningSei:
    """One SEI of the signer."""

    signed: bytes  # what the signature is over; empty: it has no signature
    tags: dict[int, bytes]
    certificates_only: bool


def units(stream: bytes) -> list[bytes]:
    """The NAL units of a byte stream, without start codes and trailing zeros."""
    parts = stream.split(b"\0\0\1")
    return [unit for part in parts[1:] if (unit := part.rstrip(b"\0"))]


def is_stream(data: bytes) -> bool:
    """Whether a file or a packet starts as a byte stream does."""
    return data.startswith((b"\0\0\1", b"\0\0\0\1"))


def kind_of(unit: bytes, codec: Codec) -> Kind:
    """What a unit is. A signer hashes the slices of `OPENS` and `SLICE`."""
    return _of_h264(unit) if codec is Codec.H264 else _of_h265(unit)


def _of_h264(unit: bytes) -> Kind:
    kind = unit[0] & 0x1F
    if kind == 5 and begins_picture(unit, Codec.H264):
        return Kind.OPENS
    if kind in (1, 5):
        return Kind.SLICE
    if kind in (2, 3, 4, 19, 20, 21):  # partitions, auxiliary pictures, further views
        return Kind.UNSIGNED
    return Kind.SEI if kind == 6 else Kind.OTHER


def _of_h265(unit: bytes) -> Kind:
    kind = unit[0] >> 1 & 0x3F
    if kind >= 32:
        return Kind.SEI if kind in (39, 40) else Kind.OTHER
    base = len(unit) > 1 and not unit[0] & 1 and not unit[1] >> 3  # not of a further layer
    if not base or kind not in (0, 1, *range(16, 22)):
        return Kind.UNSIGNED
    if kind >= 16 and begins_picture(unit, Codec.H265):
        return Kind.OPENS
    return Kind.SLICE


def begins_picture(unit: bytes, codec: Codec) -> bool:
    """Whether a slice is the first one of its picture."""
    return len(unit) > codec.value and bool(unit[codec.value] & 0x80)


def signing_sei(unit: bytes, codec: Codec) -> SigningSei | None:
    """The signer's SEI in a unit of the kind `SEI`; None if it is another one.

    Raises:
        ValueError: it is one, and damaged.
    """
    head = codec.value
    if unit[head : head + 1] != bytes([_UNREGISTERED]) or SIGNING not in unit[:600]:
        return None
    plain, raw_end = _without_prevention(unit)
    at, size = head + 1, 0
    while at < len(plain) and plain[at] == 0xFF:
        at, size = at + 1, size + 0xFF
    if at >= len(plain):
        raise ValueError("it ends in its size")
    size += plain[at]
    start, end = at + 1, at + 1 + size
    if plain[start : start + 16] != SIGNING or size < 17 or plain[end:] != b"\x80":
        raise ValueError("its size is wrong")
    flags, at, tags, before = plain[start + 16], start + 17, {}, 0
    while at < end:
        tag, length = plain[at], int.from_bytes(plain[at + 1 : at + 3], "big")
        if at + 3 + length > end or tag in tags or not 1 <= tag <= 7 or not length:
            raise ValueError("its fields are damaged")
        if tag == SIGNATURE:
            before = at
        tags[tag] = plain[at + 3 : at + 3 + length]
        at += 3 + length
    if before and at != before + 3 + len(tags[SIGNATURE]):
        raise ValueError("something follows the signature")
    escaped = bool(flags & 0x40)  # the signer hashed it with the emulation prevention bytes
    signed = unit[: raw_end[before - 1]] if escaped and before else plain[:before]
    return SigningSei(signed, tags, bool(flags & 0x80))


def _without_prevention(unit: bytes) -> tuple[bytes, list[int]]:
    """The unit without emulation prevention, and for each byte where it ended before."""
    plain, ends, zeros = bytearray(), [], 0
    for at, byte in enumerate(unit, 1):
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        plain.append(byte)
        ends.append(at)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(plain), ends
