"""Tenure: is the policy that came into force still in force? Asked once a second.

The wall clock decides no lease, but it does decide dates. It is believed only
forwards: a time that passed is a floor, and a clock that shows an earlier one
blocks. `wall_s` is whole seconds of UTC since 1970.
"""

from __future__ import annotations

import datetime

from edge.policy.bundle import Bundle, Floors, expired, raised, set_back
from edge.policy.engine import Policy
from edge.reasons import Reason


class Tenure:
    """Watches the clocks for one bundle in force."""

    def __init__(self, bundle: Bundle, floors: Floors) -> None:
        """Take a bundle that was admitted, and the floors it left."""
        self._bundle = bundle
        self._floors = floors

    @property
    def bundle(self) -> Bundle:
        """What is in force, with its limits and model digests."""
        return self._bundle

    @property
    def floors(self) -> Floors:
        """The newest known: for the audit log and the board."""
        return self._floors

    def check(self, wall_s: int) -> tuple[Reason, ...]:
        """What is wrong now, worst first."""
        found = []
        if set_back(self._floors, wall_s):
            found.append(Reason.CLOCK_BACKWARDS)
        self._floors = raised(self._floors, wall_s)
        if expired(self._bundle, self._floors, wall_s):
            found.insert(0, Reason.POLICY_EXPIRED)
        return tuple(found)

    @property
    def fault(self) -> str:
        """The policy's own word for it: `policy_expired` or `none`."""
        return "policy_expired" if expired(self._bundle, self._floors, 0) else "none"


def of_the_day(policy: Policy, known_s: int) -> Policy:
    """The pack under the rules of the day that `known_s` lies in; days only go forwards.

    Args:
        known_s: the latest time known, so that a clock set back brings no rule back.
    """
    day = datetime.datetime.fromtimestamp(known_s, datetime.timezone.utc).date()
    return Policy(policy.pack, day) if day > policy.day else policy
