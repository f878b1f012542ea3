"""What `framegate policy` and `framegate explain` print, refuse and leave behind."""

from __future__ import annotations

import json
import os
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cli import main
from edge.errors import UsageError
from edge.policy.engine import Policy, Verdict
from edge.policy.scenario import read_scenarios
from edge.policy.signed.bundle import time_text

pytestmark = pytest.mark.slow

STRICT = Policy.load("strict")

TILL = {
    "id": "till",
    "user": "private_business",
    "by_or_for": "neither",
    "jurisdiction": "EU",
    "camera": "fixed",
    "mount": "fixed_surveyed",
    "setting": "controlled",
    "publicly_accessible": False,
    "operation": "verify_1_1",
    "gallery": "self_only",
    "source": "live",
    "session_open": True,
    "active_involvement": True,
    "consent": "valid",
    "authorisation": "none",
    "inference_backend": "on_device",
    "result_sink": "local",
    "injected_fault": "none",
}


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*argv):
        code = main([str(arg) for arg in argv])
        out, err = capsys.readouterr()
        assert err.count("\n") <= 1, err
        return code, out, err

    return call


@pytest.fixture
def cases(tmp_path):
    path = tmp_path / "cases.yaml"
    path.write_text(
        yaml.safe_dump(
            [
                TILL,
                {
                    **TILL,
                    "id": "worn",
                    "user": "non_us_police",
                    "camera": "body_worn",
                    "setting": "uncontrolled",
                },
            ]
        )
    )
    return path


@pytest.fixture
def keys(run):
    assert run("policy", "keygen", "ann", "bob", "cyd", "--out", "keys")[0] == 0
    return ["--key", "keys/ann.pub", "keys/bob.pub", "keys/cyd.pub", "--threshold", "2"]


def _build(run, keys, *more, version=1, out="p.json"):
    return run("policy", "build", "--version", version, "--out", out, *keys, *more)


def _sign(run, *names, out="p.json"):
    for name in names:
        assert run("policy", "sign", out, "--with", f"keys/{name}.key")[0] == 0


def test_from_new_keys_to_a_policy_in_force(run, keys, tmp_path):
    assert _build(run, keys)[0] == 0
    _sign(run, "ann")
    code, _, err = run("policy", "verify", "p.json", *keys)
    assert (code, "POLICY_THRESHOLD" in err) == (1, True)
    _sign(run, "bob")
    code, out, _ = run("policy", "verify", "p.json", *keys)
    assert (code, "signed by ann, bob" in out) == (0, True)

    code, out, _ = run("policy", "install", "p.json", "--state", "state", *keys)

    assert (code, "version 1 is in force" in out) == (0, True)
    assert run("policy", "verify", "p.json", "--state", "state")[0] == 0
    assert sorted(p.name for p in (tmp_path / "state").iterdir()) == [
        "bundle.json",
        "floors.json",
        "root.json",
    ]


def test_a_bundle_takes_no_other_ones_place(run, keys, tmp_path):
    _build(run, keys)
    _sign(run, "ann", "bob")
    signed = (tmp_path / "p.json").read_bytes()

    code, _, err = _build(run, keys, version=2)

    assert (code, "p.json is there already: nothing is overwritten" in err) == (2, True)
    assert (tmp_path / "p.json").read_bytes() == signed


def test_an_unsigned_bundle_is_not_installed(run, keys, tmp_path):
    _build(run, keys)

    code, _, err = run("policy", "install", "p.json", "--state", "state", *keys)

    assert code == 2
    assert "POLICY_UNSIGNED" in err
    assert not (tmp_path / "state").exists()


def test_an_older_bundle_is_not_installed(run, keys):
    for version, out in ((2, "new.json"), (1, "old.json")):
        _build(run, keys, version=version, out=out)
        _sign(run, "ann", "cyd", out=out)
    assert run("policy", "install", "new.json", "--state", "s", *keys)[0] == 0

    code, _, err = run("policy", "install", "old.json", "--state", "s")

    assert (code, "POLICY_ROLLBACK" in err) == (2, True)


def test_an_expired_bundle_is_not_good(run, keys):
    _build(run, keys, "--issued", time_text(1_600_000_000), "--days", "1")
    _sign(run, "ann", "bob")

    code, _, err = run("policy", "verify", "p.json", *keys)

    assert (code, "POLICY_EXPIRED" in err) == (1, True)


def test_secret_keys_are_for_their_owner_alone_and_never_overwritten(run, keys, tmp_path):
    secret = tmp_path / "keys" / "ann.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    before = secret.read_bytes()

    assert run("policy", "keygen", "ann", "--out", "keys")[0] == 2
    assert secret.read_bytes() == before

    _build(run, keys)
    os.chmod(secret, 0o644)
    code, _, err = run("policy", "sign", "p.json", "--with", secret)
    assert (code, "may be read by others" in err) == (2, True)


def test_models_and_limits_travel_in_the_bundle(run, keys, tmp_path):
    (tmp_path / "faces.onnx").write_bytes(b"x" * 2_000_000)

    assert _build(run, keys, "--model", "faces.onnx", "--limit", "dwell_s=5")[0] == 0

    import base64

    payload = json.loads(
        base64.b64decode(json.loads((tmp_path / "p.json").read_bytes())["payload"])
    )
    assert payload["thresholds"] == {"dwell_s": 5}
    assert list(payload["models"]) == ["faces.onnx"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["build", "--version", "1", "--out", "p.json"], "name the public keys"),
        (["build", "--version", "0", "--out", "p.json", "KEYS"], "expected a version of 1"),
        (["build", "--version", "1", "--days", "0", "--out", "p.json", "KEYS"], "--days"),
        (["build", "--version", "1", "--issued", "now", "--out", "p.json", "KEYS"], "--issued"),
        (["build", "--version", "1", "--pack", "lax", "--out", "p.json", "KEYS"], "'lax'"),
        (["build", "--version", "1", "--limit", "dwell_s", "--out", "p.json", "KEYS"], "--limit"),
        (
            ["build", "--version", "1", "--limit", "dwell_s=99", "--out", "p.json", "KEYS"],
            "dwell_s",
        ),
        (["build", "--version", "1", "--model", "no.onnx", "--out", "p.json", "KEYS"], "no.onnx"),
        (["build", "--version", "1", "--out", "no/p.json", "KEYS"], "cannot write"),
        (["keygen", "a/b", "--out", "keys"], "expected a key name"),
        (["sign", "none.json", "--with", "keys/ann.key"], "cannot read none.json"),
        (["sign", "keys/ann.pub", "--with", "keys/ann.key"], "POLICY_MALFORMED"),
        (["sign", "p.json", "--with", "keys/ann.pub"], "may be read by others"),
        (["verify", "p.json", "--state", "s"], "no key is trusted yet"),
        (["verify", "p.json", "--key", "keys/ann.pub", "keys/ann.pub"], "same name"),
        (["verify", "p.json", "--key", "keys/ann.key"], "64 hexadecimal digits"),
        (["verify", "p.json", "--key", "keys/ann.pub", "--threshold", "2"], "POLICY_THRESHOLD"),
        (["install", "p.json", "--state", "s"], "no key is trusted yet"),
        (["show", "lax"], "'lax'"),
        (["show", "--as-of", "soon"], "--as-of"),
        (["show", "--matrix", "--set", "mood=good"], "--set expects"),
        (["show", "--html", "no/m.html"], "cannot write"),
        (["diff", "strict", "police", "--cases", "0"], "--cases"),
    ],
)
def test_bad_use_is_one_line_and_leaves_nothing(run, keys, tmp_path, argv, says):
    if argv[0] != "build":
        _build(run, keys)
    before = sorted(p.name for p in tmp_path.iterdir())
    argv = [word for arg in argv for word in (keys if arg == "KEYS" else [arg])]

    code, out, err = run("policy", *argv)

    assert code == 2
    assert says in err
    assert out == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_the_shipped_packs_are_lint_free(run):
    for pack in ("strict", "police"):
        code, out, _ = run("policy", "lint", pack)
        assert (code, "nothing to mend" in out) == (0, True)


def _copy_of_strict(tmp_path, family="guard.cedar", text=b""):
    from edge.policy.pack import shipped_files

    folder = tmp_path / "own"
    folder.mkdir()
    for name, data in shipped_files("strict").items():
        (folder / name).write_bytes(data + (text if name == family else b""))
    return folder


RULE = b"""
@id("GD-10") @source("s") @version("1") @effective_from("always") @effective_to("none")
@status("own") @says("no licence photographs")
"""


def test_the_difference_a_new_rule_makes_is_shown(run, tmp_path, cases):
    text = (
        RULE + b'forbid (principal, action, resource) when { context.gallery == "licence_photos" };'
    )
    folder = _copy_of_strict(tmp_path, text=text)

    code, out, _ = run("policy", "lint", folder)
    assert (code, f"{len(STRICT.pack.rules) + 1} rules" in out) == (0, True)
    code, out, _ = run("policy", "diff", "strict", folder, "--cases", "400")
    assert code == 0
    assert "GD-10" in out
    assert "cases made at random change their answer" in out
    found = json.loads(run("policy", "diff", "strict", folder, "--cases", "400", "--json")[1])
    assert found["cases"]
    assert all(case["facts"]["gallery"] == "licence_photos" for case in found["cases"])


def test_the_linter_names_each_rule_to_mend(run, tmp_path):
    folder = _copy_of_strict(tmp_path, text=RULE + b"forbid (principal, action, resource);")

    code, out, _ = run("policy", "lint", folder)

    assert code == 1
    assert all("GD-10" in line for line in out.splitlines())
    assert "always true" in out


def test_a_pack_can_be_taken_out_edited_and_linted(run, tmp_path):
    assert run("policy", "show", "police", "--out", "own")[0] == 0
    rules = tmp_path / "own" / "guard.cedar"
    text = RULE + b'forbid (principal, action, resource) when { context.consent == "na" };'
    rules.write_bytes(rules.read_bytes() + text)

    assert run("policy", "lint", "own")[0] == 0
    assert "+ guard.7:GD-10" in run("policy", "diff", "police", "own", "--cases", "10")[1]
    code, _, err = run("policy", "show", "police", "--out", "own")
    assert (code, "exists already" in err) == (2, True)


def test_the_matrix_shows_every_user_and_lane(run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    code, out, _ = run("policy", "show", "--matrix")
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("us_state_local_police")]
    assert len(lines) == 5
    assert all("MS-01" in line for line in lines)

    code, out, _ = run("policy", "show", "police", "--html", "m.html", "--set", "consent=valid")
    page = (tmp_path / "m.html").read_text()
    assert code == 0
    assert page.count("<tr><th>") == 1 + 35 + 1
    assert "<script" not in page
    assert "http" not in page  # nothing is fetched
    assert "consent=valid" in page


@pytest.mark.parametrize("columns", [30, 40, 60, 80, 120, 200])
def test_the_matrix_fits_the_terminal_and_says_the_same(run, monkeypatch, columns):
    monkeypatch.delenv("COLUMNS", raising=False)
    whole = run("policy", "show", "--matrix")[1]
    monkeypatch.setenv("COLUMNS", str(columns))
    narrow = run("policy", "show", "--matrix")[1]

    assert max(map(len, narrow.splitlines())) <= columns
    assert "No rule names NZ" in " ".join(narrow.split())
    signs = re.compile("[+o#](?: [+o#]){12}")
    assert signs.findall(narrow) == signs.findall(whole) != []
    rules = re.compile(r"[A-Z]{2}-[A-Z0-9]{2}")
    assert rules.findall(narrow) == rules.findall(whole)


def test_the_page_scrolls_its_tables_and_not_itself(run, tmp_path):
    run("policy", "show", "--html", "m.html")
    page = (tmp_path / "m.html").read_text()

    assert page.count("<div class=wide><table>") == page.count("<table>") == 2
    assert 'name="viewport"' in page


def test_show_prints_the_rules_of_a_day(run):
    _, today, _ = run("policy", "show")
    _, past, _ = run("policy", "show", "--as-of", "2022-06-30")
    found = json.loads(run("policy", "show", "--json")[1])

    assert "ST-CA" in today
    assert "decides nothing on 2022-06-30" in past
    assert {rule["id"] for rule in found if not rule["in_force"]} == {"US-01", "ST-CA", "FR-01"}


def test_a_rule_is_explained_with_its_source_words_and_dates(run):
    code, out, _ = run("explain", "US-01")

    assert code == 0
    assert "OMB Memorandum M-24-10" in out
    assert "2024-03-28 to 2025-04-02; decides nothing on" in out
    (found,) = json.loads(run("explain", "MS-02", "--json")[1])
    assert found["status"] == "verified"
    assert '"in the wild"' in found["says"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["view_foreign"], "did you mean VIEW_FOREIGN?"),
        (["ms-02"], "did you mean MS-02?"),
        (["MS-02", "--pack", "nope"], "'nope'"),
        (["VIEW_FOREIGN", "--pack", "nope"], "'nope'"),
        (["--set", "camera=fixed", "--pack", "nope"], "'nope'"),
        (["MS-02", "--set", "camera=fixed"], "--set belongs to a case"),
        (["VIEW_FOREIGN", "--id", "till"], "--id belongs to a case"),
        (["MS-02", "--as-of", "soon"], "--as-of"),
    ],
)
def test_what_cannot_be_explained_is_said_in_one_line(run, argv, says):
    code, out, err = run("explain", *argv)

    assert (code, out, says in err) == (2, "", True), err


def test_a_word_nobody_knows_is_said_before_anything_else(run):
    lines = run("explain", "--set", "camera=foo", "jurisdiction=QQ")[1].splitlines()

    assert lines[1:3] == [
        "  camera: 'foo' is not a known value; taken as unknown, the strictest",
        "  jurisdiction: 'QQ' is not a known value; taken as any place, the strictest",
    ]


def test_a_rule_outside_the_pack_is_explained_all_the_same(run):
    assert "MS-08 forbids" in run("explain", "MS-08", "--pack", "police")[1]


def test_a_text_that_decides_nothing_says_why(run):
    code, out, _ = run("explain", "MS-03")

    assert code == 0
    assert "decides nothing: it illustrates MS-02" in out
    assert json.loads(run("explain", "MS-03", "--json")[1])[0]["effect"] == "none"


def test_a_scenario_file_gives_exactly_the_agreed_keys(run, cases):
    code, out, _ = run("explain", cases, "--json")

    assert code == 0
    assert json.loads(out) == [
        {"id": "till", "verdict": "ALLOW", "outcome": "permitted", "rules": ["FA-03"]},
        {"id": "worn", "verdict": "BLOCK", "outcome": "forbidden", "rules": ["FA-02", "MS-02"]},
    ]
    assert "worn  BLOCK  forbidden    FA-02 MS-02" in run("explain", cases)[1]


def test_of_a_rule_with_two_legs_only_the_one_that_holds_is_said(run, cases):
    _, out, _ = run("explain", cases, "--id", "till", "--set", "consent=none")

    assert out.count("MS-08 forbids") == 1
    assert "MS-08 forbids: the same for 1:1 checks" in out


def test_one_case_in_full_names_clause_facts_and_nearest_change(run, cases):
    _, out, _ = run("explain", cases, "--id", "worn")

    assert "MS-02 forbids: any law enforcement" in out
    assert "camera=body_worn" in out
    assert "Nearest change that turns it round: setting=controlled -> ALLOW permitted" in out


def test_a_changed_case_is_decided_as_changed(run, cases):
    (found,) = json.loads(
        run("explain", cases, "--id", "till", "--set", "consent=withdrawn", "--json")[1]
    )

    assert found["rules"] == ["FA-08", "GD-08", "MS-08"]
    assert {flip["key"] for flip in found["flips"]} == {"consent"}


def test_facts_on_the_command_line_leave_the_rest_strictest(run):
    code, out, _ = run("explain", "--set", "camera=body_worn", "publicly_accessible=false")

    assert code == 0
    assert "user: not given; taken as unknown, the strictest" in out
    assert "BLOCK" in out


def test_a_word_nobody_knows_is_named(run, cases):
    _, out, _ = run("explain", cases, "--id", "till", "--set", "user=martian")

    assert "user: 'martian' is not a known value; taken as unknown, the strictest" in out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &x 1\nb: *x", "a YAML anchor"),
        ("- *x", "a YAML alias"),
        ("a: 1\na: 2", "given twice"),
        ("[" * 50 + "]" * 50, "nested deeper"),
        ("- 7", "expected a mapping of facts"),
        ("7", "expected a list of scenarios"),
        ("[]", "expected a list of scenarios"),
        ("- {id: a}\n- {id: a}", "was used before"),
        ("a: [", "not YAML"),
        ("a: !!python/object:os.system {}", "a YAML tag"),
        ("a: !!timestamp soon", "a YAML tag"),
        ("a: !!bool maybe", "a YAML tag"),
        ("? [a, b]\n: 1", "no plain word"),
        ("? {a: b}\n: 1", "no plain word"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("\x00", "not YAML"),
        ("#" * 4_000_001, "expected at most"),
    ],
)
def test_a_file_that_is_no_scenario_file_is_refused(run, tmp_path, text, says):
    (tmp_path / "bad.yaml").write_text(text)

    code, out, err = run("explain", "bad.yaml", "--json")

    assert (code, out) == (2, "")
    assert says in err


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200) | st.text("a:-[]{}?!&*#|>%@ \n\t0.~<='", max_size=60).map(str.encode)
)
def test_any_bytes_are_a_scenario_file_or_one_clear_error(data):
    try:
        scenarios = read_scenarios(data)
    except UsageError as err:
        assert "\n" not in str(err)
    else:
        for scenario in scenarios:
            assert STRICT.decide(scenario.facts).verdict is Verdict.BLOCK


def test_norway_is_a_country_and_yes_is_no_boolean(run, tmp_path):
    text = yaml.safe_dump(TILL)
    (tmp_path / "n.yaml").write_text(text.replace("jurisdiction: EU", "jurisdiction: NO"))
    (found,) = json.loads(run("explain", "n.yaml", "--json")[1])
    assert found["verdict"] == "ALLOW"

    (tmp_path / "y.yaml").write_text(text.replace("session_open: true", "session_open: yes"))
    (found,) = json.loads(run("explain", "y.yaml", "--json")[1])
    assert "GD-02" in found["rules"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "expected a reason code"),
        (["NO_SUCH_CODE"], "'NO_SUCH_CODE'"),
        (["gone.yaml"], "cannot read gone.yaml"),
        (["cases.yaml", "--id", "none"], "no scenario 'none'"),
        (["cases.yaml", "--pack", "lax"], "'lax'"),
        (["cases.yaml", "--as-of", "2026-13-01"], "--as-of"),
        (["cases.yaml", "--set", "mood=good"], "--set expects"),
        (["."], "holds no audit log"),
    ],
)
def test_bad_use_of_explain_is_one_line(run, cases, argv, says):
    code, out, err = run("explain", *argv)

    assert (code, out) == (2, "")
    assert says in err
