"""The policy matrix: what a policy says of many cases: a table, changes, near misses.

For people, not for the guard: the matrix that `framegate policy show` draws,
the single changes that would flip a verdict, and what differs between packs.
Everything is decided in bulk by the engine itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.policy.engine import Policy
from edge.policy.facts import JURISDICTION, Value
from edge.policy.outcome import Decision

# from what an operator changes most easily to what is settled at commissioning
_NEAREST_FIRST = (
    "injected_fault",
    "setting",
    "active_involvement",
    "consent",
    "authorisation",
    "gallery",
    "result_sink",
    "inference_backend",
    "operation",
    "session_open",
    "source",
    "mount",
    "camera",
    "publicly_accessible",
    "by_or_for",
    "user",
    JURISDICTION,
)

LANES = (
    "detect",
    "redact",
    "detect_event",
    "read_plate",
    "transcribe_audio",
    "detect_drowsiness",
    "verify_1_1",
    "identify_1_n",
    "reidentify",
    "redact_selective",
    "infer_attribute",
    "infer_emotion",
    "social_score",
)
USERS = (
    ("individual", "neither"),
    ("private_business", "neither"),
    ("private_business", "for"),
    ("us_federal_non_police", "by"),
    ("us_federal_law_enforcement", "by"),
    ("us_state_local_police", "by"),
    ("non_us_police", "by"),
)
_FIXED = {"camera": "fixed", "mount": "fixed_surveyed"}
_WORN = {"camera": "body_worn", "mount": "worn_moving"}
PLACINGS: Mapping[str, Mapping[str, Value]] = {
    "fixed, controlled": {**_FIXED, "setting": "controlled", "publicly_accessible": False},
    "fixed, uncontrolled": {**_FIXED, "setting": "uncontrolled", "publicly_accessible": True},
    "worn, controlled": {**_WORN, "setting": "controlled", "publicly_accessible": False},
    "worn, uncontrolled": {**_WORN, "setting": "uncontrolled", "publicly_accessible": True},
    "sealed recording": {
        "camera": "file",
        "mount": "docked_attested",
        "setting": "controlled",
        "publicly_accessible": False,
        "source": "sealed_recording",
        "session_open": False,
    },
}
USUAL: Mapping[str, Value] = {
    "jurisdiction": "NZ",  # a place no rule names
    "source": "live",
    "session_open": True,
    "active_involvement": False,
    "consent": "none",
    "authorisation": "none",
    "inference_backend": "on_device",
    "result_sink": "local",
    "injected_fault": "none",
}
_GALLERIES = {
    "verify_1_1": "self_only",
    "identify_1_n": "suspects_or_inmates",
    "reidentify": "session_templates",
    "redact_selective": "one_named_suspect",
    "read_plate": "plate_hot_list",
}


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
