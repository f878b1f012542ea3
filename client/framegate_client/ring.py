"""The release ring as its reader sees it: its layout, and how to read a frame.

Layout, little endian: 64 bytes of ring header, then per slot 64 bytes of header and
`frame_bytes` of pixels, rounded up to a cache line. Frame n lies in slot (n - 1) mod
slots. A slot's sequence number is zero until its frame is published, so an overtaken
reader notices it. `edge.frames.ring` writes the ring; `include/framegate.h` reads it in
C.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from framegate_client.errors import RingError

if TYPE_CHECKING:
    import numpy as np

MAGIC = b"FGRING1\0"
HEADER = struct.Struct("<8sIIQ")  # magic, slots, frame_bytes, newest sequence
NEWEST = struct.Struct("<Q")  # of the ring, and of a slot
NEWEST_AT = 16
SLOT = struct.Struct("<QqQHHI")  # sequence, captured_ns, epoch, height, width, bytes
HEADER_BYTES = 64


def stride(frame_bytes: int) -> int:
    """Bytes from one slot to the next."""
    return HEADER_BYTES + -(-frame_bytes // 64) * 64


class Slot(NamedTuple):
    """The header of a slot; a named tuple, because one is made for every frame."""

    sequence: int  # 0: nothing is published here
    captured_ns: int
    epoch: int
    height: int
    width: int
    size: int


class RingReader:
    """The matcher's side: find the next frame, copy it out, check it was not overtaken."""

    def __init__(self, fd: int) -> None:
        import numpy as np  # the guard imports this file only for its constants

        size = os.fstat(fd).st_size
        self._map = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        magic, self.slots, self.frame_bytes, _ = HEADER.unpack_from(self._map)
        if magic != MAGIC:
            raise RingError(f"expected a release ring, got magic {magic!r}")
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._stride = stride(self.frame_bytes)
        self._next = 1

    @property
    def pixels(self) -> np.ndarray:
        """All bytes after the ring header."""
        return self._bytes[HEADER_BYTES:]

    def skip_to_newest(self) -> None:
        """Skip every frame published so far."""
        (newest,) = NEWEST.unpack_from(self._map, NEWEST_AT)
        self._next = newest + 1

    def next(self, *, copy: bool = True) -> tuple[Slot, np.ndarray] | None:
        """The oldest frame not read yet as a private copy, or None.

        It is BGR, shape (H, W, 3), or grey, shape (H, W), as its slot's size says.
        Frames that were overwritten or wiped before they could be read are skipped;
        `Slot.sequence` shows the gap. Without `copy` it is a view into the ring, valid
        until the slot is overwritten or wiped; see `intact`.
        """
        (newest,) = NEWEST.unpack_from(self._map, NEWEST_AT)
        while self._next <= newest:
            self._next = max(self._next, newest - self.slots + 1)
            sequence = self._next
            self._next += 1
            at = HEADER_BYTES + (sequence - 1) % self.slots * self._stride
            slot = Slot(*SLOT.unpack_from(self._map, at))
            if slot.sequence != sequence or slot.size > self.frame_bytes:
                continue
            shape: tuple[int, ...] = (slot.height, slot.width)
            if slot.size != math.prod(shape):
                shape = (*shape, 3)
                if slot.size != math.prod(shape):
                    continue
            pixels = self._bytes[at + HEADER_BYTES : at + HEADER_BYTES + slot.size]
            picture = pixels.reshape(shape)
            if copy:
                picture = picture.copy()
            if self.intact(sequence):
                return slot, picture
        return None

    def intact(self, sequence: int) -> bool:
        """Whether that frame is still in its slot, neither overwritten nor wiped."""
        at = HEADER_BYTES + (sequence - 1) % self.slots * self._stride
        (there,) = NEWEST.unpack_from(self._map, at)
        return bool(there == sequence)
