"""The linter: what a pack must not be, found before it is signed or installed.

A rule that is always true, a word outside the vocabulary (the engine would
take it for one that never matches), a missing rule of the guard's own. Always
true is judged by asking: a rule that holds for every one of a fixed set of
requests spread over the whole vocabulary is refused. GD-06 is not such a rule,
because it names the values it holds for and asks for healthy evidence.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

import cedarpy

from edge.policy.engine import engine_data
from edge.policy.facts import Facts
from edge.policy.pack import Pack
from edge.policy.rules import Effect, Rule, named, policy_set

OWN_RULES = ("GD-01", "GD-02", "GD-03", "GD-04", "GD-05", "GD-08", "GD-09")
_ID = re.compile(r"[A-Z]{2,3}-[A-Z0-9]{1,8}")
_REQUESTS = 512
_ACTION_GROUPS = ("recognition", "seeing", "face_free")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and with which rule."""

    rule: str  # the rule's key, or the pack's name
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


def lint(pack: Pack) -> tuple[Finding, ...]:
    """Everything wrong with the pack; nothing if it may be signed."""
    found = list(_missing(pack))
    entities = pack.vocabulary.entities()
    known = {(e["uid"]["type"], e["uid"]["id"]) for e in entities}
    known |= {(p["type"], p["id"]) for e in entities for p in e["parents"]}
    lanes = next(term for term in pack.vocabulary.terms if term.key == "operation").values
    known |= {("Action", name) for name in (*lanes, *_ACTION_GROUPS)}
    words = {v for term in pack.vocabulary.terms for v in term.values if isinstance(v, str)}
    for rule in pack.rules:
        found += [Finding(rule.key, message) for message in _form(rule)]
        for node in named(rule.body):
            if isinstance(node, str) and node not in words:
                found.append(Finding(rule.key, f"{node!r} is no word of the vocabulary"))
            elif isinstance(node, tuple) and node not in known:
                found.append(Finding(rule.key, f'{node[0]}::"{node[1]}" does not exist'))
    found += [Finding(key, "it is always true") for key in always_true(pack)]
    return tuple(found)


def always_true(pack: Pack) -> tuple[str, ...]:
    """Keys of the rules that hold for every one of the fixed requests."""
    # as permits, all the rules that hold are named in each answer
    asked = [dataclasses.replace(r, body={**r.body, "effect": "permit"}) for r in pack.rules]
    schema, entities = engine_data(pack)
    requests = [facts.request() for facts in spread(pack, _REQUESTS)]
    results = cedarpy.is_authorized_batch(requests, policy_set(asked), entities, schema)
    held = {rule.key for rule in pack.rules}
    for result in results:
        held &= set(result.diagnostics.reasons)
    return tuple(sorted(held))


def spread(pack: Pack, count: int) -> Iterator[Facts]:
    """Facts drawn evenly from the whole vocabulary; the same ones each time."""
    rng = random.Random(count)
    places = pack.vocabulary.places
    for _ in range(count):
        drawn: dict[str, object] = {t.key: rng.choice(t.values) for t in pack.vocabulary.terms}
        drawn["jurisdiction"] = rng.choice(places)
        yield pack.vocabulary.read(drawn)


def _missing(pack: Pack) -> Iterator[Finding]:
    consent = {
        rule.id
        for rule in pack.rules
        if rule.effect is Effect.FORBID and rule.adopted_from is rule.effective_to is None
    }
    for own in OWN_RULES:
        if own not in consent:
            yield Finding(pack.name, f"the guard's own rule {own} is missing, or lapses")


def _form(rule: Rule) -> Iterator[str]:
    if not _ID.fullmatch(rule.id):
        yield f"expected an id like MS-02, got {rule.id!r}"
    begins, ends = rule.adopted_from, rule.effective_to
    if begins and ends and ends < begins:
        yield f"it ends on {ends}, before it begins on {begins}"
    unconditional = not rule.body.get("conditions")
    if unconditional and all(
        rule.body[s]["op"] == "All" for s in ("principal", "action", "resource")
    ):
        yield "it is empty: it has no condition at all"
