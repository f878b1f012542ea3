"""A mask: one picture's block map, and the copy that goes through it.

`Mask.copy` writes the clear blocks as they are, the filled ones black, and the
others as a mosaic: the mean of a few samples a cell, with noise. A clear pixel of
a masked place is read to make its cell and is never written anywhere. A mosaic
with noise, not a blur: blur can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.layout import Layout
from edge.masking import blocks
from edge.masking.blocks import BLOCK_PX, CLEAR, FILLED, Levels, Rect
from edge.masking.noise import Noise

SAMPLES = 4  # a side, of which the mean makes a cell
_BLACK = {Layout.BGR: (0,), Layout.NV12: (16, 128), Layout.I420: (16, 128, 128)}
_CHANNEL = (0, 1, 2)  # the first channel of each plane


@dataclass(frozen=True)
class Mask:
    """What happens to each block of a picture of one size; made once, used for many frames."""

    height: int
    width: int
    levels: Levels
    noise: Noise | None = None  # for what is a mosaic

    @cached_property
    def rectangles(self) -> tuple[Rect, ...]:
        """The block map as rectangles, each block in one."""
        return blocks.rectangles(self.levels)

    @cached_property
    def clear(self) -> bool:
        """Whether it masks nothing."""
        return not self.levels.any()

    def over(self, fixed: Levels) -> Mask:
        """This mask and a `fixed` one, whose filled blocks take in every cell that they cut."""
        levels = np.maximum(self.levels, fixed)
        for level in range(blocks.COARSEST, 1, -1):
            if (levels == level).any() and (levels == FILLED).any():
                blocks.fill_cut_cells(levels, level)
        return Mask(self.height, self.width, levels, self.noise)

    def copy(self, picture: np.ndarray, place: np.ndarray, layout: Layout) -> None:
        """Write `picture` to `place` through the mask.

        Args:
            picture: uint8, of this size, in the layout's shape; only read.
            place: uint8, of the same shape; every byte of it is written.
        """
        planes = zip(layout.planes(picture), layout.planes(place), _BLACK[layout], strict=True)
        for (plane, target, black), channel in zip(planes, _CHANNEL, strict=False):
            coarse = self.width // plane.shape[1]  # picture pixels a pixel of this plane
            unit = BLOCK_PX // coarse
            for rect in self.rectangles:
                part = _pixels(rect, unit)
                if rect.level == CLEAR:
                    np.copyto(target[part], plane[part])
                elif rect.level == FILLED:
                    target[part].fill(black)
                else:
                    off = self._noise(rect, plane, channel)
                    _mosaic(plane[part], target[part], blocks.cell_px(rect.level) // coarse, off)

    def _noise(self, rect: Rect, plane: np.ndarray, channel: int) -> NDArray[np.int16]:
        """What is added to the cells of `rect` in this plane."""
        if self.noise is None:
            raise ValueError("a mosaic needs noise, got none")
        step = blocks.cell_px(rect.level) // BLOCK_PX
        field = self.noise.of(rect.level)
        rows = slice(rect.top // step, -(-rect.bottom // step))
        columns = slice(rect.left // step, -(-rect.right // step))
        if plane.ndim == 2:
            return field[rows, columns, channel]
        return field[rows, columns, channel : channel + plane.shape[2]]


def nothing(height: int, width: int) -> Mask:
    """The mask that masks nothing."""
    return Mask(height, width, np.zeros(blocks.grid(height, width), np.uint8))


def everything(height: int, width: int, noise: Noise) -> Mask:
    """The grid over the whole picture: at most 8 x 8 cells, whatever it shows."""
    level = blocks.whole(height, width)
    return Mask(height, width, np.full(blocks.grid(height, width), level, np.uint8), noise)


def _pixels(rect: Rect, unit: int) -> tuple[slice, slice]:
    return (
        slice(rect.top * unit, rect.bottom * unit),
        slice(rect.left * unit, rect.right * unit),
    )


def _mosaic(part: np.ndarray, target: np.ndarray, side: int, off: NDArray[np.int16]) -> None:
    """Write the mosaic of `part`, which begins on the lattice, to `target`."""
    height, width = part.shape[:2]
    for rows, high, i in _spans(height, side):
        for columns, wide, j in _spans(width, side):
            _cells(part[rows, columns], target[rows, columns], high, wide, off[i, j])


def _spans(length: int, side: int) -> list[tuple[slice, int, slice]]:
    """The whole cells of a length, then the part of one that is left.

    Each as its pixels, its cell's side and its cells.
    """
    cells = length // side
    whole = cells * side
    spans = [(slice(0, whole), side, slice(0, cells))] if cells else []
    if whole < length:
        spans.append((slice(whole, length), length - whole, slice(cells, cells + 1)))
    return spans


def _cells(
    part: np.ndarray, target: np.ndarray, high: int, wide: int, off: NDArray[np.int16]
) -> None:
    """The mosaic of whole cells of `high` x `wide` pixels."""
    down, across = part.shape[0] // high, part.shape[1] // wide
    few = min(SAMPLES, wide), min(SAMPLES, high)
    samples = cv2.resize(part, (across * few[0], down * few[1]), interpolation=cv2.INTER_NEAREST)
    mean = cv2.resize(samples, (across, down), interpolation=cv2.INTER_AREA)
    noisy = mean.astype(np.int16).reshape(off.shape) + off
    cells = noisy.clip(0, 255).astype(np.uint8)
    lines = cv2.resize(cells, (across * wide, down), interpolation=cv2.INTER_NEAREST)
    tall = target.reshape(down, high, across * wide, -1)  # a view: only the rows are split
    np.copyto(tall, lines.reshape(down, 1, across * wide, -1))
