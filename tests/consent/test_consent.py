"""Consent and authorisation count only while they hold, and lift only what they name."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.audit.note import Signer, sign_note
from edge.consent.consent import Consent
from edge.consent.tokens import (
    DAY_S,
    LIFTS,
    MONTH_S,
    RECEIPT_S,
    URGENT_S,
    Authorisation,
    Receipt,
    read_authorisation,
    read_receipt,
    sign_token,
)
from edge.errors import RecordError, SignatureError
from edge.lease import Lane
from edge.policy.engine import Policy, Verdict

COURT = Signer.generate("court")
DESK = Signer.generate("desk")
ADA, BEN = "a" * 64, "b" * 64
NOW_S = 1_790_000_000
STRICT = Policy.load("strict")
TILL = {
    "user": "private_business",
    "by_or_for": "neither",
    "jurisdiction": "NZ",
    "camera": "fixed",
    "mount": "fixed_surveyed",
    "setting": "controlled",
    "publicly_accessible": False,
    "operation": "verify_1_1",
    "gallery": "self_only",
    "source": "live",
    "session_open": True,
    "active_involvement": True,
    "inference_backend": "on_device",
    "result_sink": "local",
}


def _receipt(number="r1", person=ADA, from_s=NOW_S - DAY_S, to_s=NOW_S + DAY_S, **more):
    return Receipt(
        number, person, more.get("lane", Lane.VERIFY), more.get("site", "till-2"), from_s, to_s
    )


def _leave(kind="warrant", person=ADA, from_s=NOW_S, to_s=NOW_S + DAY_S, **more):
    lifts = more.get("lifts", LIFTS.get(kind, "ST-WA"))
    return Authorisation(
        kind, lifts, person, "find the person", more.get("area", "till-2"), from_s, to_s
    )


@pytest.fixture
def consent():
    consent = Consent(Lane.VERIFY, "till-2")
    consent.hand_in(_receipt())
    consent.claim(ADA, at_ns=100)
    return consent


def _verdict(consent, now_s=NOW_S):
    return STRICT.decide({**TILL, **asdict(consent.words(now_s))})


def test_a_receipt_for_this_person_lane_and_site_permits(consent):
    assert _verdict(consent).rules == ("FA-03",)


@pytest.mark.parametrize(
    "receipt",
    [
        _receipt(person=BEN),
        _receipt(lane=Lane.IDENTIFY),
        _receipt(site="till-3"),
        _receipt(from_s=NOW_S + 1, to_s=NOW_S + 2),
        _receipt(to_s=NOW_S),
    ],
    ids=["another person", "another lane", "another site", "not yet", "no longer"],
)
def test_a_receipt_for_anything_else_is_none(receipt):
    consent = Consent(Lane.VERIFY, "till-2")
    consent.hand_in(receipt)
    consent.claim(ADA, at_ns=100)

    assert consent.words(NOW_S).consent == "none"
    assert _verdict(consent).verdict is Verdict.BLOCK


def test_consent_ends_to_the_second(consent):
    assert consent.words(NOW_S + DAY_S - 1).consent == "valid"
    assert consent.words(NOW_S + DAY_S).consent == "none"


def test_a_withdrawal_counts_at_the_next_question(consent):
    consent.withdraw("r1")

    assert {"GD-08", "FA-08"} <= set(_verdict(consent).rules)


def test_an_opt_out_beats_every_receipt(consent):
    consent.opt_out(ADA)
    consent.hand_in(_receipt("r2", from_s=NOW_S))

    assert consent.words(NOW_S).injected_fault == "opt_out"
    assert "GD-08" in _verdict(consent).rules


def test_an_older_receipt_does_not_outlive_a_withdrawal_and_a_newer_one_does(consent):
    consent.withdraw("r1")
    consent.hand_in(_receipt("r0", from_s=NOW_S - 2 * DAY_S))
    assert consent.words(NOW_S).consent == "withdrawn"

    consent.hand_in(_receipt("r2", from_s=NOW_S))
    assert consent.words(NOW_S).consent == "valid"


def test_one_persons_withdrawal_leaves_the_others(consent):
    consent.hand_in(_receipt("r2", person=BEN))
    consent.withdraw("r1")
    consent.claim(BEN, at_ns=200)

    assert consent.words(NOW_S).consent == "valid"
    assert [consent.consent_of(who, NOW_S) for who in (ADA, BEN)] == ["withdrawn", "valid"]


def test_a_gallery_is_agreed_only_if_everybody_in_it_is(consent):
    assert consent.gallery_words([ADA], NOW_S).consent == "valid"
    assert consent.gallery_words([ADA, BEN], NOW_S).consent == "none"
    assert consent.gallery_words([], NOW_S).consent == "none"


@pytest.mark.parametrize(
    ("claim_ns", "face_ns", "who"), [(99, 100, ADA), (100, 100, None), (101, 100, None)]
)
def test_the_claim_comes_before_the_first_face(claim_ns, face_ns, who):
    consent = Consent(Lane.VERIFY, "till-2")
    consent.claim(ADA, claim_ns)
    consent.saw_face(face_ns + 50)
    consent.saw_face(face_ns)

    assert consent.claimed == who


def test_nobody_claimed_is_no_consent():
    consent = Consent(Lane.VERIFY, "till-2")
    consent.hand_in(_receipt())

    assert consent.words(NOW_S).consent == "none"


def test_when_the_person_leaves_the_claim_is_over(consent):
    consent.saw_face(200)
    consent.nobody()

    assert consent.claimed is None
    consent.claim(BEN, 300)
    consent.saw_face(400)
    assert consent.claimed == BEN


@pytest.mark.parametrize("kind", LIFTS)
def test_an_authorisation_counts_for_its_person_area_and_period(consent, kind):
    consent.hand_in(_leave(kind))

    assert consent.words(NOW_S).authorisation == kind
    assert consent.words(NOW_S - 1).authorisation == "none"
    consent.claim(BEN, 100)
    assert consent.words(NOW_S).authorisation == "none"


def test_an_authorisation_for_another_area_is_none(consent):
    consent.hand_in(_leave(area="square"))

    assert consent.words(NOW_S).authorisation == "none"
    assert consent.words(NOW_S + DAY_S).injected_fault == "none"


@pytest.mark.parametrize("kind", LIFTS)
def test_an_authorisation_that_ran_out_says_so(consent, kind):
    consent.hand_in(_leave(kind))

    words = consent.words(NOW_S + DAY_S - 1)
    assert words.injected_fault == "none"
    consent.hand_in(_receipt("r9", from_s=NOW_S, to_s=NOW_S + 3 * DAY_S))
    words = consent.words(NOW_S + DAY_S)
    live = kind in ("rt_rbi_valid", "urgent_pending")
    assert words.authorisation == ("rt_rbi_expired" if live else "none")
    assert words.injected_fault == "token_expired"


def test_a_gallery_search_without_a_claim_has_no_authorisation(consent):
    consent.hand_in(_leave())

    assert consent.gallery_words([ADA], NOW_S).authorisation == "none"


@pytest.mark.parametrize("kind", LIFTS)
def test_a_signed_authorisation_is_read_as_written(kind):
    token = _leave(kind)

    assert read_authorisation(sign_token(token, COURT), [COURT.verifier]) == token


def test_a_signed_receipt_is_read_as_written():
    assert read_receipt(sign_token(_receipt(), DESK), [DESK.verifier]) == _receipt()


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (_leave("warrant", lifts="MS-02"), "cannot lift 'MS-02'"),
        (_leave("rt_rbi_valid", lifts="EU-05"), "it could lift EU-01"),
        (_leave("royal_favour"), "it could lift nothing"),
        (_leave(to_s=NOW_S + MONTH_S + 1), "up to 31 days"),
        (_leave(to_s=NOW_S), "up to 31 days"),
        (_leave("urgent_pending", to_s=NOW_S + URGENT_S + 1), "up to 1 days"),
        (_leave(person="Ada"), "person cannot be 'Ada'"),
        (_leave(area="x" * 121), "area cannot be"),
        (_leave(from_s=-1), "from_s cannot be"),
        (_leave(from_s=True, to_s=2), "from_s cannot be"),
    ],
    ids=range(10),
)
def test_an_authorisation_beyond_its_form_is_refused(token, says):
    with pytest.raises(RecordError, match=says):
        read_authorisation(sign_token(token, COURT), [COURT.verifier])


@pytest.mark.parametrize("to_s", [NOW_S - DAY_S, NOW_S - DAY_S + RECEIPT_S + 1])
def test_a_receipt_lasts_a_year_at_most(to_s):
    with pytest.raises(RecordError, match="up to 366 days"):
        read_receipt(sign_token(_receipt(to_s=to_s), DESK), [DESK.verifier])


def test_the_longest_periods_are_taken():
    assert read_receipt(sign_token(_receipt(to_s=NOW_S - DAY_S + RECEIPT_S), DESK), [DESK.verifier])
    leave = _leave(to_s=NOW_S + MONTH_S)
    assert read_authorisation(sign_token(leave, COURT), [COURT.verifier])


def test_a_token_counts_only_with_a_trusted_signature_on_these_very_bytes():
    note = sign_token(_leave(), COURT)

    for bad in (note.replace(b"till-2", b"till-3"), note[:-10], b"", sign_token(_leave(), DESK)):
        with pytest.raises(SignatureError):
            read_authorisation(bad, [COURT.verifier])


def test_one_kind_of_token_does_not_pass_for_the_other():
    with pytest.raises(RecordError, match="expected a token of kind receipt"):
        read_receipt(sign_token(_leave(), DESK), [DESK.verifier])


@pytest.mark.parametrize(
    "text", [b"7\n", b"{\n", b"{}\n", b'{"token":"receipt"}\n', b'{"a":1,"a":2}\n']
)
def test_a_signed_note_that_is_no_receipt_is_refused(text):
    with pytest.raises(RecordError):
        read_receipt(sign_note(text, [DESK]), [DESK.verifier])


def test_a_receipt_for_a_lane_nobody_knows_is_refused():
    text = sign_token(_receipt(), DESK).split(b"\n\n")[0]
    fields = {**json.loads(text), "lane": "admire"}

    with pytest.raises(RecordError, match="lane cannot be 'admire'"):
        read_receipt(sign_note(json.dumps(fields).encode() + b"\n", [DESK]), [DESK.verifier])


_KNOWN = {term.key: st.sampled_from(term.values) for term in STRICT.pack.vocabulary.terms}
_KNOWN["jurisdiction"] = st.sampled_from(["EU", "FR", "US-WA", "US-TX", "NZ", "CA-AB"])
_KNOWN["injected_fault"] = st.just("none")


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(facts=st.fixed_dictionaries(_KNOWN), kind=st.sampled_from(sorted(LIFTS)))
def test_a_token_lifts_no_rule_but_the_one_it_names(facts, kind):
    without = set(_forbids({**facts, "authorisation": "none"}))
    lifted = without - set(_forbids({**facts, "authorisation": kind}))

    # FA-06 bars a search that has no authorisation: having one is outside its words
    assert lifted <= {LIFTS[kind], "FA-06"}


def _forbids(facts):
    decision = STRICT.decide(facts)
    return () if decision.verdict is Verdict.ALLOW else decision.rules
