"""Which day's rules hold: the known time, the policy's term, and the rules of today.

Reads the wall clock, and whether a time service keeps it; `known_time` decides how
far to trust both. Times are nanoseconds of CLOCK_BOOTTIME (`now_ns`) and
whole seconds of UTC (`_s`).
"""

from __future__ import annotations

import time

from edge.clock import S, synchronised
from edge.decision.known_time import KnownTime, Moment
from edge.policy.selection import Chosen
from edge.policy.signed.term import of_the_day
from edge.reasons import Reason


class PolicyDay:
    """Keeps the time and the policy of one guard; asks the clocks once a second."""

    def __init__(self, chosen: Chosen, now_ns: int, *, accepts_unproven: bool) -> None:
        """Look at the clocks once; the rules stay those of the guard's first day until asked.

        Args:
            chosen: the policy and its term.
            now_ns: of the boot clock.
            accepts_unproven: the signed record accepts a clock that no time service keeps.
        """
        self.policy = chosen.policy  # under today's rules
        self.reasons: tuple[Reason, ...] = ()  # what is wrong with the time and the term
        self._term = chosen.term
        self._first_day = chosen.first_day
        self._time = KnownTime(chosen.floor_s, accepts_unproven=accepts_unproven)
        self._asked_ns = 0
        self.moment = self._look(now_ns)

    @property
    def floor_s(self) -> int:
        """What is proven to have passed."""
        return self._time.floor_s

    @property
    def has_term(self) -> bool:
        """Whether the policy is a signed bundle, which ends by its date."""
        return self._term is not None

    def wall_ns(self, now_ns: int) -> int:
        """UTC as the log dates its entries, counted on from the last look at the clocks."""
        return self.moment.now_ns + max(0, now_ns - self._looked_ns)

    def ask(self, now_ns: int, *, dated: bool) -> Moment | None:
        """Look at the clocks and judge the term; None if a second has not passed yet.

        Args:
            now_ns: of the boot clock.
            dated: the lane needs a proven time.
        """
        if now_ns - self._asked_ns < S:
            return None
        self._asked_ns = now_ns
        moment = self.moment = self._look(now_ns)
        self.reasons = moment.reasons if dated else ()
        if self._term is not None:
            self.reasons = (*self._term.check(moment.now_s, moment.at_least_s), *self.reasons)
        return moment

    def turn(self) -> bool:
        """Take the rules of the day of the last look; whether they are others than before."""
        moment, before = self.moment, self.policy
        self.policy = of_the_day(before, moment.now_s, proven=moment.proven, floor=self._first_day)
        return self.policy is not before

    def _look(self, now_ns: int) -> Moment:
        self._looked_ns = now_ns
        return self._time.look(time.time(), now_ns, synchronised=synchronised())
