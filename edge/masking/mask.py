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
_Bytes = NDArray[np.uint8]
_Part = tuple[slice, slice]
_AT_ONCE = 4  # pixels, so that one of 8 bits a channel becomes one of 32
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
        lines = [plane.reshape(len(plane), -1) for plane in sources]  # views: rows of bytes are
        places = [plane.reshape(len(plane), -1) for plane in targets]  # faster than of pixels
        for step in steps:
            at, where = step.plane, step.bytes
            if isinstance(step, _Cells):
                _write(sources[at][step.part], places[at][where], step)
            else:
                places[at][where] = lines[at][where] if step.black is None else step.black

    @cached_property
    def _steps(self) -> dict[Layout, list[_Plain | _Cells]]:
        return {}

    def _plan(self, layout: Layout) -> list[_Plain | _Cells]:
        """The copies that make up a picture of this layout; the same for each frame."""
        steps: list[_Plain | _Cells] = []
        shapes = layout.planes(np.empty(layout.shape(self.height, self.width), np.uint8))
        for number, (plane, black) in enumerate(zip(shapes, _BLACK[layout], strict=True)):
            coarse = self.width // plane.shape[1]  # picture pixels a pixel of this plane
            for rect in self.rectangles:
                part = _pixels(rect, BLOCK_PX // coarse, plane)
                if CLEAR < rect.level < FILLED:
                    channels = number if plane.ndim == 2 else slice(number, number + plane.shape[2])
                    noise = self._noise(rect, channels)
                    side = blocks.cell_px(rect.level) // coarse
                    steps += _cells(number, part, side, plane, noise)
                else:
                    fill = None if rect.level == CLEAR else black
                    steps.append(_Plain(number, _in_bytes(part, plane), fill))
        return steps

    def _noise(self, rect: Rect, channels: int | slice) -> tuple[_Bytes, _Bytes]:
        """What the cells of `rect` and those behind them gain and lose."""
        if self.noise is None:
            raise ValueError("a mosaic needs noise, got none")
        side = blocks.cell_px(rect.level) // BLOCK_PX
        top, left = rect.top // side, rect.left // side
        more, less = self.noise.of(rect.level)
        return more[top:, left:, channels], less[top:, left:, channels]


@dataclass(frozen=True, slots=True)
class _Cells:
    """Cells of one size in one plane: where, how high and wide, and their noise."""

    plane: int
    part: _Part  # rows and pixels
    bytes: _Part  # rows and bytes of a row
    high: int
    wide: int
    more: _Bytes
    less: _Bytes


@dataclass(frozen=True, slots=True)
class _Plain:
    """A part of one plane that is copied as it is, or filled."""

    plane: int
    bytes: _Part
    black: int | None  # None: copied


def nothing(height: int, width: int) -> Mask:
    """The mask that masks nothing."""
    return Mask(height, width, np.zeros(blocks.grid(height, width), np.uint8))


def everything(height: int, width: int, noise: Noise) -> Mask:
    """The grid over the whole picture: at most 8 x 8 cells, whatever it shows."""
    level = blocks.whole(height, width)
    return Mask(height, width, np.full(blocks.grid(height, width), level, np.uint8), noise)


def _pixels(rect: Rect, unit: int, plane: np.ndarray) -> _Part:
    """Where `rect` lies in a plane, of which a block has `unit` pixels a side."""
    bottom, right = plane.shape[:2]
    return (
        slice(rect.top * unit, min(rect.bottom * unit, bottom)),
        slice(rect.left * unit, min(rect.right * unit, right)),
    )


def _cells(
    number: int, part: _Part, side: int, plane: np.ndarray, noise: tuple[_Bytes, _Bytes]
) -> list[_Cells]:
    """The mosaic of a part of a plane, whose cells have `side` pixels of it."""
    more, less = noise
    found = []
    for rows, high, i in _spans(part[0], side):
        for columns, wide, j in _spans(part[1], side):
            where = rows, columns
            more_here, less_here = (np.ascontiguousarray(field[i, j]) for field in (more, less))
            in_bytes = _in_bytes(where, plane)
            found.append(_Cells(number, where, in_bytes, high, wide, more_here, less_here))
    return found


def _spans(part: slice, side: int) -> list[tuple[slice, int, slice]]:
    """The whole cells of a stretch of pixels, then the part of one that is left.

    Each as its pixels, its cell's side and its cells.
    """
    cells, rest = divmod(part.stop - part.start, side)
    whole = part.stop - rest
    spans = [(slice(part.start, whole), side, slice(0, cells))] if cells else []
    if rest:
        spans.append((slice(whole, part.stop), rest, slice(cells, cells + 1)))
    return spans


def _in_bytes(part: _Part, plane: np.ndarray) -> _Part:
    """A part in rows and pixels as rows and bytes of a row."""
    rows, columns = part
    channels = plane.shape[2] if plane.ndim == 3 else 1
    return rows, slice(columns.start * channels, columns.stop * channels)


def _write(part: np.ndarray, target: np.ndarray, cells: _Cells) -> None:
    """Write the mosaic of `part`, whole cells in pixels, to `target`, the same place in bytes."""
    down, across = cells.more.shape[:2]
    size = across * min(SAMPLES, cells.wide), down * min(SAMPLES, cells.high)
    samples = cv2.resize(part, size, None, 0, 0, cv2.INTER_NEAREST)
    mean = cv2.resize(samples, (across, down), None, 0, 0, cv2.INTER_AREA)
    noisy = cv2.subtract(cv2.add(mean.reshape(cells.more.shape), cells.more), cells.less)
    line = _widened(noisy.reshape(cells.more.shape), cells.wide)
    target.reshape(down, cells.high, -1)[:] = line.reshape(down, 1, -1)  # only rows are split


def _widened(cells: np.ndarray, wide: int) -> np.ndarray:
    """Each cell `wide` times side by side, shape (rows, bytes).

    Four times first, and then those four as one: half the time of a pixel after another.
    """
    down, across = cells.shape[:2]
    if wide % _AT_ONCE == 0:
        four = cv2.resize(cells, (across * _AT_ONCE, down), None, 0, 0, cv2.INTER_NEAREST)
        words = four.reshape(down, -1).view(np.int32)  # as many to four pixels as channels to one
        cells, wide = words.reshape(cells.shape), wide // _AT_ONCE
    widened = cv2.resize(cells, (across * wide, down), None, 0, 0, cv2.INTER_NEAREST)
    return widened.reshape(down, -1).view(np.uint8)
