"""The root key: how a process is handed it, and the block that provisioning writes to a board.

Neither crosses the link: the platform's own tool writes the block, which holds the boot
seed too, to flash. Layout as in `firmware/store.h`.
"""

from __future__ import annotations

import os
import secrets

from edge.errors import BridgeError, failing
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


def read_key(fd: int) -> bytes:
    """The root key from an inherited descriptor, which is closed after."""
    with failing("cannot read the board key", BridgeError), os.fdopen(fd, "rb") as file:
        root = file.read(ROOT_SIZE + 1)
    if len(root) != ROOT_SIZE:
        raise BridgeError(f"a board key has {ROOT_SIZE} bytes, got {len(root)}")
    return root
