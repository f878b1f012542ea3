"""What a rule looks at: the elements in its text, and nothing else, decide whether it holds.

The elements are read here from the text of each rule's conditions, apart from the
product's own reading of them. Every conformance case is changed in every fact to
every value; a rule may begin or cease to hold only with a fact that it names.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

import cedarpy
import pytest

from edge.policy.authoring.reach import elements
from edge.policy.engine import Policy
from edge.policy.rules import Effect, policy_set
from tests.policy.test_conformance import CASES, facts_of_case

PACK = Policy.load("strict").pack
PLACES = ("NZ", "BR", "GB", "CA-AB", "EU", "FR", "US", "US-OR-Portland")
STATES = ("CA", "CO", "IL", "MD", "ME", "NH", "OR", "TX", "VT", "WA")
VALUES: dict[str, Iterable[object]] = {term.key: term.values for term in PACK.vocabulary.terms}
VALUES["jurisdiction"] = (*PLACES, *(f"US-{state}" for state in STATES))
_SCOPES = {"principal": "user", "action": "operation", "resource": "camera"}
_MADE = {"place": ("jurisdiction",), "live": ("session_open", "source")}
VERDICT = {Effect.FORBID: "BLOCK", Effect.PERMIT: "ALLOW"}
UNKNOWN_ONLY = ("user", "camera", "jurisdiction")  # GD-06 asks only whether they are known
Pair = tuple[str, str]  # a rule's key and a fact


def named() -> set[Pair]:
    """Every fact that a rule's scope or conditions name."""
    found = set()
    for rule in PACK.rules:
        text = json.dumps(rule.body)
        keys = {key for key in VALUES if f'"attr": "{key}"' in text}
        for made, of in _MADE.items():
            keys |= set(of) if f'"attr": "{made}"' in text else set()
        for scope, key in _SCOPES.items():
            if rule.body[scope]["op"] != "All" or f'"Var": "{scope}"' in text:
                keys.add(key)
        found |= {(rule.key, key) for key in keys}
    return found


NAMED = named()


ASKED = policy_set(
    dataclasses.replace(rule, body={**rule.body, "effect": "permit"}) for rule in PACK.rules
)
SCHEMA = cedarpy.Schema.from_str(PACK.schema)
ENTITIES = cedarpy.Entities.from_json_str(json.dumps(PACK.vocabulary.entities()), schema=SCHEMA)


def held(cases: list[dict[str, object]]) -> list[set[str]]:
    """Of each case, every rule whose conditions hold, forbid or permit, in force or not."""
    requests = [PACK.vocabulary.read(case).request() for case in cases]
    results = cedarpy.is_authorized_batch(requests, ASKED, ENTITIES, SCHEMA)
    assert not any(result.diagnostics.errors for result in results)
    return [set(result.diagnostics.reasons) for result in results]


def moved(cases: list[dict[str, Any]]) -> set[Pair]:
    """Every rule that began or ceased to hold when one fact changed, with that fact."""
    read = PACK.vocabulary.read
    known = [facts for facts in map(facts_of_case, cases) if not read(facts).unread]
    starts = [(facts, tuple(VALUES)) for facts in known]
    # material is live for two reasons: here for one of them alone
    sealed = {"source": "sealed_recording", "session_open": True}
    over = {"source": "still", "session_open": False}
    starts += [({**facts, **only}, _MADE["live"]) for facts in known for only in (sealed, over)]
    found: set[Pair] = set()
    for (facts, keys), before in zip(starts, held([facts for facts, _ in starts]), strict=True):
        others = [(k, {**facts, k: v}) for k in keys for v in VALUES[k] if v != facts[k]]
        for (key, _), after in zip(others, held([case for _, case in others]), strict=True):
            found |= {(rule, key) for rule in before ^ after}
    return found


@pytest.mark.slow
def test_a_fact_that_a_rule_does_not_use_never_changes_its_answer() -> None:
    """From every fifth case."""
    assert moved(CASES[::5]) - NAMED == set()


@pytest.mark.long
def test_a_fact_changes_the_answer_of_every_rule_that_names_it_and_of_no_other() -> None:
    """So the test above would notice a fact that a rule uses and does not name."""
    unread = {pair for pair in NAMED if "GD-06" in pair[0] and pair[1] in UNKNOWN_ONLY}
    found = moved(CASES)

    assert NAMED - found == unread
    assert found - NAMED == set()


def test_the_product_reads_the_same_elements() -> None:
    assert {(rule.key, key) for rule in PACK.rules for key in elements(PACK, rule)} == NAMED


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_case_names_its_sources_and_the_facts_that_decide_it(case: dict[str, Any]) -> None:
    sources = [
        {rule.source for rule in PACK.rules if rule.id == name}
        for name in case["strict"].split()[2:]
    ]
    deciding = {
        (name, answer.split()[0])
        for answer in (case["strict"], case["police"])
        for name in answer.split()[2:]
    }
    wanted = {
        key
        for rule in PACK.rules
        for of, key in NAMED
        if of == rule.key and (rule.id, VERDICT[rule.effect]) in deciding
    }

    assert set(case["elements"]) == wanted | {*case.get("change", ()), *case.get("without", ())}
    assert case["source"]
    for of_rule in sources:
        assert any(text.startswith(quoted) for text in of_rule for quoted in case["source"]), (
            of_rule
        )
