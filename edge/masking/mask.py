"""A mask: one picture's block map, and the copy that goes through it.

`Mask.copy` writes the clear blocks as they are, the filled ones black, and the
others as a grey mosaic: the mean of a few samples a cell, with noise. A clear pixel of
a masked place is read to make its cell and is never written anywhere. A mosaic
with noise, not a blur: blur can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edge.cameras.layout import Layout
from edge.masking import blocks, copying
from edge.masking.blocks import CLEAR, FILLED, Levels, Rect
from edge.masking.copying import Copy
from edge.masking.noise import Noise


@dataclass(frozen=True)
class Mask:
    """What happens to each block of a picture of one size; made once, used for many frames."""

    height: int
    width: int
    levels: Levels
    noise: Noise | None = None  # for what is a mosaic
    fixed: Levels | None = None  # what the record's polygons fill, in every mask of a session

    @cached_property
    def rectangles(self) -> tuple[Rect, ...]:
        """The block map as rectangles, each block in one."""
        return blocks.rectangles(self.levels)

    @cached_property
    def clear(self) -> bool:
        """Whether it masks nothing."""
        return not self.levels.any()

    @cached_property
    def fills_more(self) -> bool:
        """Whether it fills blocks that the record's polygons do not."""
        filled = self.levels == FILLED
        return bool(filled.any() if self.fixed is None else (filled & (self.fixed != FILLED)).any())

    def over(self, fixed: Levels) -> Mask:
        """This mask and a `fixed` one, whose filled blocks take in every cell that they cut."""
        levels = np.maximum(self.levels, fixed)
        for level in range(blocks.COARSEST, 1, -1):
            if (levels == level).any() and (levels == FILLED).any():
                blocks.fill_cut_cells(levels, level)
        return Mask(self.height, self.width, levels, self.noise, fixed)

    def plan(self, layout: Layout) -> Copy:
        """The copy of a picture of this layout; made once."""
        for known, made in self._plans:
            if known is layout:  # compared, not looked up: an enum's hash costs more
                return made
        made = self._planned(layout)
        self._plans.append((layout, made))
        return made

    def copy(
        self,
        picture: np.ndarray,
        place: np.ndarray,
        layout: Layout,
        *,
        prepared: bool = False,
        clear: bool = True,
    ) -> None:
        """Write `picture` to `place` through the mask.

        Args:
            picture: uint8 without gaps, of this size, in the layout's shape; only read.
            place: uint8, of the same shape; every byte of it is written.
            prepared: `place` is black already where `fixed` is filled; not written there.
            clear: what is clear is written too, and not the masked places alone.
        """
        self.plan(layout)(picture, place, prepared=prepared, clear=clear)

    @cached_property
    def _plans(self) -> list[tuple[Layout, Copy]]:
        return []

    def _planned(self, layout: Layout) -> Copy:
        filled = self.levels == FILLED
        fixed = np.zeros_like(filled) if self.fixed is None else self.fixed == FILLED
        parts = [
            part
            for rect in self.rectangles
            if CLEAR < rect.level < FILLED
            for part in copying.cells(rect, self._noise(rect.level), self.height, self.width)
        ]
        found = copying.planes(layout, self.height, self.width)
        return Copy(self.levels == CLEAR, filled & ~fixed, fixed, parts, found)

    def _noise(self, level: int) -> np.ndarray:
        if self.noise is None:
            raise ValueError("a mosaic needs noise, got none")
        return self.noise.of(level)


def nothing(height: int, width: int) -> Mask:
    """The mask that masks nothing."""
    return Mask(height, width, np.zeros(blocks.grid(height, width), np.uint8))


def everything(height: int, width: int, noise: Noise) -> Mask:
    """The grid over the whole picture: at most 8 x 8 cells, whatever it shows."""
    level = blocks.whole(height, width)
    return Mask(height, width, np.full(blocks.grid(height, width), level, np.uint8), noise)
