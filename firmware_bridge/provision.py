"""Provisioning: the key block as the file that each platform's own flash tool takes.

No key crosses the link: the board gets it by its debug port or boot loader.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edge.errors import UsageError
from edge.files import write_new
from firmware_bridge import store
from firmware_bridge.images import memory_map

_UF2_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_UF2_FAMILY_PRESENT = 0x2000
_UF2_RP2040 = 0xE48BFF56
_UF2_PAYLOAD = 256


class Platform(Enum):
    """A board that can be provisioned."""

    RP2040 = "rp2040"
    LM3S6965 = "lm3s6965"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a platform keeps the block, and what writes it there."""

    address: int
    suffix: str
    tool: tuple[str, ...]


PLACES = {
    Platform.RP2040: Place(memory_map.RP2040.store, "uf2", ("picotool", "load", "-v", "{file}")),
    Platform.LM3S6965: Place(
        memory_map.LM3S6965.store,
        "bin",
        ("openocd", "-f", "board/ek-lm3s6965.cfg", "-c", "program {file} {address} verify exit"),
    ),
}


def uf2(content: bytes, address: int, family: int = _UF2_RP2040) -> bytes:
    """`content` as a UF2 file for `address`, a multiple of 256."""
    pieces = [content[i : i + _UF2_PAYLOAD] for i in range(0, len(content), _UF2_PAYLOAD)]
    out = b""
    for number, piece in enumerate(pieces):
        head = struct.pack(
            "<8I",
            *_UF2_MAGIC[:2],
            _UF2_FAMILY_PRESENT,
            address + number * _UF2_PAYLOAD,
            _UF2_PAYLOAD,
            number,
            len(pieces),
            family,
        )
        out += head + piece.ljust(476, b"\0") + struct.pack("<I", _UF2_MAGIC[2])
    return out


def write(platform: Platform, root: bytes, out: Path) -> tuple[Path, list[str]]:
    """Write the block for `platform` to `out`, readable by its owner alone.

    Returns:
        The file, and the command that puts it on the board.

    Raises:
        UsageError: the file cannot be written, or is there already.
    """
    place = PLACES[platform]
    content = store.block(root)
    if platform is Platform.RP2040:
        content = uf2(content.ljust(_UF2_PAYLOAD, b"\xff"), place.address)
    if out.exists():
        raise UsageError(f"{out} exists already; a key is never overwritten")
    try:
        write_new(out, content, 0o600)
    except OSError as err:
        raise UsageError(f"cannot write {out}: {err.strerror}") from err
    words = {"file": str(out), "address": f"{place.address:#x}"}
    return out, [part.format(**words) for part in place.tool]
