"""The block that provisioning writes to a board: root key and boot seed.

It never crosses the link: the platform's own tool writes it to flash. Layout
as in `firmware/store.h`.
"""

from __future__ import annotations

import secrets

from firmware_bridge.framing import crc16
from firmware_bridge.packets import ROOT_SIZE

SIZE = 64
_START = b"FGKY\x01\0\0\0"


def block(root: bytes, seed: bytes | None = None) -> bytes:
    """The 64 bytes for `root`; `seed` (8 bytes) keeps boot ids of one board apart."""
    seed = secrets.token_bytes(8) if seed is None else seed
    if len(root) != ROOT_SIZE or len(seed) != 8:
        raise ValueError(f"expected {ROOT_SIZE} and 8 bytes, got {len(root)} and {len(seed)}")
    content = _START + root + seed
    return (content + crc16(content).to_bytes(2, "little")).ljust(SIZE, b"\xff")
