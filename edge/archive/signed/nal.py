"""H.264 byte streams (Annex B): NAL units, and the signing SEI among them. Bytes in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

SIGNING = UUID("005bc93f-2d71-5e95-ada4-796f90877a6f").bytes  # of ONVIF Media Signing
GENERAL, HASHES, SIGNATURE, CRYPTO, CERTIFICATES = 1, 2, 3, 4, 6
_UNREGISTERED = 5  # SEI payload type: user data, unregistered
_SLICE, _IDR, _SEI = 1, 5, 6


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
    """Whether a file starts as a byte stream does."""
    return data.startswith((b"\0\0\1", b"\0\0\0\1"))


def is_picture(unit: bytes) -> bool:
    """Whether it is a slice, which is what a signer hashes."""
    return unit[0] & 0x1F in (_SLICE, _IDR)


def opens_group(unit: bytes) -> bool:
    """Whether it is the first slice of an IDR picture."""
    return unit[0] & 0x1F == _IDR and len(unit) > 1 and bool(unit[1] & 0x80)


def signing_sei(unit: bytes) -> SigningSei | None:
    """The signer's SEI; None if the unit is none.

    Raises:
        ValueError: it is one, and damaged.
    """
    if unit[0] & 0x1F != _SEI or unit[1:2] != bytes([_UNREGISTERED]) or SIGNING not in unit[:600]:
        return None
    plain, raw_end = _without_prevention(unit)
    at, size = 2, 0
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
