"""Consent: whether consent and authorisation hold at this moment.

Holds the tokens handed in, the withdrawals, and the claim made before the first
face; answers in the policy's terms. Every decision asks again, so a withdrawal
counts on the next frame. A withdrawal needs no signature: it can only block. Times
are whole seconds of UTC (`now_s`, by the latest time known) or nanoseconds of
CLOCK_BOOTTIME (`_ns`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge.consent.tokens import Authorisation, Receipt
from edge.lease import Lane

_LIVE_KINDS = ("rt_rbi_valid", "urgent_pending")


GALLERY_LANES = (Lane.IDENTIFY, Lane.REIDENTIFY, Lane.REDACT_SELECTIVE)  # lanes without a claim


@dataclass(frozen=True, slots=True)
class Words:
    """Three facts, in the vocabulary of the policy."""

    consent: str
    authorisation: str
    injected_fault: str


class Consent:
    """What the people in this session agreed to, and what others authorised."""

    def __init__(self, lane: Lane, site: str) -> None:
        self._lane = lane
        self._site = site
        self._receipts: dict[str, Receipt] = {}
        self._authorisations: list[Authorisation] = []
        self._withdrawn: set[str] = set()  # numbers of receipts
        self._opted_out: set[str] = set()  # persons
        self._claim: tuple[str, int] | None = None  # person, and when
        self._first_face_ns: int | None = None
        self.people: tuple[str, ...] = ()  # the gallery, as the matcher reports it

    def hand_in(self, token: Receipt | Authorisation) -> None:
        """Take a token that was read and verified."""
        if isinstance(token, Receipt):
            self._receipts[token.number] = token
        else:
            self._authorisations.append(token)

    def withdraw(self, number: str) -> None:
        """The consent of this receipt is taken back, for good."""
        self._withdrawn.add(number)

    def opt_out(self, person: str) -> None:
        """This person opted out: no receipt counts any more."""
        self._opted_out.add(person)

    def claim(self, person: str, at_ns: int) -> None:
        """Somebody says who they are (card, PIN, code) before looking at the camera."""
        self._claim = (person, at_ns)

    def unclaim(self) -> None:
        """The claim is taken back."""
        self._claim = None

    def saw_face(self, captured_ns: int) -> None:
        """A face is in the picture; the first one closes the time for claims."""
        if self._first_face_ns is None or captured_ns < self._first_face_ns:
            self._first_face_ns = captured_ns

    def nobody(self) -> None:
        """The picture is empty again: what was claimed is over."""
        self._claim = None
        self._first_face_ns = None

    @property
    def claimed(self) -> str | None:
        """The person claimed before the first face, or None if no claim came in time."""
        if self._claim is None:
            return None
        person, at_ns = self._claim
        late = self._first_face_ns is not None and at_ns >= self._first_face_ns
        return None if late else person

    def words(self, now_s: int) -> Words:
        """What the policy learns now about the claimed person."""
        person = self.claimed
        consent = "none" if person is None else self.consent_of(person, now_s)
        authorisation, lapsed = self._authorisation(person, now_s)
        fault = {"opted_out": "opt_out", "withdrawn": "consent_withdrawn"}.get(consent, "none")
        if fault == "none" and lapsed:
            fault = "token_expired"
        return Words(consent, authorisation, fault)

    def words_for(self, lane: Lane, now_s: int) -> Words:
        """`words`, or `gallery_words` in the lanes without a claim."""
        searches = lane in GALLERY_LANES
        return self.gallery_words(self.people, now_s) if searches else self.words(now_s)

    def gallery_words(self, people: Iterable[str], now_s: int) -> Words:
        """The same in a lane without a claim: all of the gallery must have agreed."""
        each = {self.consent_of(person, now_s) for person in people}
        consent = "valid" if each == {"valid"} else "none"
        authorisation, lapsed = self._authorisation(None, now_s)
        return Words(consent, authorisation, "token_expired" if lapsed else "none")

    def consent_of(self, person: str, now_s: int) -> str:
        """`opted_out`, `withdrawn`, `valid` or `none`; worse wins."""
        if person in self._opted_out:
            return "opted_out"
        held = [r for r in self._receipts.values() if r.person == person]
        taken_back = [r.from_s for r in held if r.number in self._withdrawn]
        if any(
            r.holds(person, self._lane, self._site, now_s)
            and all(r.from_s > earlier for earlier in taken_back)
            for r in held
        ):
            return "valid"  # given, or given again after it was taken back
        return "withdrawn" if taken_back else "none"

    def _authorisation(self, person: str | None, now_s: int) -> tuple[str, bool]:
        """The value for the policy, and whether a token that was handed in has expired."""
        held = [a for a in self._authorisations if person is not None and a.person == person]
        good = [a for a in held if a.holds(a.person, self._site, now_s)]
        if good:
            return good[-1].kind, False
        over = [a for a in held if a.area == self._site and now_s >= a.to_s]
        if any(a.kind in _LIVE_KINDS for a in over):
            return "rt_rbi_expired", True
        return "none", bool(over)
