"""The thumbnail and its sign map: the geometry the gate and the slow loop share.

A frame becomes a 64x48 thumbnail of its green channel, or of its Y plane, by
taking every n-th pixel. Pixels three apart, side by side and one above the other, are compared;
each comparison is one bit, held as 0 or 255. Both sets of comparisons lie in one
96x64 array: rows 0-47 compare sideways (columns 0-60 are used), rows 48-95
compare downwards (rows 48-92 are used). The picture is cut into 8x6 blocks of
8x8 thumbnail pixels; a pair belongs to the block of its middle.

Signs of differences in place of the pixels themselves are the census transform
(Zabih and Woodfill, ECCV 1994) on fixed pairs, as BRIEF compares them (Calonder
et al., ECCV 2010).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.view import geometry

Pixels = NDArray[np.uint8]

WIDTH, HEIGHT, STEP = geometry.WIDTH, geometry.HEIGHT, geometry.STEP
BLOCK = 8  # thumbnail pixels on a side
COLUMNS, ROWS = WIDTH // BLOCK, HEIGHT // BLOCK
BLOCKS = COLUMNS * ROWS
ALL_BLOCKS = (1 << BLOCKS) - 1
SIGN_SHAPE = (2 * HEIGHT, WIDTH)
MIN_SIDE_PX, MAX_SIDE_PX = geometry.MIN_SIDE_PX, geometry.MAX_SIDE_PX


def _blocks_of_pairs() -> NDArray[np.intp]:
    """The block of each place of the sign array; unused places belong to block 0."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    across = (y // BLOCK) * COLUMNS + (x + 1).clip(0, WIDTH - 1) // BLOCK
    down = (y + 1).clip(0, HEIGHT - 1) // BLOCK * COLUMNS + x // BLOCK
    across[:, WIDTH - STEP :] = 0
    down[HEIGHT - STEP :, :] = 0
    blocks: NDArray[np.intp] = np.concatenate([across, down]).astype(np.intp)
    return blocks


def _usable_pairs() -> Pixels:
    usable = np.full(SIGN_SHAPE, 255, np.uint8)
    usable[:HEIGHT, WIDTH - STEP :] = 0
    usable[2 * HEIGHT - STEP :, :] = 0
    return usable


BLOCK_OF_PAIR = _blocks_of_pairs()
USABLE_PAIRS = _usable_pairs()


def malformed(frame: np.ndarray) -> bool:
    """Whether the frame is no BGR picture of a size a camera gives."""
    return (
        not isinstance(frame, np.ndarray)
        or frame.dtype != np.uint8
        or frame.ndim != 3
        or frame.shape[2] != 3
        or not fits(frame.shape[0], frame.shape[1])
    )


def fits(height: int, width: int) -> bool:
    """Whether a camera gives pictures of that size, and they have a thumbnail."""
    return MIN_SIDE_PX <= height <= MAX_SIDE_PX and WIDTH <= width <= MAX_SIDE_PX


def grid(height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the pixels that make up the thumbnail, centred."""
    return _every(height, HEIGHT), _every(width, WIDTH)


def _every(length: int, count: int) -> slice:
    step = length // count
    first = (length - step * count) // 2 + step // 2
    return slice(first, first + step * (count - 1) + 1, step)


def thumbnail(frame: np.ndarray) -> Pixels:
    """A fresh thumbnail of a BGR frame, or of a single channel."""
    rows, columns = grid(frame.shape[0], frame.shape[1])
    picked = frame[rows, columns, 1] if frame.ndim == 3 else frame[rows, columns]
    return np.ascontiguousarray(picked)


def signs(thumb: Pixels) -> Pixels:
    """The sign array of a thumbnail; unused places are 0."""
    out = np.zeros(SIGN_SHAPE, np.uint8)
    out[:HEIGHT, : WIDTH - STEP] = cv2.compare(thumb[:, :-STEP], thumb[:, STEP:], cv2.CMP_GT)
    out[HEIGHT : 2 * HEIGHT - STEP] = cv2.compare(thumb[:-STEP], thumb[STEP:], cv2.CMP_GT)
    return out


def contrasts(thumb: Pixels) -> Pixels:
    """How far the two pixels of each pair are apart; unused places are 0."""
    out = np.zeros(SIGN_SHAPE, np.uint8)
    out[:HEIGHT, : WIDTH - STEP] = cv2.absdiff(thumb[:, :-STEP], thumb[:, STEP:])
    out[HEIGHT : 2 * HEIGHT - STEP] = cv2.absdiff(thumb[:-STEP], thumb[STEP:])
    return out


def per_block(pairs: np.ndarray) -> NDArray[np.intp]:
    """How many places of a sign-shaped array are set, block by block."""
    return np.bincount(BLOCK_OF_PAIR[pairs != 0], minlength=BLOCKS)


def pairs_in(blocks: int) -> Pixels:
    """The sign-shaped mask of the pairs in the blocks whose bit is set."""
    chosen = as_blocks(blocks) * np.uint8(255)
    pairs: Pixels = chosen[BLOCK_OF_PAIR] & USABLE_PAIRS
    return pairs


def as_bits(blocks: np.ndarray) -> int:
    """A boolean per block as an integer, block i in bit i."""
    if blocks.shape != (BLOCKS,):
        raise ValueError(f"expected {BLOCKS} blocks, got an array of shape {blocks.shape}")
    return int.from_bytes(np.packbits(blocks, bitorder="little").tobytes(), "little")


def as_blocks(bits: int) -> NDArray[np.bool_]:
    """The inverse of `as_bits`."""
    packed = np.frombuffer((bits & ALL_BLOCKS).to_bytes(BLOCKS // 8, "little"), np.uint8)
    return np.unpackbits(packed, bitorder="little").view(np.bool_)


def quadrants(blocks: int) -> int:
    """In how many quarters of the picture at least one of the blocks lies."""
    placed = as_blocks(blocks).reshape(ROWS, COLUMNS)
    top, left = ROWS // 2, COLUMNS // 2
    quarters = (placed[:top, :left], placed[:top, left:], placed[top:, :left], placed[top:, left:])
    return sum(bool(q.any()) for q in quarters)
