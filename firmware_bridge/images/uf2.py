"""UF2: the file that the boot loader of an RP2040 takes, blocks that name their place in flash."""

from __future__ import annotations

import struct

_UF2_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_UF2_FAMILY_PRESENT = 0x2000
_UF2_RP2040 = 0xE48BFF56
UF2_PAYLOAD = 256  # bytes of content in a block


def uf2(content: bytes, address: int, family: int = _UF2_RP2040) -> bytes:
    """`content` as a UF2 file for `address`, a multiple of 256."""
    pieces = [content[i : i + UF2_PAYLOAD] for i in range(0, len(content), UF2_PAYLOAD)]
    out = b""
    for number, piece in enumerate(pieces):
        head = struct.pack(
            "<8I",
            *_UF2_MAGIC[:2],
            _UF2_FAMILY_PRESENT,
            address + number * UF2_PAYLOAD,
            UF2_PAYLOAD,
            number,
            len(pieces),
            family,
        )
        out += head + piece.ljust(476, b"\0") + struct.pack("<I", _UF2_MAGIC[2])
    return out
