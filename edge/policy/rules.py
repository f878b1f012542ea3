"""Rules: Cedar policies with the annotations that say whose words they are.

A rule id may stand on several policies (FA-06 has two legs; EU-05 both forbids
and permits). Each policy must carry every annotation, so nothing is decided
that cannot be explained.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cedarpy

from edge.errors import PolicyError, meaning, wrong_in
from edge.policy.facts import UNKNOWN_PLACE
from edge.policy.outcome import Outcome

CHECK_DAYS = 180  # law and terms move: a source looked at longer ago is to be read again


class Effect(Enum):
    """What a policy does when its conditions hold."""

    FORBID = "forbid"
    PERMIT = "permit"


class Status(Enum):
    """How well the source's words are known."""

    VERIFIED = "verified"  # read in the source named
    QUOTED = "verified (quotation of the code)"  # word for word, in a report that quotes it
    VERIFIED_IN_PART = "verified in part"
    SECONDARY = "secondary"  # a report of the text
    UNCERTAIN = "uncertain"  # whether it still holds could not be settled
    OWN = "own"  # the guard's own rule


@dataclass(frozen=True, slots=True)
class Rule:
    """One Cedar policy, and where it comes from."""

    id: str
    effect: Effect
    source: str
    version: str
    effective_from: datetime.date | None  # of the law or the vendor; None: always
    adopted_from: datetime.date | None  # from here on this pack decides by it; None: always
    effective_to: datetime.date | None  # last day in force; None: no end
    checked: datetime.date | None  # when its source was last looked at; None: not recorded
    status: Status
    says: str
    outcome: Outcome  # FORBIDDEN for a forbid; of a permit, what it says when it decides
    family: str  # the file it stands in, without its suffix
    number: int  # place in that file, from 0
    body: dict[str, Any]  # the policy in Cedar's JSON form

    @property
    def key(self) -> str:
        """Unique among all rules of a pack; the policy's id in the engine."""
        return f"{self.family}.{self.number}:{self.id}"

    def in_force(self, day: datetime.date) -> bool:
        """Whether the rule decides on `day`."""
        begun = self.adopted_from is None or self.adopted_from <= day
        return begun and (self.effective_to is None or day <= self.effective_to)

    def stale_days(self, day: datetime.date) -> int:
        """Days since the last check of the source, if too many; else 0."""
        days = 0 if self.checked is None else (day - self.checked).days
        return days if days > CHECK_DAYS else 0

    def in_force_from(self, day: datetime.date) -> bool:
        """Whether the rule decides if today is an unknown day, not before `day`.

        The strictest of those days counts: a prohibition applies if it applies on any
        of them, and a permission only if it applies on all of them.
        """
        if self.effect is Effect.FORBID:
            return self.effective_to is None or day <= self.effective_to
        return self.effective_to is None and self.in_force(day)


_REQUIRED = frozenset(
    {"id", "source", "version", "effective_from", "effective_to", "status", "says"}
)
_OPTIONAL = frozenset({"adopted_from", "checked"})  # by the law's own date, and date not recorded


def parse(family: str, text: bytes) -> tuple[Rule, ...]:
    """The rules in one `.cedar` file.

    Raises:
        PolicyError: not Cedar, or a policy lacks an annotation or has an odd one.
    """
    try:
        found = json.loads(cedarpy.policies_to_json_str(text.decode()))
    except (ValueError, RecursionError) as err:
        reason = " ".join(str(err).split())
        where = _misspelt(text)
        raise PolicyError(f"{family}.cedar{where} is not Cedar: {reason[:200]}") from err
    if found.get("templates") or found.get("templateLinks"):
        raise PolicyError(f"{family}.cedar holds a template; expected plain policies")
    bodies = found["staticPolicies"]
    numbered = sorted(bodies, key=lambda name: int(name.removeprefix("policy")))
    return tuple(_rule(family, i, bodies[name]) for i, name in enumerate(numbered))


def _misspelt(text: bytes) -> str:
    """Where the first policy stands that is no Cedar by itself: the engine names no line."""
    start = 1
    for part in re.split(r"^(?=@id\()", text.decode(errors="replace"), flags=re.MULTILINE):
        try:
            cedarpy.policies_to_json_str(part)
        except ValueError:
            found = re.match(r'@id\("([^"\n]{1,40})"', part)
            return f", the policy from line {start} on ({found[1] if found else 'no id'}),"
        start += part.count("\n")
    return ""


def policy_set(rules: Iterable[Rule]) -> cedarpy.PolicySet:
    """The rules as the engine takes them; each policy's id is its rule's key."""
    bodies = {rule.key: rule.body for rule in rules}
    text = json.dumps({"templates": {}, "staticPolicies": bodies, "templateLinks": []})
    return cedarpy.PolicySet.from_json_str(text)


def _rule(family: str, number: int, body: dict[str, Any]) -> Rule:
    notes = body.get("annotations", {})
    effect = Effect(body["effect"])
    name = f"{family}.cedar, policy {number + 1} ({notes.get('id') or 'no id'})"
    wanted = _REQUIRED | {"outcome"} if effect is Effect.PERMIT else _REQUIRED
    if set(notes) - _OPTIONAL != wanted:
        raise PolicyError(
            f"{name}: expected annotations {', '.join(sorted(wanted))}; "
            f"missing {sorted(wanted - set(notes))}, "
            f"unknown {sorted(set(notes) - wanted - _OPTIONAL)}"
        )
    if not all(notes.values()):
        raise PolicyError(f"{name}: an annotation is empty")
    with wrong_in(name, ValueError, as_=PolicyError):
        status = Status(_one_of(notes, "status", [status.value for status in Status]))
        begins = _day(notes, "effective_from", "always")
        adopted = _day(notes, "adopted_from", "always") if "adopted_from" in notes else begins
        checked = _day(notes, "checked", "never") if "checked" in notes else None
        ends = _day(notes, "effective_to", "none")
        outcome = Outcome.FORBIDDEN
        if "outcome" in notes:
            outcome = Outcome(_one_of(notes, "outcome", [outcome.value for outcome in Outcome]))
    if (effect is Effect.PERMIT) is (outcome is Outcome.FORBIDDEN):
        raise PolicyError(f"{name}: a {effect.value} cannot have outcome {outcome.value}")
    return Rule(
        notes["id"],
        effect,
        notes["source"],
        notes["version"],
        begins,
        adopted,
        ends,
        checked,
        status,
        notes["says"],
        outcome,
        family,
        number,
        body,
    )


def _day(notes: Mapping[str, str], note: str, unbounded: str) -> datetime.date | None:
    text = notes[note]
    expected = f"@{note}: expected a day as YYYY-MM-DD or {unbounded!r}, got {text!r:.40}"
    with meaning(expected, ValueError, as_=ValueError):
        return None if text == unbounded else datetime.date.fromisoformat(text)


def _one_of(notes: Mapping[str, str], note: str, known: list[str]) -> str:
    if notes[note] not in known:
        raise ValueError(f"@{note}: expected {' or '.join(known)}, got {notes[note]!r:.40}")
    return notes[note]


def named(body: Any) -> Iterator[str | tuple[str, str]]:
    """Every word and every entity that a policy names."""
    if isinstance(body, list):
        for item in body:
            yield from named(item)
    elif isinstance(body, dict):
        if set(body) == {"type", "id"}:
            if body != {"type": "Place", "id": UNKNOWN_PLACE}:
                yield body["type"], body["id"]
            return
        if isinstance(body.get("Value"), str):
            yield body["Value"]
        for key, item in body.items():
            if key != "annotations":
                yield from named(item)
