"""Framing: which bytes on the wire are one packet's body.

A body is at most `MAX_BODY` bytes, ends in a CRC-16 of all before it, and goes
out COBS-coded with a zero byte behind it. The CRC only tells noise from
packets, so that noise is counted as noise; the tag inside decides whether a
packet is accepted (`packets`). Receiving again starts at the next zero byte,
so nothing lost, cut or added harms more than the packets it touched.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator

from cobs import cobs

MAX_BODY = 80
MAX_CODED = MAX_BODY + 1  # COBS adds one byte per 254
CRC_SIZE = 2


def crc16(data: bytes) -> int:
    """CRC-16/IBM-3740: polynomial 0x1021, start 0xFFFF; "123456789" gives 0x29B1."""
    return binascii.crc_hqx(data, 0xFFFF)


def frame(content: bytes) -> bytes:
    """The wire form of `content`: CRC added, COBS-coded, zero byte behind it."""
    body = content + crc16(content).to_bytes(CRC_SIZE, "little")
    if len(body) > MAX_BODY:
        raise ValueError(f"a body holds at most {MAX_BODY} bytes, got {len(body)}")
    return bytes(cobs.encode(body)) + b"\0"


class Deframer:
    """Turns whatever bytes arrive into the contents of whole, undamaged packets."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._overlong = False
        self.noise = 0  # pieces between zero bytes that were no packet

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each content that `data` completes; never holds more than one packet."""
        *whole, rest = data.split(b"\0")
        for piece in whole:
            self._hold(piece)
            content = self._finish()
            if content is not None:
                yield content
        self._hold(rest)

    def clear(self) -> None:
        """Forget a half-received packet."""
        self._held.clear()
        self._overlong = False

    def _hold(self, piece: bytes) -> None:
        if self._overlong or len(self._held) + len(piece) > MAX_CODED:
            self._overlong = True
            self._held.clear()
        else:
            self._held += piece

    def _finish(self) -> bytes | None:
        coded, overlong = bytes(self._held), self._overlong
        self.clear()
        if not coded and not overlong:
            return None  # zero bytes in a row are idle line, not noise
        content = None if overlong else _checked(coded)
        if content is None:
            self.noise += 1
        return content


def _checked(coded: bytes) -> bytes | None:
    try:
        body = bytes(cobs.decode(coded))
    except cobs.DecodeError:
        return None
    content, crc = body[:-CRC_SIZE], body[-CRC_SIZE:]
    if len(body) <= CRC_SIZE or int.from_bytes(crc, "little") != crc16(content):
        return None
    return content
