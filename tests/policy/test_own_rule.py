"""A rule is added by editing one `.cedar` file and one scenario; no code knows of it."""

from __future__ import annotations

import json

import pytest
import yaml

from edge.cli import main
from tests.commands.test_policy_cli import TILL
from tests.policy.test_conformance import CASES, PACKS, TODAY, facts_of_case

RULE = """
@id("ST-XX")
@source("A made-up statute of Montana, s. 1")
@version("2026")
@effective_from("2026-02-01")
@effective_to("none")
@status("own")
@says("no recognition of anybody by a device in Montana")
forbid (principal, action in Action::"recognition", resource)
when { context.place in Place::"US-MT" };
"""
BEFORE, SINCE = "2026-01-31", "2026-02-01"
KEYS = ["--key", "keys/ann.pub", "keys/bob.pub", "keys/cyd.pub", "--threshold", "2"]


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*argv):
        code = main([str(arg) for arg in argv])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return call


@pytest.fixture
def own(call, tmp_path):
    """A copy of a shipped pack with one rule more, and one scenario for it."""

    def make(pack="strict"):
        call("policy", "show", pack, "--out", "own")
        with (tmp_path / "own" / "united_states.cedar").open("a") as file:
            file.write(RULE)
        (tmp_path / "montana.yaml").write_text(
            yaml.safe_dump([{**TILL, "id": "montana", "jurisdiction": "US-MT"}])
        )

    return make


def _decided(call, pack, day=SINCE):
    argv = ["explain", "montana.yaml", "--json", "--as-of", day, "--pack", pack]
    (found,) = json.loads(call(*argv))
    return found["verdict"], found["rules"]


@pytest.mark.slow
def test_the_case_is_decided_by_the_new_rule_from_its_first_day(call, own):
    own()

    assert "nothing to mend" in call("policy", "lint", "own")
    assert _decided(call, "own") == ("BLOCK", ["ST-XX"])
    assert _decided(call, "own", BEFORE)[0] == _decided(call, "strict")[0] == "ALLOW"
    output = call("explain", "ST-XX", "--pack", "own")
    assert "A made-up statute of Montana, s. 1, version 2026" in output
    output = call("explain", "montana.yaml", "--pack", "own", "--id", "montana", "--as-of", SINCE)
    assert "ST-XX forbids: no recognition of anybody by a device in Montana" in output


@pytest.mark.slow
def test_the_rule_goes_the_whole_way_into_force(call, own):
    own()
    call("policy", "keygen", "ann", "bob", "cyd", "--out", "keys")
    call("policy", "build", "--pack", "own", "--version", "1", "--out", "p1.json", *KEYS)
    for name in ("ann", "cyd"):
        call("policy", "sign", "p1.json", "--with", f"keys/{name}.key")

    assert "signed by ann, cyd" in call("policy", "verify", "p1.json", *KEYS)
    assert "version 1 is in force" in call("policy", "install", "p1.json", "--state", "s", *KEYS)
    assert _decided(call, "p1.json") == _decided(call, "s/bundle.json") == ("BLOCK", ["ST-XX"])
    assert "+ united_states" in call("policy", "diff", "strict", "p1.json", "--cases", "10")


@pytest.mark.slow
@pytest.mark.parametrize("pack", PACKS)
def test_what_was_decided_before_is_decided_as_before(call, own, pack, tmp_path):
    from edge.policy.signed.files import policy_in

    own(pack)
    days = sorted({case.get("as_of", TODAY) for case in CASES})
    policies = {day: policy_in(str(tmp_path / "own"), day) for day in days}
    newly = set()
    for case in CASES:
        answer = policies[case.get("as_of", TODAY)].decide(facts_of_case(case))
        rules = [rule for rule in answer.rules if rule != "ST-XX"]
        if len(rules) < len(answer.rules):
            newly.add(case["id"])
        answer_text = " ".join([answer.verdict.value, answer.outcome.value, *rules])
        assert answer_text == case[pack] or case["id"] in newly, case["title"]
    places = {case["id"]: facts_of_case(case).get("jurisdiction") for case in CASES}
    assert newly <= {name for name, place in places.items() if place not in ("EU", "GB", "FR")}
