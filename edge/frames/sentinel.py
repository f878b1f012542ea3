"""The sentinel: a check that is cheap enough to run on every frame.

It answers one question for the gate (does this frame show the enrolled place?) and
computes a few numbers for liveness. It keeps one thumbnail, in memory only, and
allocates nothing per frame except the answer. No content of a frame makes it raise:
for a frame that is not a valid picture it returns a `Look` that says so.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np

from edge.cameras.layout import Layout
from edge.view import signs
from edge.view.fingerprint import Fingerprint
from edge.view.look import MALFORMED, Look
from edge.view.signs import ALL_BLOCKS

MIN_PAIRS = 60  # fewer enrolled pairs in the seen blocks say nothing about a place
_UINT8 = np.dtype(np.uint8)
_PIXELS = signs.WIDTH * signs.HEIGHT


class Sentinel:
    """Looks at each frame of one camera, comparing it with one fingerprint.

    Of BGR it sees green, of NV12 and I420 the Y plane, as they lie: which of two
    places is brighter differs between the two for few of the enrolled pairs.
    """

    def __init__(self, fingerprint: Fingerprint | None, layout: Layout = Layout.BGR) -> None:
        """`layout` is the camera's; a frame of any other is no picture."""
        self._fingerprint = fingerprint
        self._layout = layout
        self._shape: tuple[int, ...] = ()
        self._places: tuple[slice | int, ...] = ()
        self._score: float | None = None  # of the frame last glanced at
        self._buffers = tuple(_Buffers() for _ in range(2))  # this frame's and the last one's
        self._turn = 0
        self._first = True
        self._change = 255.0  # of the frame last glanced at, from the one before
        self._seen = -1  # no mask is built yet
        self._pairs = 0
        self._mask = np.zeros(signs.SIGN_SHAPE, np.uint8)
        self._found = np.zeros(signs.SIGN_SHAPE, np.uint8)
        self._across = self._found[: signs.HEIGHT, : signs.WIDTH - signs.STEP]
        self._down = self._found[signs.HEIGHT : 2 * signs.HEIGHT - signs.STEP]
        self._laplacian = np.zeros((signs.HEIGHT, signs.WIDTH), np.int16)
        self._mean = np.zeros((1, 1))
        self._std = np.zeros((1, 1))

    def look(self, frame: np.ndarray, seen_blocks: int = ALL_BLOCKS) -> Look:
        """Look at one frame, all of it: `glance`, then `note`."""
        self.glance(frame, seen_blocks)
        return self.note()

    def glance(self, frame: np.ndarray, seen_blocks: int = ALL_BLOCKS) -> float | None:
        """What the gate must know before it decides; `note` gives the rest.

        Args:
            frame: uint8 pixels in the layout's shape, any strides; only read.
            seen_blocks: bit i says that the last view reading saw block i of the
                enrolled view; the others are left out.

        Returns:
            The view score, 0 to 1; None for what is no picture.
        """
        alike = type(frame) is np.ndarray and frame.dtype is _UINT8 and frame.shape == self._shape
        if not alike:  # not of the kind of the frame before, which was well formed
            size = self._size(frame)
            if size is None:
                self._score = None
                self._change = 255.0
                return None
            if frame.shape != self._shape:
                rows, columns = signs.grid(*size)
                self._places = (rows, columns) if self._layout.planar else (rows, columns, 1)
                self._shape = frame.shape
                self._first = True
        self._turn = turn = 1 - self._turn
        now = self._buffers[turn]
        np.copyto(now.thumb, frame[self._places])
        last = self._buffers[1 - turn].thumb
        self._change = 255.0 if self._first else cv2.norm(now.thumb, last, cv2.NORM_L1) / _PIXELS
        self._first = False
        self._score = score = self._compare(now, seen_blocks)
        return score

    @property
    def repeat(self) -> bool:
        """Whether the frame last glanced at has the pixels of the one before it."""
        return self._change == 0.0

    def note(self) -> Look:
        """The plain numbers of the frame last glanced at, for liveness; asked once a frame.

        They decide nothing about that frame, so the gate asks after its release.
        """
        if self._score is None:
            return MALFORMED
        thumb = self._buffers[self._turn].thumb
        cv2.meanStdDev(thumb, self._mean, self._std)
        cv2.Laplacian(thumb, cv2.CV_16S, self._laplacian)
        return Look(
            self._score,
            self._mean.item(),
            self._std.item(),
            cv2.norm(self._laplacian, cv2.NORM_L1) / _PIXELS,
            self._change,
            zlib.crc32(thumb.data),
            False,
        )

    def _size(self, frame: np.ndarray) -> tuple[int, int] | None:
        """(height, width) of the picture; None for what is none a camera gives."""
        if not isinstance(frame, np.ndarray) or frame.dtype != _UINT8:
            return None
        size = self._layout.size(frame.shape)
        return size if size is not None and signs.fits(*size) else None

    def _compare(self, now: _Buffers, seen_blocks: int) -> float:
        if self._fingerprint is None:
            return 0.0
        if seen_blocks != self._seen:
            np.bitwise_and(self._fingerprint.mask, signs.pairs_in(seen_blocks), out=self._mask)
            self._pairs = cv2.countNonZero(self._mask)
            self._seen = seen_blocks
        if self._pairs < MIN_PAIRS:
            return 0.0
        cv2.compare(now.left, now.right, cv2.CMP_GT, self._across)
        cv2.compare(now.upper, now.lower, cv2.CMP_GT, self._down)
        wrong = cv2.norm(self._found, self._fingerprint.bits, cv2.NORM_L1, self._mask)
        return 1.0 - wrong / (255.0 * self._pairs)


class _Buffers:
    """One thumbnail and the four views of it that are compared."""

    __slots__ = ("left", "lower", "right", "thumb", "upper")

    def __init__(self) -> None:
        self.thumb = np.zeros((signs.HEIGHT, signs.WIDTH), np.uint8)
        self.left, self.right = self.thumb[:, : -signs.STEP], self.thumb[:, signs.STEP :]
        self.upper, self.lower = self.thumb[: -signs.STEP], self.thumb[signs.STEP :]
