"""A decider whose wall clock jumps when a file appears; environment variables set how.

Only the wall clock is replaced; everything else is the decider as it ships.
"""

from __future__ import annotations

import os
import time

from edge.decision import decider, policy_day


class Wall:
    """The module `time` as the policy day uses it."""

    def __init__(self) -> None:
        self._at = os.environ["SET_CLOCK_AT"]
        self._by_s = float(os.environ["SET_CLOCK_S"])

    def _ahead_s(self) -> float:
        return self._by_s if os.path.exists(self._at) else 0.0

    def time(self) -> float:
        return time.time() + self._ahead_s()

    def time_ns(self) -> int:
        return time.time_ns() + int(self._ahead_s() * 1e9)


def main() -> int:
    policy_day.time = Wall()
    return decider.main()
