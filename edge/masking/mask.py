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

SAMPLES = 2  # a side, of which the mean makes a cell; more cost more and tell more
_BLACK = {Layout.BGR: (0,), Layout.NV12: (16, 128), Layout.I420: (16, 128, 128)}


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
        steps = self._steps.get(layout)
        if steps is None:
            steps = self._steps[layout] = self._plan(layout)
        sources, targets = layout.planes(picture), layout.planes(place)
        for step in steps:
            part, target = sources[step.plane][step.part], targets[step.plane][step.part]
            if step.level == CLEAR:
                np.copyto(target, part)
            elif step.level == FILLED:
                target.fill(step.black)
            else:
                for cells in step.cells:
                    _write(part[cells.part], target[cells.part], cells)

    @cached_property
    def _steps(self) -> dict[Layout, list[_Step]]:
        return {}

    def _plan(self, layout: Layout) -> list[_Step]:
        """The copies that make up a picture of this layout; the same for each frame."""
        steps = []
        shapes = layout.planes(np.empty(layout.shape(self.height, self.width), np.uint8))
        for number, (plane, black) in enumerate(zip(shapes, _BLACK[layout], strict=True)):
            coarse = self.width // plane.shape[1]  # picture pixels a pixel of this plane
            for rect in self.rectangles:
                part = _pixels(rect, BLOCK_PX // coarse)
                cells: list[_Cells] = []
                if CLEAR < rect.level < FILLED:
                    shape = plane[part].shape[:2]
                    channels = number if plane.ndim == 2 else slice(number, number + plane.shape[2])
                    cells = self._cells(rect, shape, coarse, channels)
                steps.append(_Step(number, part, rect.level, black, cells))
        return steps

    def _cells(
        self, rect: Rect, shape: tuple[int, ...], coarse: int, channels: int | slice
    ) -> list[_Cells]:
        """The mosaic of `rect`, which has `shape` in pixels of a plane."""
        if self.noise is None:
            raise ValueError("a mosaic needs noise, got none")
        side = blocks.cell_px(rect.level)
        top, left = rect.top * BLOCK_PX // side, rect.left * BLOCK_PX // side
        more, less = (field[top:, left:, channels] for field in self.noise.of(rect.level))
        return [
            _Cells(
                (rows, columns),
                high,
                wide,
                np.ascontiguousarray(more[i, j]),
                np.ascontiguousarray(less[i, j]),
            )
            for rows, high, i in _spans(shape[0], side // coarse)
            for columns, wide, j in _spans(shape[1], side // coarse)
        ]


@dataclass(frozen=True, slots=True)
class _Cells:
    """Cells of one size: where in a rectangle, how high and wide, and their noise."""

    part: tuple[slice, slice]
    high: int
    wide: int
    more: NDArray[np.uint8]
    less: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Step:
    """One rectangle of one plane."""

    plane: int
    part: tuple[slice, slice]
    level: int
    black: int
    cells: list[_Cells]


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


def _write(part: np.ndarray, target: np.ndarray, cells: _Cells) -> None:
    """Write the mosaic of `part`, whole cells, to `target`."""
    down, across = cells.more.shape[:2]
    high, wide = cells.high, cells.wide
    size = across * min(SAMPLES, wide), down * min(SAMPLES, high)
    samples = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
    mean = cv2.resize(samples, (across, down), interpolation=cv2.INTER_AREA)
    noisy = cv2.subtract(cv2.add(mean.reshape(cells.more.shape), cells.more), cells.less)
    noisy = noisy.reshape(cells.more.shape)
    lines = cv2.resize(noisy, (across * wide, down), interpolation=cv2.INTER_NEAREST)
    tall = target.reshape(down, high, across * wide, -1)  # a view: only the rows are split
    np.copyto(tall, lines.reshape(down, 1, across * wide, -1))
