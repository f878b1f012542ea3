"""Provisioning: the key block as the file that each platform's own flash tool takes.

No key crosses the link: the board gets it by its debug port or boot loader.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edge.errors import UsageError
from edge.files import named_by_user, write_new
from firmware_bridge import store
from firmware_bridge.images import memory_map
from firmware_bridge.images.uf2 import UF2_PAYLOAD, uf2


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
        content = uf2(content.ljust(UF2_PAYLOAD, b"\xff"), place.address)
    if out.exists():
        raise UsageError(f"{out} exists already; a key is never overwritten")
    with named_by_user("write", out):
        write_new(out, content, 0o600)
    words = {"file": str(out), "address": f"{place.address:#x}"}
    return out, [part.format(**words) for part in place.tool]
