"""The sizes that every part of the enrolled view shares, in pixels."""

from __future__ import annotations

WIDTH, HEIGHT = 64, 48  # of the thumbnail
STEP = 3  # thumbnail pixels between the two of a pair
MIN_SIDE_PX = HEIGHT  # a smaller picture has no thumbnail
MAX_SIDE_PX = 8192
