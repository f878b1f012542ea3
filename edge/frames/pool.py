"""The capture pool: private buffers that frames wait in until the gate decides.

Capture writes a frame into a slot and tells the gate its number; the gate
hands the slot back when the frame was released or blocked. No matcher ever
maps this memory. Slots are wiped on doubt, so a withheld frame leaves nothing.
"""

from __future__ import annotations

import mmap
import os
from functools import cached_property
from typing import TYPE_CHECKING

from edge.cameras.layout import Layout
from edge.errors import CameraError
from edge.frames.settings import PoolSize

if TYPE_CHECKING:
    import numpy as np

BUDGET_BYTES = 64 * 1024 * 1024
MAX_SLOTS = 96


class Pool:
    """Buffers of one size in one shared mapping."""

    def __init__(
        self, fd: int, size: PoolSize, layout: Layout = Layout.BGR, *, writable: bool = True
    ) -> None:
        self.fd = fd
        self.layout = layout
        self.size = size
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._map = mmap.mmap(fd, size.slots * size.slot_bytes, access=access)

    @cached_property
    def _bytes(self) -> np.ndarray:
        import numpy as np  # the parent makes the pool and looks at no frame

        return np.frombuffer(self._map, np.uint8).reshape(self.size.slots, self.size.slot_bytes)

    @classmethod
    def memory(cls) -> int:
        """An empty memory for `create`, for children to inherit before its size is known."""
        return os.memfd_create("framegate-pool", os.MFD_CLOEXEC)

    @classmethod
    def create(cls, frame_bytes: int, layout: Layout = Layout.BGR, fd: int | None = None) -> Pool:
        """A pool for frames of `frame_bytes`, as many slots as the budget allows.

        Args:
            fd: of `memory`; None to make one.

        Raises:
            CameraError: the frames are so large that fewer than four fit.
        """
        slot_bytes = -(-frame_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        slots = min(MAX_SLOTS, BUDGET_BYTES // slot_bytes)
        if slots < 4:
            raise CameraError(
                f"frames of {frame_bytes} bytes are too large: expected at most "
                f"{BUDGET_BYTES // 4} bytes"
            )
        fd = cls.memory() if fd is None else fd
        os.ftruncate(fd, slots * slot_bytes)
        return cls(fd, PoolSize(slots, slot_bytes), layout)

    def frame(self, slot: int, height: int, width: int) -> np.ndarray:
        """The frame in `slot` as a view, uint8, in the layout's shape."""
        size = self.layout.bytes(height, width)
        return self._bytes[slot, :size].reshape(self.layout.shape(height, width))

    def wipe(self, slot: int) -> None:
        self._bytes[slot].fill(0)
