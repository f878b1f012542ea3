"""The consent state: what the policy learns about the people in this session, now.

Combines the consent inbox (tokens, claims, withdrawals), the faces seen and the
comparisons that the matcher reports. Its answer overrides the session record.
Times are nanoseconds of CLOCK_BOOTTIME, or whole seconds of UTC (`known_s`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from edge.clock import S
from edge.consent.comparisons import Comparisons
from edge.consent.consent import GALLERY_LANES, Consent
from edge.consent.inbox import ConsentInbox, Handed
from edge.lease import Lane
from edge.reasons import Reason

EMPTY_NS = 2 * S  # a picture without faces for this long ends a claim and a probe
UNREPORTED_NS = 3 * S  # a face may be released for this long before a comparison is reported


class ConsentState:
    """One session's; without an inbox it only counts comparisons."""

    def __init__(
        self, lane: Lane, consent: Consent, inbox: ConsentInbox | None, *, counted: bool
    ) -> None:
        """`counted`: the device record asks that the matcher reports what it compares."""
        self._lane = lane
        self._consent = consent
        self._inbox = inbox
        self._counted = counted and lane is Lane.VERIFY
        self._comparisons = Comparisons()
        self._claimed: str | None = None
        self._face_ns: int | None = None  # when a face was last seen
        self._owed_ns: int | None = None  # since when a face was released unreported

    def look(self, now_ns: int) -> tuple[Handed, ...]:
        """Take what was handed in at the inbox."""
        handed = () if self._inbox is None else self._inbox.look(now_ns)
        claimed = self._consent.claimed
        if claimed is not None and claimed != self._claimed:
            self._comparisons.claim(claimed)
        self._claimed = claimed
        return handed

    def faces(self, count: int, captured_ns: int, *, permitted: bool) -> None:
        """So many faces were found in a frame, captured while a permit held or not."""
        if count:
            self._face_ns = captured_ns
            self._consent.saw_face(captured_ns)
            if permitted and self._owed_ns is None:
                self._owed_ns = captured_ns
        elif self._face_ns is not None and captured_ns - self._face_ns >= EMPTY_NS:
            self._face_ns = self._owed_ns = None
            self._consent.nobody()
            self._comparisons.nobody()

    def compared(self, reference: str) -> None:
        """The matcher reports that it compared the face with this reference."""
        self._owed_ns = None
        if self._lane is Lane.VERIFY:
            if self._inbox is None and not self._comparisons.counting:
                self._comparisons.claim(reference)  # nowhere to claim: the first one counts
            self._comparisons.compare(reference)

    def gallery(self, people: tuple[str, ...]) -> None:
        """The matcher reports whom it compares every face with."""
        self._consent.people = people

    def reasons(self, now_ns: int) -> tuple[Reason, ...]:
        """The causes that block in addition to the policy."""
        found = []
        if self._inbox is not None and not self._inbox.readable:
            found.append(Reason.DESK_UNREADABLE)
        if self._counted and self._owed_ns is not None and now_ns - self._owed_ns > UNREPORTED_NS:
            found.append(Reason.COMPARISONS_UNREPORTED)
        searches = self._lane in GALLERY_LANES and self._inbox is not None
        if searches and not self._consent.people:
            found.append(Reason.GALLERY_UNREPORTED)
        return tuple(found)

    def facts(self, known_s: int) -> Mapping[str, object]:
        """What to tell the policy in place of the session record's words."""
        facts: dict[str, object] = {}
        if self._inbox is not None:
            facts.update(asdict(self._consent.words_for(self._lane, known_s)))
        if self._comparisons.split_search:
            facts["injected_fault"] = "split_search"
        return facts
