"""The release ring: the only memory a matcher ever sees.

One memfd, mapped by gate and parent, then sealed so that nobody can map it
writable again, resize it or add seals (never F_SEAL_WRITE: such memory could
not be wiped). The matcher gets a read-only descriptor. Releasing a frame is
one copy into the next slot; the slot's sequence number is zero until the
frame is published, so a reader that was overtaken notices. On revoke every
used slot is zeroed through the guard's own mapping. The layout is the reader's,
`framegate_client.ring`.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from functools import cached_property
from typing import TYPE_CHECKING

from edge.errors import RingError
from framegate_client.ring import HEADER, HEADER_BYTES, MAGIC, NEWEST, NEWEST_AT, SLOT, stride

if TYPE_CHECKING:
    import numpy as np

_SEALS = (
    0x0001  # F_SEAL_SEAL
    | 0x0002  # F_SEAL_SHRINK
    | 0x0004  # F_SEAL_GROW
    | 0x0010  # F_SEAL_FUTURE_WRITE
)
_F_ADD_SEALS = 1033
_F_GET_SEALS = 1034
RING_BYTES = 64 * 1024 * 1024
_ZEROS_BYTES = 1 << 16
_ZEROS = memoryview(bytes(_ZEROS_BYTES))


class Ring:
    """The guard's side: stage a frame, publish it, wipe everything."""

    def __init__(self, fd: int) -> None:
        """Map the ring behind `fd`; it must have been made by `create`."""
        self.fd = fd
        size = os.fstat(fd).st_size
        try:
            self._map = mmap.mmap(fd, size)
        except (OSError, ValueError) as err:
            raise RingError(f"the release ring cannot be mapped writable: {err}") from err
        magic, slots, frame_bytes, newest = HEADER.unpack_from(self._map)
        self.slots: int = slots
        self.frame_bytes: int = frame_bytes
        self._newest: int = newest
        if magic != MAGIC:
            raise RingError(f"expected a release ring, got magic {magic!r}")
        self._stride = stride(self.frame_bytes)
        self._used: set[int] = set()

    @cached_property
    def _bytes(self) -> np.ndarray:
        import numpy as np  # the parent maps the ring too, and only wipes it

        return np.frombuffer(self._map, np.uint8)

    @classmethod
    def memory(cls) -> int:
        """An empty memory for `create`, for children to inherit before its size is known."""
        return os.memfd_create("framegate-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)

    @classmethod
    def create(cls, frame_bytes: int, slots: int = 8, fd: int | None = None) -> Ring:
        """A fresh ring, not sealed yet; slots are fewer if the frames are very large.

        Args:
            fd: of `memory`; None to make one.
        """
        slots = max(2, min(slots, RING_BYTES // stride(frame_bytes)))
        fd = cls.memory() if fd is None else fd
        os.ftruncate(fd, HEADER_BYTES + slots * stride(frame_bytes))
        os.pwrite(fd, HEADER.pack(MAGIC, slots, frame_bytes, 0), 0)
        return cls(fd)

    def seal(self) -> None:
        """Forbid every further writable mapping and every change of size, for good."""
        fcntl.fcntl(self.fd, _F_ADD_SEALS, _SEALS)

    @property
    def sealed(self) -> bool:
        return fcntl.fcntl(self.fd, _F_GET_SEALS) & _SEALS == _SEALS

    @property
    def newest(self) -> int:
        """Sequence number of the newest frame, by any writer; 0 if there was none."""
        (newest,) = NEWEST.unpack_from(self._map, NEWEST_AT)
        return int(newest)

    def read_only_fd(self) -> int:
        """A new descriptor that can only read; the one a matcher gets."""
        return os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)

    def stage(self, frame: np.ndarray) -> int:
        """Copy `frame` (H, W, 3) uint8 into the next slot, unpublished; returns the slot."""
        slot, place = self.place(frame.shape)
        place[...] = frame
        return slot

    def place(self, shape: tuple[int, ...]) -> tuple[int, np.ndarray]:
        """The next slot, unpublished, and where in it to write a uint8 picture of `shape`."""
        slot = self._newest % self.slots
        at = HEADER_BYTES + slot * self._stride
        NEWEST.pack_into(self._map, at, 0)
        self._used.add(slot)
        size = math.prod(shape)
        if size > self.frame_bytes:
            raise RingError(f"expected at most {self.frame_bytes} bytes a frame, got {size}")
        return slot, self._bytes[at + HEADER_BYTES : at + HEADER_BYTES + size].reshape(shape)

    def publish(self, slot: int, frame: np.ndarray, captured_ns: int, epoch: int) -> int:
        """Make the staged frame visible; returns its sequence number."""
        at = HEADER_BYTES + slot * self._stride
        self._newest += 1
        height, width = frame.shape[:2]
        SLOT.pack_into(self._map, at, 0, captured_ns, epoch, height, width, frame.nbytes)
        NEWEST.pack_into(self._map, at, self._newest)
        NEWEST.pack_into(self._map, NEWEST_AT, self._newest)
        return self._newest

    def wipe(self) -> None:
        """Zero every slot this side has used since the last wipe."""
        for slot in self._used:
            at = HEADER_BYTES + slot * self._stride
            self._zero(at, at + self._stride)
        self._used.clear()

    def wipe_all(self) -> None:
        """Zero every slot, by any writer; for the parent, when the gate has ended."""
        self._zero(HEADER_BYTES, HEADER_BYTES + self.slots * self._stride)

    def _zero(self, begin: int, end: int) -> None:
        for at in range(begin, end, _ZEROS_BYTES):
            size = min(_ZEROS_BYTES, end - at)
            self._map[at : at + size] = _ZEROS[:size]
