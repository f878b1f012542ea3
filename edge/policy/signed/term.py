"""The policy term: is the policy that came into force still in force, and which day's rules hold?

Asked once a second, with a time that `edge.decision.known_time` has proven.
Times are whole seconds of UTC since 1970.
"""

from __future__ import annotations

import datetime

from edge.policy.engine import Policy
from edge.policy.signed.bundle import Bundle, Floors, expired, raised
from edge.reasons import Reason


class PolicyTerm:
    """Watches the time for one bundle in force."""

    def __init__(self, bundle: Bundle, floors: Floors) -> None:
        """Take a bundle that was admitted, and the floors it left."""
        self.bundle = bundle  # what is in force, with its limits and model digests
        self.floors = floors  # the newest known: for the audit log and the board

    def check(self, now_s: int, passed_s: int) -> tuple[Reason, ...]:
        """What is wrong now.

        Args:
            now_s: the time, proven or not: it can end the bundle for as long as it says so.
            passed_s: proven to have passed: what ends the bundle by it ends it for good.
        """
        self.floors = raised(self.floors, passed_s)
        return (Reason.POLICY_EXPIRED,) if expired(self.bundle, self.floors, now_s) else ()


def of_the_day(policy: Policy, now_s: int, *, proven: bool, floor: datetime.date) -> Policy:
    """The pack under the rules of the day that `now_s` lies in, if that is proven.

    Args:
        now_s: the time.
        proven: whether it is; if not, the rules are read as on the strictest day
            from `floor` on, since a clock that is wrong must take no rule away.
    """
    if not proven:
        if policy.open_ended and policy.day == floor:
            return policy
        return Policy(policy.pack, floor, open_ended=True)
    day = datetime.datetime.fromtimestamp(now_s, datetime.timezone.utc).date()
    if day == policy.day and not policy.open_ended:
        return policy
    return Policy(policy.pack, day)
