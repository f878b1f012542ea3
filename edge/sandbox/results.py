"""Limits the results that may leave the sandbox: their rate, and the people they may name.

A result is small by its form (`framegate_client.results`). The quota holds how many
there may be, so that what a thousand of them could carry stays small, too: 60 a
minute, ten at once, about twelve new people a minute, and only people whom the
matcher reported. Without clock and I/O.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from edge.clock import S
from edge.errors import UsageError
from framegate_client.results import Result, result_of

A_MINUTE_NS = 60 * S
BURST = 10  # results at once
EVERY_NS = 1 * S  # one more may come
NEW_SUBJECTS = 12  # a minute
MOST_PEOPLE = 2048  # reported by one matcher, the newest


class ResultQuota:
    """Counts what one guard's matchers hand in."""

    def __init__(self, lane: str) -> None:
        self.accepted = 0
        self.refused = 0
        self._lane = lane
        self._spent_ns = 0  # when the quota would be whole again
        self._people: dict[bytes, None] = {}
        self._subjects: deque[tuple[int, str]] = deque()  # when each was named anew

    def know(self, people: tuple[bytes, ...]) -> None:
        """The matcher reported these references; results may be about them."""
        for person in people:
            self._people.pop(person, None)
            self._people[person] = None
        while len(self._people) > MOST_PEOPLE:
            del self._people[next(iter(self._people))]

    def take(self, found: Any, now_ns: int) -> Result:
        """The result in `found`, counted.

        Raises:
            UsageError: it may not pass, and is counted as refused; the message says by what rule.
        """
        try:
            result = result_of(self._lane, found)
            self._admit(result, now_ns)
        except UsageError:
            self.refused += 1
            raise
        self.accepted += 1
        return result

    def _admit(self, result: Result, now_ns: int) -> None:
        if self._spent_ns - now_ns > (BURST - 1) * EVERY_NS:
            raise UsageError(f"too many results: at most {A_MINUTE_NS // EVERY_NS} a minute pass")
        if result.subject is not None:
            if bytes.fromhex(result.subject) not in self._people:
                raise UsageError("subject: expected a person whom the matcher reported as compared")
            self._named(result.subject, now_ns)
        self._spent_ns = max(self._spent_ns, now_ns) + EVERY_NS

    def _named(self, subject: str, now_ns: int) -> None:
        while self._subjects and now_ns - self._subjects[0][0] > A_MINUTE_NS:
            self._subjects.popleft()
        if any(known == subject for _, known in self._subjects):
            return
        if len(self._subjects) >= NEW_SUBJECTS:
            raise UsageError(f"too many people: at most {NEW_SUBJECTS} new ones pass in a minute")
        self._subjects.append((now_ns, subject))
