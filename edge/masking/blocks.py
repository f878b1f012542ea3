"""The block map: what happens to each block of a picture, and the rectangles that come of it.

A picture is cut into blocks of 16 x 16 pixels from its upper left corner. Each
has a level: clear, a mosaic whose cells are 16 times a power of two wide, or
filled. Cells of every level lie on one lattice from that corner and nest, so
places that overlap take the coarser level and no cell is ever cut in two by a
finer one. Where the picture's size is no multiple of a cell, the last cells
are smaller.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

BLOCK_PX = 16
CLEAR = 0
COARSEST = 8  # cells of 2048 pixels: one or a few make up any picture
FILLED = 255
CELLS = 8  # that may cover a head, a side
Levels = NDArray[np.uint8]  # shape (block rows, block columns)


@dataclass(frozen=True, slots=True)
class Rect:
    """Blocks of one level, from `top` and `left` up to but without `bottom` and `right`."""

    level: int
    top: int
    left: int
    bottom: int
    right: int


def grid(height: int, width: int) -> tuple[int, int]:
    """Block rows and block columns of a picture of this size in pixels."""
    return -(-height // BLOCK_PX), -(-width // BLOCK_PX)


def cell_px(level: int) -> int:
    """The side of a mosaic cell of this level, in pixels."""
    return BLOCK_PX << (level - 1)


def level_for(head_px: float) -> int:
    """The finest level of which at most 8 x 8 cells cover a head of this size, wherever it lies."""
    level = 1
    while level < COARSEST and head_px > (CELLS - 1) * cell_px(level):
        level += 1
    return level


def whole(height: int, width: int) -> int:
    """The level that makes at most 8 x 8 cells of the picture, and so of any head in it."""
    level = 1
    while level < COARSEST and max(height, width) > CELLS * cell_px(level):
        level += 1
    return level


def cover(
    levels: Levels, level: int, left_px: float, top_px: float, right_px: float, bottom_px: float
) -> None:
    """Raise every cell that the rectangle touches to `level`; what is coarser already stays."""
    rows, columns = levels.shape
    cell = cell_px(level)
    blocks = cell // BLOCK_PX
    top, left = max(0, int(top_px // cell) * blocks), max(0, int(left_px // cell) * blocks)
    bottom = min(rows, (int(bottom_px // cell) + 1) * blocks)
    right = min(columns, (int(right_px // cell) + 1) * blocks)
    if top < bottom and left < right:
        part = levels[top:bottom, left:right]
        np.maximum(part, level, out=part)


def fill_cut_cells(levels: Levels, level: int) -> None:
    """Fill the blocks of this level that lie in a cell with a filled one: no cell is cut."""
    filled = np.where(levels == FILLED, np.uint8(FILLED), np.uint8(CLEAR))
    touched = coarser(filled, cell_px(level) // BLOCK_PX) == FILLED
    levels[touched & (levels == level)] = FILLED


def coarser(levels: Levels, step: int) -> Levels:
    """The same in squares of `step` blocks a side, each of the highest level in it."""
    rows, columns = levels.shape
    padded = np.zeros((-(-rows // step) * step, -(-columns // step) * step), np.uint8)
    padded[:rows, :columns] = levels
    most = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    return np.kron(most.max(axis=(1, 3)), np.ones((step, step), np.uint8))[:rows, :columns]


def bands(found: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Equal rows that follow each other: the first, the one after the last, and the row."""
    top, rows = 0, len(found)
    while top < rows:
        bottom = top + 1
        while bottom < rows and np.array_equal(found[bottom], found[top]):
            bottom += 1
        yield top, bottom, found[top]
        top = bottom


def spans(row: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Equal values that follow each other: the first, the one after the last, and the value."""
    edges = [0, *(np.flatnonzero(row[1:] != row[:-1]) + 1).tolist(), len(row)]
    for left, right in itertools.pairwise(edges):
        yield left, right, int(row[left])


def rectangles(levels: Levels) -> tuple[Rect, ...]:
    """Bands of equal rows, cut where the level changes and joined where they go on below.

    Each block is in one.
    """
    found: list[Rect] = []
    above: dict[tuple[int, int, int], int] = {}  # where in `found` those that end here are
    for top, bottom, row in bands(levels):
        here = {}
        for left, right, level in spans(row):
            at = above.get((level, left, right), len(found))
            if at == len(found):
                found.append(Rect(level, top, left, bottom, right))
            else:
                found[at] = replace(found[at], bottom=bottom)
            here[level, left, right] = at
        above = here
    return tuple(found)
