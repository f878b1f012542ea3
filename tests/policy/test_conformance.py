"""The shipped packs against worked cases, a second reading, and every odd input."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

import pytest
import yaml

from edge.cli import main
from edge.policy.engine import Policy
from edge.policy.scenario import read_scenarios
from tests.conformance import differential

HERE = Path(__file__).parents[1] / "conformance"
BASES = yaml.safe_load((HERE / "bases.yaml").read_text())
CASES = [
    case
    for path in sorted(HERE.glob("*.yaml"))
    if path.name != "bases.yaml"
    for case in yaml.safe_load(path.read_text())
]
TODAY = "2026-11-01"
PACKS = ("strict", "police")
# rules newer than the evaluation scenarios, which decide there besides the ones given
NEWER = {("strict", "S42"): ["ST-MD"]}  # Maryland police, live 1:N


def facts_of_case(case):
    facts = {**BASES[case["base"]], **case.get("change", {})}
    return {key: value for key, value in facts.items() if key not in case.get("without", ())}


@pytest.fixture(scope="module")
def policies():
    days = {case.get("as_of", TODAY) for case in CASES}
    return {
        (pack, day): Policy.load(pack, datetime.date.fromisoformat(day))
        for pack in PACKS
        for day in days
    }


def test_there_are_at_least_eighty_cases_each_with_its_own_id():
    assert len(CASES) >= 80
    assert len({case["id"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_both_packs_answer_every_case_as_written(case, pack, policies):
    answer = policies[pack, case.get("as_of", TODAY)].decide(facts_of_case(case))

    answer_text = " ".join([answer.verdict.value, answer.outcome.value, *answer.rules])
    assert answer_text == case[pack], case["title"]


def test_every_rule_of_the_strict_pack_decides_in_some_case():
    decided = {rule for case in CASES for rule in case["strict"].split()[2:]}

    assert {rule.id for rule in Policy.load("strict").pack.rules} <= decided


def _evaluation_scenarios():
    data = os.environ.get("FRAMEGATE_DATA")
    root = Path(data) if data else Path(__file__).parents[3] / "shared" / "data"
    path = root.parent / "scenarios.yaml"
    if not path.is_file():
        pytest.skip("the evaluation scenarios are not on this machine")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pack", "suffix"), [("strict", ""), ("police", "_police_pack")], ids=PACKS
)
def test_the_command_agrees_with_every_evaluation_scenario(pack, suffix, capsys):
    path = _evaluation_scenarios()
    expected = {s.id: s.facts for s in read_scenarios(path.read_bytes())}

    assert main(["explain", str(path), "--pack", pack, "--json"]) == 0

    answers = json.loads(capsys.readouterr().out)
    assert [answer["id"] for answer in answers] == list(expected)
    for answer in answers:
        wanted = expected[answer["id"]]
        assert answer["verdict"] == wanted[f"guard_verdict{suffix}"], answer
        if answer["verdict"] == "BLOCK":
            newer = NEWER.get((pack, answer["id"]), [])
            assert answer["rules"] == sorted([*wanted[f"deciding_rules{suffix}"], *newer]), answer


@pytest.mark.slow
@pytest.mark.parametrize("pack", PACKS)
def test_engine_and_plain_reference_agree_on_random_requests(pack):
    assert differential.disagreements(Policy.load(pack), pack, count=2_000, seed=7) == []


@pytest.mark.slow
def test_the_comparison_would_notice_a_missing_rule(monkeypatch):
    monkeypatch.setattr(differential.reference, "MOBILE", {"body_worn"})

    assert differential.disagreements(Policy.load("police"), "police", count=300, seed=7)
