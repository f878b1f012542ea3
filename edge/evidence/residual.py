"""What changed between two pictures beyond light and a small shift of the whole.

The change of a pixel is explained by a gain and an offset of the light and by a
shift along the picture's gradients (Lucas and Kanade 1981, for all pixels at once),
fitted by least squares to some of the pixels that follow it. What is left is movement and noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]
_FITS = 2
_FITTED = 1024  # pixels, evenly spread
_RIDGE = 1e-3
_KEPT = 2.0  # times the middle residual: pixels further off do not follow the whole
_LEAST = (2.0, 1.0)  # grey levels that are always near enough: first fit, later fits


def gradients(picture: Levels) -> tuple[Levels, Levels]:
    """How a picture changes from pixel to pixel, across and down, in levels a pixel."""
    down, across = np.gradient(picture)
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def explained(before: Levels, now: Levels, across: Levels, down: Levels) -> tuple[Levels, Levels]:
    """The residual of `now` and the part of its change that is explained.

    Args:
        before: grey levels, any shape.
        now: of the same shape.
        across: gradients of `before` in levels a pixel, of the same shape.
        down: likewise.
    """
    change = (now - before).ravel()
    terms = np.stack([across.ravel(), down.ravel(), before.ravel(), np.ones_like(change)], axis=1)
    every = max(1, change.size // _FITTED)
    some, seen = terms[::every], change[::every]
    near = np.abs(seen - np.median(seen))
    kept = near <= max(_LEAST[0], _KEPT * float(np.median(near)))
    weights = np.zeros(4, np.float32)
    for _ in range(_FITS):
        used = some[kept]
        square = used.T @ used + _RIDGE * np.eye(4, dtype=np.float32)
        weights = np.linalg.solve(square, used.T @ seen[kept])
        off = np.abs(seen - some @ weights)
        kept = off <= max(_LEAST[1], _KEPT * float(np.median(off)))
    fit = terms @ weights
    return (change - fit).reshape(now.shape), fit.reshape(now.shape)
