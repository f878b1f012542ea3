"""How a picture of one layout goes through one mask: planned once, done for each frame.

Every call of NumPy or OpenCV costs half a microsecond or more, as much as 20 KiB of a
copy. So what stays clear is copied in few long runs of bytes, and the cells of all heads
are computed together: their samples and their noise are the rows of one matrix, and one
product with the weights makes the cells. A cell is grey: it tells neither the
colour of hair nor of skin.

A run of many stretches is one array whose items are whole stretches (NumPy's `void`):
each is one `memcpy` in a plain loop. As rows of bytes they take up to a half longer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.layout import Layout
from edge.masking import blocks
from edge.masking.blocks import BLOCK_PX, Rect

SIDE = 2  # samples a side, of which the mean makes a cell; more cost more and tell more
_SAMPLES = SIDE * SIDE
_WEIGHTS = np.array([1 / _SAMPLES] * _SAMPLES + [1], np.float32)  # of the samples, of the noise
_BYTE = np.dtype(np.uint8)
_DARK = {Layout.BGR: (0,), Layout.NV12: (16, 128), Layout.I420: (16, 128, 128)}
_GREEN = 1  # the byte of a BGR pixel that is most like its brightness
Wanted = NDArray[np.bool_]  # shape (block rows, block columns)
View = tuple[tuple[int, ...], np.dtype[Any], int, tuple[int, ...]]  # shape, type, offset, strides


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of a picture as bytes of its buffer."""

    offset: int
    rows: int
    row: int  # bytes
    pixel: int  # bytes
    block: int  # pixels a side of a block in this plane
    dark: int  # of what is filled


def planes(layout: Layout, height: int, width: int) -> list[Plane]:
    """The planes of a picture of this size; the first one holds the brightness."""
    found, offset = [], 0
    views = layout.planes(np.empty(layout.shape(height, width), np.uint8))
    for view, dark in zip(views, _DARK[layout], strict=True):
        rows, columns = view.shape[:2]
        row = view.size // rows
        block = BLOCK_PX * columns // width
        found.append(Plane(offset, rows, row, row // columns, block, dark))
        offset += view.size
    return found


@dataclass(frozen=True, slots=True)
class Run:
    """`count` stretches of `length` bytes, each `step` after the one before."""

    offset: int
    length: int
    count: int
    step: int

    @property
    def bytes(self) -> View:
        """All of them one by one, to be filled."""
        return (self.count, self.length), _BYTE, self.offset, (self.step, 1)

    @property
    def stretches(self) -> View:
        """Each stretch as one item, to be copied."""
        return (self.count,), _stretch(self.length), self.offset, (self.step,)


def _stretch(length: int) -> np.dtype[Any]:
    """The type of an item of `length` bytes, which is copied at once."""
    return np.dtype((np.void, length))


def runs(wanted: Wanted, plane: Plane) -> list[Run]:
    """The bytes of the wanted blocks, in few runs; each byte is in one.

    What lies at the right end of a row and at the left end of the next one is one stretch.
    """
    found: list[Run] = []
    for run in _runs(wanted, plane):
        last = found[-1] if found else None
        if last and last.count == run.count == 1 and last.offset + last.length == run.offset:
            found[-1] = Run(last.offset, last.length + run.length, 1, plane.row)
        elif run.count and run.length:
            found.append(run)
    return found


def _runs(wanted: Wanted, plane: Plane) -> Iterator[Run]:
    step, unit = plane.row, plane.block * plane.pixel
    for top, bottom, row in blocks.bands(wanted):
        begin = plane.offset + top * plane.block * step
        count = min(bottom * plane.block, plane.rows) - top * plane.block
        spans = [(a * unit, min(b * unit, step)) for a, b, value in blocks.spans(row) if value]
        if spans == [(0, step)]:
            yield Run(begin, count * step, 1, step)
        elif len(spans) > 1 and spans[0][0] == 0 and spans[-1][1] == step:
            left, right = spans[0][1], spans[-1][0]
            yield Run(begin, left, 1, step)
            yield from (Run(begin + a, b - a, count, step) for a, b in spans[1:-1])
            yield Run(begin + right, step - right + left, count - 1, step)
            yield Run(begin + (count - 1) * step + right, step - right, 1, step)
        else:
            yield from (Run(begin + a, b - a, count, step) for a, b in spans)


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of one size that lie beside each other, in pixels, and their noise."""

    top: int
    left: int
    high: int  # pixels of each
    wide: int
    noise: NDArray[np.int16]  # shape (down, across)


def cells(rect: Rect, noise: NDArray[np.int16], height: int, width: int) -> list[Cells]:
    """The cells of `rect`: whole ones, and the smaller ones where the picture ends.

    Args:
        noise: of every cell of this level in the picture.
    """
    side = blocks.cell_px(rect.level)
    lattice = side // BLOCK_PX
    field = noise[rect.top // lattice :, rect.left // lattice :]
    down = _pieces(rect.top * BLOCK_PX, min(rect.bottom * BLOCK_PX, height), side)
    across = _pieces(rect.left * BLOCK_PX, min(rect.right * BLOCK_PX, width), side)
    return [
        Cells(top, left, high, wide, field[rows, columns])
        for (top, high, rows), (left, wide, columns) in itertools.product(down, across)
    ]


def _pieces(begin: int, end: int, side: int) -> list[tuple[int, int, slice]]:
    """The whole cells of a stretch of pixels, then the part of one that is left.

    Each as its first pixel, its cell's side and its cells.
    """
    count, rest = divmod(end - begin, side)
    found = [(begin, side, slice(0, count))] if count else []
    if rest:
        found.append((end - rest, rest, slice(count, count + 1)))
    return found


class Mosaic:
    """Draws cells in the plane that holds the brightness."""

    def __init__(self, parts: Sequence[Cells], plane: Plane) -> None:
        parts = sorted(parts, key=lambda part: part.wide)  # those of one width are widened at once
        count = sum(part.noise.size for part in parts)
        self._values = np.zeros((_SAMPLES + 1, count), np.float32)
        self._values[_SAMPLES] = np.concatenate([part.noise.ravel() for part in parts])
        self._sampled = self._values[:_SAMPLES]
        self._sums = np.zeros((1, count), np.float32)
        self._cells = np.zeros((1, count), np.uint8)
        self._samples = []
        self._rows = []
        self._widened = []
        at, flat = 0, self._cells.reshape(count, 1)
        for wide, group in itertools.groupby(parts, key=lambda part: part.wide):
            begin, same = at, list(group)
            line = np.zeros((sum(part.noise.size for part in same), wide * plane.pixel), np.uint8)
            for part in same:
                down, across = part.noise.shape
                here, at = at, at + part.noise.size
                target = self._sampled[:, here:at].reshape(SIDE, SIDE, down, across)
                self._samples.append((target, _sample_view(part, plane)))
                view = _row_view(part, plane)
                source = np.ndarray((down, 1), view[1], line[here - begin : at - begin])
                self._rows.append((source, view))
            self._widened.append((line, flat[begin:at]))

    def draw(self, picture: np.ndarray, place: np.ndarray) -> None:
        """Write the cells of `picture` to `place`."""
        for target, (shape, kind, offset, strides) in self._samples:
            target[...] = np.ndarray(shape, kind, picture, offset, strides)
        np.dot(_WEIGHTS, self._values, self._sums[0])
        cv2.convertScaleAbs(self._sums, self._cells)
        for line, narrow in self._widened:
            line[...] = narrow
        for source, (shape, kind, offset, strides) in self._rows:
            np.ndarray(shape, kind, place, offset, strides)[...] = source
        self._sampled.fill(0)  # nothing of a withheld place stays behind


def _sample_view(part: Cells, plane: Plane) -> View:
    """The samples of all cells, spread evenly: shape (SIDE, SIDE, down, across)."""
    down, across = part.noise.shape
    high, wide = part.high // SIDE, part.wide // SIDE * plane.pixel
    channel = _GREEN if plane.pixel > 1 else 0
    first = (part.top + high // 2) * plane.row
    first += (part.left + part.wide // SIDE // 2) * plane.pixel + channel
    strides = high * plane.row, wide, part.high * plane.row, part.wide * plane.pixel
    return (SIDE, SIDE, down, across), _BYTE, plane.offset + first, strides


def _row_view(part: Cells, plane: Plane) -> View:
    """What the cells cover of each row of pixels: shape (down, rows of a cell)."""
    down, across = part.noise.shape
    first = plane.offset + part.top * plane.row + part.left * plane.pixel
    kind = _stretch(across * part.wide * plane.pixel)
    return (down, part.high), kind, first, (part.high * plane.row, plane.row)


class Copy:
    """What is done for each frame of one layout."""

    def __init__(
        self,
        clear: Wanted,
        filled: Wanted,
        fixed: Wanted,
        parts: Sequence[Cells],
        found: Sequence[Plane],
    ) -> None:
        """Plan it.

        Args:
            clear: blocks that are copied.
            filled: blocks that get the plane's dark value, but for those in `fixed`.
            fixed: blocks that get it unless they have it already.
            parts: the cells; the planes of colour get their dark value there.
        """
        first, *colours = found
        self._mosaic = Mosaic(parts, first) if parts else None
        copied = [run for plane in found for run in runs(clear, plane)]
        self._whole = [slice(r.offset, r.offset + r.length) for r in copied if r.count == 1]
        self._cut = [run.stretches for run in copied if run.count > 1]
        flat = ~(clear | fixed)
        self._dark = [(run.bytes, first.dark) for run in runs(filled, first)]
        self._dark += [(run.bytes, one.dark) for one in colours for run in runs(flat, one)]
        self._fixed = [(run.bytes, one.dark) for one in found for run in runs(fixed, one)]

    def __call__(
        self, picture: np.ndarray, place: np.ndarray, *, prepared: bool, clear: bool
    ) -> None:
        """Write `picture` to `place`, the clear blocks only if `clear`.

        `prepared`: the `fixed` blocks are dark already.
        """
        if self._mosaic is not None:
            self._mosaic.draw(picture, place)
        if clear:
            self._copy_clear(picture, place)
        for (shape, kind, offset, strides), dark in self._dark:
            np.ndarray(shape, kind, place, offset, strides).fill(dark)
        if not prepared:
            for (shape, kind, offset, strides), dark in self._fixed:
                np.ndarray(shape, kind, place, offset, strides).fill(dark)

    def _copy_clear(self, picture: np.ndarray, place: np.ndarray) -> None:
        source, target = picture.data.cast("B"), place.data.cast("B")
        for whole in self._whole:  # a fourth of what a view of NumPy costs
            target[whole] = source[whole]
        for shape, kind, offset, strides in self._cut:
            cut = np.ndarray(shape, kind, source, offset, strides)
            np.ndarray(shape, kind, target, offset, strides)[...] = cut
