"""Exact confidence bounds of a share (Clopper and Pearson 1934)."""

from __future__ import annotations

import math


def upper(hits: int, trials: int, confidence: float = 0.95) -> float:
    """The share that `hits` of `trials` leaves possible, one-sided; 1 without any trial."""
    if trials <= 0 or hits >= trials:
        return 1.0
    low, high = hits / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most(hits, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def lower(hits: int, trials: int, confidence: float = 0.95) -> float:
    """The least share that `hits` of `trials` is still likely under."""
    return 1.0 - upper(trials - hits, trials, confidence) if trials > 0 else 0.0


def _at_most(hits: int, trials: int, share: float) -> float:
    """The chance of at most `hits` in `trials`."""
    total = 0.0
    for count in range(hits + 1):
        ways = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
        log = ways + count * math.log(share) + (trials - count) * math.log1p(-share)
        total += math.exp(log)
    return total
