"""The first seconds of a source as a few frames, spread evenly; memory is bounded.

However long or fast the source is, at most twice the frames asked for are held:
when there are that many every second one is let go, and from then on only every
second one of those that come is kept.
"""

from __future__ import annotations

import numpy as np

from edge.cameras.opencv import Camera
from edge.clock import S


def opening_frames(camera: Camera, seconds: float, count: int) -> list[np.ndarray]:
    """Up to 2 * `count` - 1 BGR frames, evenly spread over the first `seconds`.

    The camera is left open. It gives frames of its own, which may be kept.
    """
    kept: list[np.ndarray] = []
    stride, first_ns = 1, None
    for number, shot in enumerate(camera.shots()):
        first_ns = shot.captured_ns if first_ns is None else first_ns
        if shot.captured_ns - first_ns > seconds * S:
            break
        if number % stride == 0:
            kept.append(camera.layout.bgr(shot.frame))
        if len(kept) == 2 * count:
            kept, stride = kept[::2], 2 * stride
    return kept
