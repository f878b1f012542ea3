"""Recognises serial devices that are not a board, so that the message names the true cause."""

from __future__ import annotations

import re

TAIL = 512  # bytes that are kept of what came last

_NMEA = re.compile(rb"\$(G[A-Z]|BD|QZ)[A-Z]{3},")
_AT = re.compile(rb"(^|[\r\n])(AT[+&]?|OK|ERROR|\+C[A-Z]+:)", re.M)


def speaks(tail: bytes, sent: bytes = b"") -> str:
    """What these last bytes of a port look like, in words; empty if nothing came.

    Args:
        tail: up to `TAIL` bytes, the newest last.
        sent: what was written to the port last.
    """
    if not tail:
        return ""
    if _NMEA.search(tail):
        return "NMEA, as a GNSS receiver does"
    if _AT.search(tail):
        return "AT commands, as a modem does"
    if len(sent) >= 8 and sent[:64] in tail:
        return "back what it is sent: an echo, or both lines joined"
    if not tail.strip(b"\0"):
        return "zero bytes only: the line is held low, or at another baud rate"
    text = sum(32 <= byte < 127 or byte in b"\r\n\t" for byte in tail)
    if text > 0.95 * len(tail):
        return "text"
    return "bytes that are no packets: another device, or another baud rate"
