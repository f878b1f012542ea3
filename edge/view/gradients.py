"""Directions of brightness change, the slow loop's second opinion on the view.

The picture is averaged down to 64x48, so what is compared is coarse layout and
not detail. Each place has a vector: the Sobel gradient divided by its length plus
`SOFT`, which makes strong edges count alike and weak ones little. The enrolled
side is only the direction in eighths of a turn. Compared block by block (4x4
places, 16x12 blocks) by the cosine between the two sets of vectors.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.view import signs
from edge.view.exact.area import shrunk
from edge.view.fingerprint import DIRECTIONS, Fingerprint
from edge.view.signs import Pixels

SOFT = 2.0  # grey levels: gradients below this hardly count
FINE = 4  # places on a side of a gradient block
AGREES = 0.6  # cosine from which a gradient block is the enrolled one
MIN_PLACES = 3  # enrolled places in a gradient block before it is judged

Vectors = NDArray[np.complex64]


def vectors(frame: np.ndarray) -> Vectors:
    """The softened gradient vectors of a BGR frame, shape (48, 64), x + iy."""
    small = shrunk(frame, (signs.WIDTH, signs.HEIGHT))
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.25, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.25, borderType=cv2.BORDER_REPLICATE)
    flow = (across + 1j * down).astype(np.complex64)
    softened: Vectors = flow / (np.abs(flow) + np.float32(SOFT))
    return softened


def quantise(found: Vectors) -> Pixels:
    """The direction of each vector in eighths of a turn."""
    eighths = np.rint(np.angle(found) * (DIRECTIONS / (2 * np.pi))).astype(int)
    return np.asarray(eighths % DIRECTIONS, np.uint8)


class GradientMap:
    """The enrolled directions of one fingerprint, ready to compare."""

    def __init__(self, fingerprint: Fingerprint) -> None:
        turn = fingerprint.directions.astype(np.float32) * np.float32(2 * np.pi / DIRECTIONS)
        on = fingerprint.gradient_mask != 0
        self._enrolled: Vectors = np.where(on, np.exp(1j * turn), 0).astype(np.complex64)
        self._on = on
        self._places = _fine_sums(on.astype(np.float32))

    def agreement(self, frame: np.ndarray, seen_blocks: int) -> float:
        """Share of the enrolled gradient blocks inside the seen blocks that agree; 0 if none."""
        live = np.where(self._on, vectors(frame), 0)
        along = _fine_sums((live * self._enrolled.conj()).real)
        length = np.sqrt(_fine_sums(np.abs(live) ** 2) * self._places)
        inside = signs.as_blocks(seen_blocks).reshape(signs.ROWS, signs.COLUMNS)
        fine = signs.BLOCK // FINE
        judged = np.repeat(np.repeat(inside, fine, 0), fine, 1) & (self._places >= MIN_PLACES)
        if not judged.any():
            return 0.0
        good = along[judged] > AGREES * np.maximum(length[judged], 1e-6)
        return float(good.mean())


def _fine_sums(places: np.ndarray) -> NDArray[np.float32]:
    rows, columns = signs.HEIGHT // FINE, signs.WIDTH // FINE
    return np.asarray(places.reshape(rows, FINE, columns, FINE).sum(axis=(1, 3)), np.float32)
