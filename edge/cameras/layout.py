"""How a camera lays a picture out in memory: BGR, or Y with chroma at half its size.

A BGR picture is an array of shape (H, W, 3). NV12 and I420 are taken as they
come, as OpenCV holds them: shape (3 H / 2, W), the Y plane in the first H rows,
then the chroma, so H and W are even. All are uint8 without gaps.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_PLANAR = re.compile(r"video/x-raw(?:,.*)?,format=(?:\(string\))?(NV12|I420)(?:,.*)?")


class Layout(Enum):
    """One layout; the value is GStreamer's name for it."""

    BGR = "BGR"
    NV12 = "NV12"  # Y, then U and V side by side
    I420 = "I420"  # Y, then U, then V

    @property
    def planar(self) -> bool:
        """Whether Y is a plane of its own."""
        return self is not Layout.BGR

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """The array that holds a picture of this size in pixels."""
        return (height * 3 // 2, width) if self.planar else (height, width, 3)

    def bytes(self, height: int, width: int) -> int:
        """Bytes of a picture of this size."""
        return height * width * 3 // (2 if self.planar else 1)

    def size(self, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """(height, width) in pixels of the picture in an array of this shape; None for none."""
        match shape:
            case (height, width, 3) if not self.planar:
                return height, width
            case (rows, width) if self.planar and rows % 3 == 0 and width % 2 == 0:
                return rows // 3 * 2, width
        return None

    def planes(self, picture: np.ndarray) -> tuple[np.ndarray, ...]:
        """Views of the planes: all of BGR; Y and UV, shape (H/2, W/2, 2); or Y, U and V."""
        if not self.planar:
            return (picture,)
        rows, width = picture.shape
        height, middle = rows // 3 * 2, width // 2
        luma, chroma = picture[:height], picture[height:]
        if self is Layout.NV12:
            return luma, chroma.reshape(height // 2, middle, 2)
        return luma, *chroma.reshape(2, height // 2, middle)

    def bgr(self, picture: np.ndarray, into: np.ndarray | None = None) -> np.ndarray:
        """The picture in colour, shape (H, W, 3), by BT.601; itself if it is BGR already.

        `into`, an array of that shape, gets the result where there is something to convert.
        """
        if not self.planar:
            return picture
        import cv2  # the parent knows layouts and looks at no picture

        code = cv2.COLOR_YUV2BGR_NV12 if self is Layout.NV12 else cv2.COLOR_YUV2BGR_I420
        return cv2.cvtColor(picture, code, dst=into)


def layout_of(words: list[str]) -> Layout:
    """The layout to take a pipeline's frames in: what its last words ask for, or BGR."""
    asked = _PLANAR.fullmatch(words[-1]) if words else None
    return Layout(asked[1]) if asked is not None else Layout.BGR


def padded(layout: Layout, height: int, width: int) -> tuple[tuple[int, int], ...]:
    """(rows, bytes a row) of each plane as GStreamer lays it out: rows begin at a multiple of 4."""
    row = -(-width // 4) * 4
    match layout:
        case Layout.BGR:
            return ((height, -(-width * 3 // 4) * 4),)
        case Layout.NV12:
            return (height, row), (height // 2, row)
        case Layout.I420:
            half = -(-width // 8) * 4
            return (height, row), (height // 2, half), (height // 2, half)
