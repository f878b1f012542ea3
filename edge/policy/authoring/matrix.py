"""The policy matrix: what a policy says of many cases: a table, changes, near misses.

For people, not for the guard: the matrix that `framegate policy show` draws,
the single changes that would flip a verdict, and what differs between packs.
Everything is decided in bulk by the engine itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from edge.policy.engine import Policy
from edge.policy.facts import JURISDICTION, Value
from edge.policy.outcome import Decision

_CASES = json.loads(files("edge.policy.authoring").joinpath("cases.json").read_bytes())
LANES: Sequence[str] = _CASES["lanes"]
USERS: Sequence[tuple[str, str]] = _CASES["users"]  # and for whom they act
PLACINGS: Mapping[str, Mapping[str, Value]] = _CASES["placings"]  # of the camera
USUAL: Mapping[str, Value] = _CASES["usual"]  # in a place that no rule names
_GALLERIES: Mapping[str, str] = _CASES["galleries"]  # by lane
# from what an operator changes most easily to what is settled at commissioning
_NEAREST_FIRST: Sequence[str] = _CASES["nearest_first"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the matrix: who, how the camera is placed, and a decision a lane."""

    who: str
    placing: str
    decisions: tuple[Decision, ...]  # in the order of LANES


def matrix(policy: Policy, changes: Mapping[str, object]) -> tuple[Row, ...]:
    """Every user and placing against every lane, with `changes` laid over all of them."""
    heads = [(user, acts, placing) for user, acts in USERS for placing in PLACINGS]
    cases = [
        {
            **USUAL,
            "user": user,
            "by_or_for": acts,
            "operation": lane,
            "gallery": _GALLERIES.get(lane, "none"),
            **PLACINGS[placing],
            **changes,
        }
        for user, acts, placing in heads
        for lane in LANES
    ]
    decided = policy.decide_many(cases)
    rows = []
    for number, (user, acts, placing) in enumerate(heads):
        who = f"{user}, for police" if acts == "for" else user
        start = number * len(LANES)
        rows.append(Row(who, placing, tuple(decided[start : start + len(LANES)])))
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class Flip:
    """One changed fact, and the answer it would bring."""

    key: str
    value: Value
    decision: Decision


def flips(policy: Policy, facts: Mapping[str, object]) -> tuple[Flip, ...]:
    """Every single change of one fact that turns the verdict round, nearest first."""
    now = policy.decide(facts).verdict
    values = {term.key: term.values for term in policy.pack.vocabulary.terms}
    values[JURISDICTION] = policy.pack.vocabulary.places
    changes = [
        (key, value) for key in _NEAREST_FIRST for value in values[key] if facts.get(key) != value
    ]
    decided = policy.decide_many({**facts, key: value} for key, value in changes)
    return tuple(
        Flip(key, value, decision)
        for (key, value), decision in zip(changes, decided, strict=True)
        if decision.verdict is not now
    )
