"""One frame through vision, seen and read at once."""

from __future__ import annotations

import numpy as np

from edge.evidence.vision import Vision, VisionResult


def examine(
    vision: Vision,
    frame: np.ndarray,
    captured_ns: int,
    *,
    opening: bool,
    still: bool,
    final: bool = False,
) -> VisionResult:
    """Look at one frame and read it; the arguments are those of `see` and `read`."""
    return vision.read(vision.see(frame, captured_ns, final=final), opening=opening, still=still)
