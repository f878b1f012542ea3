"""Movement during a take: the blocks in which something moved, a person or not.

A detector that finds no person does not prove that no person was there. Change over time is
evidence of its own: a person moves, and furniture does not. The frames are brought to
one light and one place (a lamp breathes, a mount shakes), and what then still differs
from the middle of all frames has moved. It is told as apparent motion: how far the
edges there would have to have gone, in pixels of a picture 640 wide.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.view import signs
from edge.view.exact.area import shrunk

_SIZE = (20 * signs.COLUMNS, 20 * signs.ROWS)  # width and height frames are compared at
_PX = 640 / _SIZE[0]  # pixels of a picture 640 wide in one of these
_LOCAL = 9  # pixels on a side over which light is taken to be even
_NOISES = 4.0  # times the noise of the picture, below which a difference is noise
_FAINT = 10.0  # grey levels: edges below this do not show how far they went
_SHARE = 0.02  # of a block's pixels that show it
FLOORS = 3.0  # times what the stillest four in ten of the blocks seem to move by at most
LEAST_PX = 1.5  # of 640: less is no movement, whatever the floor
HIGHEST_FLOOR_PX = 1.5  # a picture that seems to move by more everywhere is full of what moves

Motion = NDArray[np.float64]


def apparent_motion(frames: Sequence[np.ndarray]) -> Motion:
    """How far each block's edges are from where they usually are, shape (frames, 48), px of 640.

    Args:
        frames: BGR uint8 of one size and one light, in order.
    """
    detail = np.stack([_detail(frame) for frame in frames])
    usual = np.median(detail, axis=0).astype(np.float32)
    settled = np.stack([_in_place(one, usual) for one in detail])
    usual = np.median(settled, axis=0).astype(np.float32)
    differs = np.abs(settled - usual)
    noise = 1.5 * float(np.median(differs))
    across = cv2.Sobel(usual, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(usual, cv2.CV_32F, 0, 1, scale=1 / 8)
    steep = np.maximum(cv2.dilate(np.hypot(across, down), np.ones((3, 3))), _FAINT)
    gone = np.maximum(differs - _NOISES * noise, 0) / steep * _PX
    high, wide = _SIZE[1] // signs.ROWS, _SIZE[0] // signs.COLUMNS
    split = gone.reshape(len(frames), signs.ROWS, high, signs.COLUMNS, wide)
    blocks = split.transpose(0, 1, 3, 2, 4).reshape(len(frames), signs.BLOCKS, high * wide)
    return np.asarray(np.quantile(blocks, 1 - _SHARE, axis=2), np.float64)


def moved(motion: Motion) -> NDArray[np.bool_]:
    """In which frames each block was moved in, shape (frames, 48)."""
    most = motion.max(axis=0)
    floor = min(float(np.quantile(most, 0.4)), HIGHEST_FLOOR_PX)
    found: NDArray[np.bool_] = motion > max(LEAST_PX, FLOORS * floor)
    return found


def _detail(frame: np.ndarray) -> NDArray[np.float32]:
    """The picture without its even light: what stays when a lamp breathes."""
    small = shrunk(frame, _SIZE)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    light = cv2.blur(grey, (_LOCAL, _LOCAL))
    return np.asarray((grey - light) * (128 / np.maximum(float(grey.mean()), 16)), np.float32)


def _in_place(detail: NDArray[np.float32], usual: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture moved to where the usual one is, if the mount shook by a little."""
    (right, down), sure = cv2.phaseCorrelate(usual, detail)
    if sure < 0.2 or max(abs(right), abs(down)) > 3 or max(abs(right), abs(down)) < 0.02:
        return detail
    back = np.array([[1, 0, -right], [0, 1, -down]])
    moved_back = cv2.warpAffine(detail, back, _SIZE, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved_back, np.float32)
