"""The noise of a mosaic: off by up to 12 grey levels, by place, the same all session long.

Noise that changed from frame to frame would be gone in the mean over many
frames of somebody who stands still. This one belongs to the places of the
lattice, so that mean has it too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.masking import blocks

AMPLITUDE = 12  # grey levels that a cell may be off, each way
BYTES = 4093  # prime: no period of it fits a row of cells


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
        self._fields: dict[int, NDArray[np.int16]] = {}

    def of(self, level: int) -> NDArray[np.int16]:
        """What each cell of this level's lattice is off, shape (rows, columns)."""
        found = self._fields.get(level)
        if found is None:
            cell = blocks.cell_px(level)
            rows, columns = (-(-side // cell) for side in self._size)
            found = np.resize(np.roll(self._base, 577 * level), (rows, columns))
            self._fields[level] = found
        return found
