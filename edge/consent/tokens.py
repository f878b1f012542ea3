"""Tokens: what others sign for a session: an authorisation, or a person's consent.

A token is a signed note (see `edge.audit.note`) around one line of canonical
JSON. An authorisation names the person, purpose, period, area and the one rule
it lifts, and lasts a month at most (the worked model is Sweden's Lag 2026:806).
A receipt says that a person agreed to one lane at one site. Persons are 32-byte
digests; names never come near the device. Pure: bytes and keys in. Times are
whole seconds of UTC since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import rfc8785

from edge.audit.note import NoteError, Signer, Verifier, read_note, sign_note
from edge.errors import RecordError, SignatureError, wrong_in
from edge.lease import Lane
from edge.policy.signed import strict_json

DAY_S = 86_400
MONTH_S = 31 * DAY_S
URGENT_S = DAY_S  # an urgent start holds until the request must have been answered
RECEIPT_S = 366 * DAY_S
# which rule each kind of authorisation may lift; it lifts that one and no other
LIFTS = {
    "rt_rbi_valid": "EU-01",
    "urgent_pending": "EU-01",
    "post_rbi_valid": "EU-05",
    "warrant": "ST-WA",
    "court_order": "ST-WA",
}
_DIGEST = re.compile("[0-9a-f]{64}")
_WORDS = re.compile(r"[ -~]{1,120}")
_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Authorisation:
    """An authorisation by a court or an authority for one named person."""

    kind: str  # a value of the policy's `authorisation`
    lifts: str  # the rule it names
    person: str  # digest, hexadecimal
    purpose: str
    area: str  # the site it holds for
    from_s: int
    to_s: int  # first second after it

    def holds(self, person: str, area: str, now_s: int) -> bool:
        """Whether it covers this person, here, now."""
        return (person, area) == (self.person, self.area) and self.from_s <= now_s < self.to_s


@dataclass(frozen=True, slots=True)
class Receipt:
    """One person's consent to one lane at one site."""

    number: str  # the receipt's own id, so that it can be withdrawn
    person: str  # digest, hexadecimal
    lane: Lane
    site: str
    from_s: int
    to_s: int  # first second after it

    def holds(self, person: str, lane: Lane, site: str, now_s: int) -> bool:
        """Whether it covers this person, lane and site, now."""
        same = (person, lane, site) == (self.person, self.lane, self.site)
        return same and self.from_s <= now_s < self.to_s


def sign_token(token: Authorisation | Receipt, signer: Signer) -> bytes:
    """The token as its signer hands it out."""
    fields = asdict(token)
    if isinstance(token, Receipt):
        fields |= {"token": "receipt", "lane": token.lane.value}
    else:
        fields["token"] = "authorisation"
    return sign_note(rfc8785.dumps(fields) + b"\n", [signer])


def read_authorisation(note: bytes, authorities: Iterable[Verifier]) -> Authorisation:
    """The authorisation in a note signed by one of `authorities`.

    Raises:
        SignatureError: none of them signed it as it stands.
        RecordError: it is not an authorisation, lasts too long, or names a rule
            that its kind cannot lift.
    """
    fields = _read(note, authorities, "authorisation", _AUTHORISATION)
    kind, lifts = fields["kind"], fields["lifts"]
    if LIFTS.get(kind) != lifts:
        raise RecordError(
            f"an authorisation of kind {kind!r} cannot lift {lifts!r}; "
            f"it could lift {LIFTS.get(kind, 'nothing')}"
        )
    _period(fields, URGENT_S if kind == "urgent_pending" else MONTH_S)
    del fields["token"]
    return Authorisation(**fields)


def read_receipt(note: bytes, receipt_keys: Iterable[Verifier]) -> Receipt:
    """The receipt in a note signed by one of the enrolment `receipt_keys`.

    Raises:
        SignatureError: none of them signed it as it stands.
        RecordError: it is not a receipt, or lasts longer than a year.
    """
    fields = _read(note, receipt_keys, "receipt", _RECEIPT)
    _period(fields, RECEIPT_S)
    del fields["token"]
    return Receipt(**{**fields, "lane": Lane(fields["lane"])})


def _text(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _seconds(value: object) -> bool:
    return type(value) is int and value >= 0


def _lane(value: object) -> bool:
    return isinstance(value, str) and value in {lane.value for lane in Lane}


_BOTH = {"person": _text(_DIGEST), "from_s": _seconds, "to_s": _seconds}
_AUTHORISATION = _BOTH | dict.fromkeys(("kind", "lifts", "purpose", "area"), _text(_WORDS))
_RECEIPT = _BOTH | {"number": _text(_WORDS), "lane": _lane, "site": _text(_WORDS)}


def _read(
    note: bytes, keys: Iterable[Verifier], token: str, form: dict[str, Callable[[object], bool]]
) -> dict[str, Any]:
    with wrong_in(token, NoteError, as_=SignatureError):
        text, _ = read_note(note, keys)
    with wrong_in(token, ValueError, as_=RecordError):
        fields = strict_json.load(text, max_bytes=_MAX_BYTES, max_depth=2)
    if not isinstance(fields, dict) or fields.get("token") != token:
        raise RecordError(f"expected a token of kind {token}")
    if set(fields) != {"token", *form}:
        raise RecordError(f"{token}: expected exactly the keys {', '.join(sorted(form))}")
    for key, good in form.items():
        if not good(fields[key]):
            raise RecordError(f"{token}: {key} cannot be {fields[key]!r:.60}")
    return fields


def _period(fields: dict[str, Any], longest_s: int) -> None:
    lasts_s = fields["to_s"] - fields["from_s"]
    if not 0 < lasts_s <= longest_s:
        raise RecordError(
            f"{fields['token']}: expected a period of up to {longest_s // DAY_S} days, "
            f"got {lasts_s} s"
        )
