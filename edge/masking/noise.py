"""The noise of a mosaic: off by up to 12 grey levels, by place, the same all session long.

Noise that changed from frame to frame would be gone in the mean over many
frames of somebody who stands still. This one belongs to the places of the
lattice, so that mean has it too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.masking import blocks

AMPLITUDE = 12  # grey levels that a cell may be off, each way, in each channel
BYTES = 4093  # prime: no period of it fits a row of cells
_CHANNELS = 3


class Noise:
    """The noise of one session and picture size."""

    def __init__(self, random: bytes, height: int, width: int) -> None:
        """`random` are at least 4,093 unpredictable bytes.

        Raises:
            ValueError: there are fewer.
        """
        if len(random) < BYTES:
            raise ValueError(f"expected {BYTES} random bytes, got {len(random)}")
        base = np.frombuffer(random[:BYTES], np.uint8) % (2 * AMPLITUDE + 1)
        self._base = base.astype(np.int16) - AMPLITUDE
        self._size = height, width
        self._fields: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}

    def of(self, level: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """What each cell of this level's lattice gains and loses, shape (rows, columns, 3)."""
        found = self._fields.get(level)
        if found is None:
            cell = blocks.cell_px(level)
            rows, columns = (-(-side // cell) for side in self._size)
            shifted = np.roll(self._base, 577 * level)
            field = np.resize(shifted, (rows, columns, _CHANNELS))
            found = field.clip(min=0).astype(np.uint8), (-field).clip(min=0).astype(np.uint8)
            self._fields[level] = found
        return found
