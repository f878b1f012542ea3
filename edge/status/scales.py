"""The scales of the page: the verdict strip's seconds, the histogram's bounds."""

from __future__ import annotations

STRIP_S = 300  # seconds the verdict strip covers
EMPTY_SECOND = "."
BUCKETS_US = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)  # upper bounds of the histogram
