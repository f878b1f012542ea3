"""Drift: did the wall clock jump? It is compared with the boot clock, which never does.

A jump decides nothing by itself: leases know no wall clock. It is written in the
log, since nobody jumps for no reason. The wall clock is in seconds of UTC since
1970, the boot clock in nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from edge.clock import S

JUMP_S = 2  # more than this against the boot clock in one step is no slewing


class Drift:
    """How far the wall clock is ahead of the boot clock, from one look to the next."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None

    def jump_s(self, wall_s: float, boot_ns: int) -> int:
        """By how many whole seconds the wall clock jumped since the last look; 0 if it did not."""
        ahead_s = wall_s - boot_ns / S
        before_s, self._ahead_s = self._ahead_s, ahead_s
        if before_s is None or abs(ahead_s - before_s) <= JUMP_S:
            return 0
        return round(ahead_s - before_s)
