"""Packets: the values that cross the wire, sealed with a key per direction.

Content = header (16 bytes), payload (up to 46), tag (16). The header holds
version, kind, direction and key id, payload length, the board's boot id and a
strictly rising sequence number. The tag is HMAC-SHA-256 over header and
payload, cut to 128 bits. All integers are little-endian; `PROTOCOL.md` has the
layout byte by byte and `vectors.json` has examples for both sides.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from enum import Enum

VERSION = 1  # of the header and of every layout below
HEADER = struct.Struct("<BBBBQI")
TAG_SIZE = 16
ROOT_SIZE = 32
MAX_PAYLOAD = 46
MAX_SEQUENCE = 0xFFFF_FFFF
FROM_BOARD = 0x80  # in the key byte: set on everything the board sends
_SALT = b"framegate board v1"


class Kind(Enum):
    """What a packet is; above 0x80 it comes from the board."""

    HELLO = 0x01
    LEASE = 0x02
    PING = 0x03
    LOG_FLOOR = 0x04
    POLICY_FLOOR = 0x05
    GREETING = 0x81
    STATUS = 0x82
    EVIDENCE = 0x83
    FLOORS = 0x84
    REFUSED = 0x85


class Refusal(Enum):
    """Why a packet was not acted on."""

    NONE = 0
    LAYOUT = 1  # shorter than a header and a tag, or the length byte disagrees
    DIRECTION = 2
    VERSION = 3
    KEY_ID = 4
    TAG = 5
    BOOT = 6  # for another boot of the board
    SEQUENCE = 7  # not above the last one accepted
    KIND = 8  # no such command
    LENGTH = 9  # payload length does not fit the kind
    FIELD = 10  # a value that has no meaning
    CHALLENGE = 11  # neither the board's current challenge nor the one before
    STALE = 12  # echoes a board time too long ago


@dataclass(frozen=True, slots=True)
class Keys:
    """One key per direction, derived from the device's 32-byte root key."""

    to_board: bytes
    from_board: bytes

    @classmethod
    def derive(cls, root: bytes) -> Keys:
        """HKDF-SHA-256 (RFC 5869), one output block per direction.

        By `hmac`: a library that knows every cipher would be a fifth of the bridge's memory.
        """
        if len(root) != ROOT_SIZE:
            raise ValueError(f"a root key has {ROOT_SIZE} bytes, got {len(root)}")
        return cls(_hkdf(root, b"host to board"), _hkdf(root, b"board to host"))


def _hkdf(root: bytes, info: bytes) -> bytes:
    extracted = hmac.digest(_SALT, root, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


@dataclass(frozen=True, slots=True)
class Packet:
    """One authenticated packet; `kind` stays a number because it may be unknown."""

    kind: int
    boot_id: int
    sequence: int
    payload: bytes


def seal(packet: Packet, key: bytes, *, from_board: bool, key_id: int = 0) -> bytes:
    """Header, payload and tag, ready to be framed."""
    key_byte = key_id | (FROM_BOARD if from_board else 0)
    head = HEADER.pack(
        VERSION, packet.kind, key_byte, len(packet.payload), packet.boot_id, packet.sequence
    )
    signed = head + packet.payload
    return signed + tag(key, signed)


def tag(key: bytes, signed: bytes) -> bytes:
    """HMAC-SHA-256 cut to 128 bits."""
    return hmac.digest(key, signed, "sha256")[:TAG_SIZE]


def unseal(content: bytes, key: bytes, *, from_board: bool, key_id: int = 0) -> Packet | Refusal:
    """The packet in `content`, or why it is not one; freshness is the caller's to check."""
    if not HEADER.size + TAG_SIZE <= len(content) <= HEADER.size + MAX_PAYLOAD + TAG_SIZE:
        return Refusal.LAYOUT
    version, kind, key_byte, length, boot_id, sequence = HEADER.unpack_from(content)
    if HEADER.size + length + TAG_SIZE != len(content):
        return Refusal.LAYOUT
    if bool(key_byte & FROM_BOARD) is not from_board:
        return Refusal.DIRECTION
    if version != VERSION:
        return Refusal.VERSION
    if key_byte & ~FROM_BOARD != key_id:
        return Refusal.KEY_ID
    signed, given = content[:-TAG_SIZE], content[-TAG_SIZE:]
    if not hmac.compare_digest(tag(key, signed), given):
        return Refusal.TAG
    return Packet(kind, boot_id, sequence, signed[HEADER.size :])
