"""For every rule there is a case it decides, and a comparison of policies shows one for each."""

from __future__ import annotations

import json

import pytest

from edge.cli import main
from edge.policy.authoring.difference import Edit, clauses
from edge.policy.authoring.lint import lint
from edge.policy.authoring.reach import holding
from edge.policy.engine import Policy
from edge.policy.rules import Effect
from edge.policy.shipped import shipped_files
from edge.policy.signed.files import policy_in

STRICT = Policy.load("strict")
TODAY = {rule.key for rule in STRICT.rules}
NARROW = """
@id("ST-XX") @source("made up") @version("1") @effective_from("always") @effective_to("none")
@status("own") @says("no search by a drone over a Montana street after a warrant ran out")
forbid (principal == User::"individual", action in Action::"recognition",
  resource == Camera::"drone")
when { context.place in Place::"US-MT" && context.setting == "uncontrolled" && context.live }
when { context.authorisation == "warrant" && context.injected_fault == "token_expired" };
"""


@pytest.mark.slow
@pytest.mark.parametrize("rule", STRICT.pack.rules, ids=lambda rule: rule.key)
def test_every_rule_is_reached_by_cases_it_really_decides(rule):
    found = holding(STRICT.pack, rule, 10)

    assert found
    if rule.effect is Effect.FORBID and rule.key in TODAY:
        decided = STRICT.decide_many(facts.values for facts in found)
        assert all(rule.id in decision.rules for decision in decided)


@pytest.fixture
def own(tmp_path):
    """A folder with a shipped pack, changed by a function of its files."""

    def make(change):
        files = shipped_files("strict")
        change(files)
        folder = tmp_path / "own"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_bytes(text)
        return str(folder)

    return make


@pytest.mark.slow
def test_a_narrow_new_rule_is_reached_and_its_example_printed(own, capsys):
    folder = own(lambda files: files.update({"montana.cedar": NARROW.encode()}))

    assert main(["policy", "diff", "strict", folder, "--cases", "50"]) == 0

    out = capsys.readouterr().out
    (added,) = [line for line in out.splitlines() if line.startswith("+")]
    assert added == "+ montana.0:ST-XX"
    assert "camera=drone" in out
    assert "jurisdiction=US-MT" in out
    assert "after:  BLOCK forbidden" in out
    assert main(["policy", "diff", "strict", folder, "--cases", "50", "--json"]) == 0
    (clause,) = json.loads(capsys.readouterr().out)["clauses"]
    assert clause["rule"] == "montana.0:ST-XX"
    assert clause["changed"] > 0
    assert clause["example"]["after"]["rules"] == ["ST-XX"]


@pytest.mark.slow
def test_removed_and_changed_rules_have_their_examples_too(own):
    def change(files):
        text = files["united_states.cedar"].replace(b'Place::"US-VT"', b'Place::"US-MT"')
        files["united_states.cedar"] = text
        files["canada.cedar"] = b""

    found = {c.key: c for c in clauses(STRICT, policy_in(own(change), None))}

    assert {key: c.edit for key, c in found.items()} == {
        "canada.0:AB-01": Edit.REMOVED,
        "united_states.1:ST-VT": Edit.CHANGED,
    }
    assert found["canada.0:AB-01"].changes[0].before.rules == ("AB-01",)
    assert found["united_states.1:ST-VT"].changes


@pytest.mark.slow
def test_a_rule_that_others_cover_says_so(own, capsys):
    twin = NARROW.replace('principal == User::"individual"', "principal").replace(
        'resource == Camera::"drone"', 'resource in CameraClass::"mobile"'
    )
    twin = twin.replace('action in Action::"recognition"', 'action == Action::"identify_1_n"')
    folder = own(lambda files: files.update({"twin.cedar": twin.encode()}))

    assert main(["policy", "diff", "strict", folder, "--cases", "10"]) == 0

    output = capsys.readouterr().out
    assert "other rules answer each of them the same way:" in output
    before, after = (line.split()[3:] for line in output.splitlines() if line.startswith("    "))
    assert set(after) - set(before) == {"ST-XX"}


def test_policies_that_are_alike_have_no_difference(capsys):
    assert main(["policy", "diff", "strict", "strict", "--cases", "20"]) == 0
    assert capsys.readouterr().out == "0 of 20 cases made at random change their answer\n"


@pytest.mark.slow
def test_a_rule_always_true_for_a_group_of_lanes_and_its_complement_is_found(own):
    """The engine must know which lanes a group holds, or such a rule looks as if it never holds."""
    text = NARROW[: NARROW.index("forbid")] + (
        'forbid (principal, action, resource) when { action in Action::"recognition" || '
        '!(action in Action::"recognition") };'
    )
    folder = own(lambda files: files.update({"always.cedar": text.encode()}))

    assert any("always true" in f.message for f in lint(policy_in(folder, None).pack))


def test_a_misfit_with_the_schema_names_the_rule_and_its_file(own, capsys):
    text = NARROW.replace("context.setting", "context.seting")
    folder = own(lambda files: files.update({"montana.cedar": text.encode()}))

    assert main(["policy", "lint", folder]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert "montana.cedar, policy 1 (ST-XX), attribute `seting`" in line
    assert "policy4" not in line


def test_an_unknown_key_of_a_case_is_refused_by_name(tmp_path, capsys):
    path = tmp_path / "cases.yaml"
    path.write_text("- id: till\n  camra: fixed\n  title: a case\n")

    assert main(["explain", str(path)]) == 2
    err = capsys.readouterr().err
    assert f"{path}: scenario till: unknown key 'camra'; did you mean camera?" in err
    path.write_text("- id: till\n  camera: fixed\n  title: a case\n  guard_verdict: BLOCK\n")
    assert main(["explain", str(path)]) == 0
