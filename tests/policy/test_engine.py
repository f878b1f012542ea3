"""The policy answers for the right reason, and blocks whatever it cannot read."""

from __future__ import annotations

import datetime

import pytest

from edge.errors import PolicyError
from edge.policy import engine as policy_module
from edge.policy.engine import Policy
from edge.policy.outcome import NO_DECISION, Decision, Outcome, Verdict
from edge.policy.pack import read_pack, shipped_files
from edge.policy.rules import parse
from edge.policy.vocabulary import VOCABULARY

STRICT = Policy.load("strict")
POLICE = Policy.load("police")
TILL = {
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
ODD = [None, 7, "unheard_of", "", [], {}, 1.5]


def test_the_till_is_permitted_by_name():
    assert STRICT.decide(TILL) == Decision(Verdict.ALLOW, Outcome.PERMITTED, ("FA-03",))


@pytest.mark.parametrize("policy", [STRICT, POLICE], ids=["strict", "police"])
@pytest.mark.parametrize("key", TILL)
def test_a_missing_key_blocks(policy, key):
    decision = policy.decide({k: v for k, v in TILL.items() if k != key})

    assert decision.verdict is Verdict.BLOCK
    assert "GD-02" in decision.rules


@pytest.mark.parametrize("policy", [STRICT, POLICE], ids=["strict", "police"])
@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("key", TILL)
def test_a_mistyped_or_unknown_value_blocks(policy, key, value):
    decision = policy.decide({**TILL, key: value})

    assert decision.verdict is Verdict.BLOCK
    assert "GD-02" in decision.rules


@pytest.mark.parametrize("key", ["session_open", "active_involvement", "publicly_accessible"])
@pytest.mark.parametrize("value", [0, 1, "true"])
def test_only_a_true_boolean_is_a_boolean(key, value):
    assert "GD-02" in STRICT.decide({**TILL, key: value}).rules


def _with_context(**changes):
    request = STRICT.read(TILL).request()
    request["context"].update(changes)
    return request


@pytest.mark.parametrize("attribute", sorted(STRICT.read(TILL).request()["context"]))
def test_an_attribute_the_engine_does_not_get_blocks(attribute):
    request = STRICT.read(TILL).request()
    del request["context"][attribute]

    assert STRICT.ask(request) == NO_DECISION


@pytest.mark.parametrize("attribute", sorted(STRICT.read(TILL).request()["context"]))
def test_an_attribute_of_another_type_blocks(attribute):
    assert STRICT.ask(_with_context(**{attribute: 3})) == NO_DECISION


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {**STRICT.read(TILL).request(), "principal": None},
        {**STRICT.read(TILL).request(), "action": {"type": "Action", "id": "admire"}},
        {**STRICT.read(TILL).request(), "resource": {"type": "User", "id": "fixed"}},
        _with_context(surplus="x"),
        _with_context(place={"__entity": {"type": "User", "id": "EU"}}),
    ],
)
def test_a_request_the_engine_refuses_blocks(request_):
    assert STRICT.ask(request_) == NO_DECISION


class _Answer:
    """An answer of the engine, as the binding shapes it."""

    def __init__(self, decision, reasons=(), errors=()):
        self.decision = decision
        self.diagnostics = self
        self.reasons = list(reasons)
        self.errors = list(errors)


PERMIT = next(rule.key for rule in STRICT.rules if rule.id == "FA-03")


def test_an_allow_without_errors_is_an_allow():
    answer = _Answer(policy_module.cedarpy.Decision.Allow, [PERMIT])

    assert STRICT.answer(answer).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    "answer",
    [
        # the engine skips a forbid that errs: what is left looks like a permit
        _Answer(
            policy_module.cedarpy.Decision.Allow, [PERMIT], ["a forbid could not be evaluated"]
        ),
        _Answer(policy_module.cedarpy.Decision.Allow, []),
        _Answer(policy_module.cedarpy.Decision.Deny, []),
        _Answer(policy_module.cedarpy.Decision.NoDecision, [PERMIT]),
    ],
    ids=["errors", "no rule", "no permit", "no decision"],
)
def test_any_error_and_any_answer_without_a_rule_blocks(answer):
    assert STRICT.answer(answer) == NO_DECISION


def test_an_overflowing_forbid_blocks_although_a_permit_holds():
    files = shipped_files("strict")
    extra = files["guard.cedar"].replace(
        b'when { context.injected_fault == "split_search" }',
        b"when { 9223372036854775807 + 1 == 0 }",
    )
    assert extra != files["guard.cedar"]
    policy = Policy(read_pack({**files, "guard.cedar": extra}), datetime.date(2026, 11, 1))

    assert policy.decide(TILL) == NO_DECISION


def test_a_decision_made_by_hand_is_a_block():
    assert Decision() == NO_DECISION
    assert NO_DECISION.verdict is Verdict.BLOCK


def test_the_time_from_capture_to_match_decides_nothing():
    answers = {STRICT.decide({**TILL, "capture_to_match_s": s}) for s in (0, 1e9, -1, "soon", None)}

    assert answers == {STRICT.decide(TILL)}


def test_records_use_every_word_of_the_policy_and_no_flag():
    terms = {term.key: term.values for term in STRICT.pack.vocabulary.terms}

    assert {key: v for key, v in terms.items() if type(v[0]) is str} == VOCABULARY


def test_packs_have_different_digests_and_the_same_one_each_time():
    assert len(STRICT.digest) == 32
    assert STRICT.digest == Policy(STRICT.pack, STRICT.day).digest
    assert STRICT.digest != POLICE.digest


def test_a_day_with_other_rules_has_another_digest():
    past = Policy.load("strict", datetime.date(2024, 6, 1))

    assert past.digest != STRICT.digest
    assert past.pack.content == STRICT.pack.content


@pytest.mark.parametrize(
    ("jurisdiction", "place"),
    [
        ("US-OR-Portland", "US-OR-Portland"),
        ("US-TX-Austin", "US-TX"),
        ("AU-NSW", "AU"),
        ("DE-BY-Munich", "DE"),
        ("US-OR-Salem", None),
        ("US-ZZ", None),
        ("CA-ZZ", None),
        ("us", None),
        ("EU-", None),
        ("world", None),
        ("unknown", None),
        ("", None),
        (None, None),
        (False, None),
    ],
)
def test_a_place_lies_in_the_nearest_listed_one_or_nowhere(jurisdiction, place):
    assert STRICT.pack.vocabulary.place_of(jurisdiction) == place


def test_an_unknown_pack_is_refused():
    with pytest.raises(PolicyError, match="expected a pack named strict or police, got 'lax'"):
        Policy.load("lax")


RULE = b"""
@id("X-1") @source("s") @version("1") @effective_from("always") @effective_to("none")
@status("own") @says("words")
forbid (principal, action, resource) when { context.live };
"""


def test_a_whole_rule_is_read():
    (rule,) = parse("x", RULE)

    assert rule.id == "X-1"
    assert rule.in_force(datetime.date(1970, 1, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'@says("words")', b"", r"missing \['says'\]"),
        (b'@says("words")', b'@says("")', "an annotation is empty"),
        (b'@says("words")', b'@says("w") @mood("x")', r"unknown \['mood'\]"),
        (b"always", b"yesterday", "@effective_from: expected a day as YYYY-MM-DD or 'always', got"),
        (b"own", b"rumour", "@status: expected verified or .* or own, got 'rumour'"),
        (b"forbid (", b"allow (", r"x.cedar, the policy from line 2 on \(X-1\), is not Cedar"),
        (b"forbid (principal,", b"forbid (principal == ?principal,", "holds a template"),
        (b"words", b"\xff", "x.cedar.* is not Cedar"),
    ],
    ids=["no words", "empty", "surplus", "no date", "status", "not Cedar", "template", "not text"],
)
def test_a_rule_that_could_not_be_explained_is_refused(old, new, message):
    assert old in RULE

    with pytest.raises(PolicyError, match=message):
        parse("x", RULE.replace(old, new))


@pytest.mark.parametrize("outcome", ["forbidden", "maybe"])
def test_a_permit_must_say_what_it_means(outcome):
    text = RULE.replace(b"forbid (", f'@outcome("{outcome}")\npermit ('.encode())

    with pytest.raises(PolicyError, match=outcome):
        parse("x", text)


def test_a_permit_that_says_so_is_read():
    (rule,) = parse("x", RULE.replace(b"forbid (", b'@outcome("permitted")\npermit ('))

    assert rule.outcome is Outcome.PERMITTED
