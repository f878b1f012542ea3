"""The consent state counts only reported faces, claims and comparisons."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.clock import MS, S
from edge.consent.consent import Consent
from edge.consent.inbox import ConsentInbox
from edge.consent.state import EMPTY_NS, UNREPORTED_NS, ConsentState
from edge.lease import Lane
from edge.reasons import Reason

ADA, BEN = "a" * 64, "b" * 64


def consent_state(lane: Lane = Lane.VERIFY, *, counted: bool = False) -> ConsentState:
    return ConsentState(lane, Consent(lane, "till-2"), None, counted=counted)


def test_a_face_that_is_released_must_be_reported_in_time() -> None:
    counting = consent_state(counted=True)
    counting.faces(1, S, permitted=True)

    assert counting.reasons(S + UNREPORTED_NS) == ()
    assert counting.reasons(S + UNREPORTED_NS + 1) == (Reason.COMPARISONS_UNREPORTED,)
    counting.compared(ADA)
    assert counting.reasons(S + UNREPORTED_NS + 1) == ()


@pytest.mark.parametrize(
    ("counted", "permitted", "count"), [(False, True, 1), (True, False, 1), (True, True, 0)]
)
def test_nothing_is_owed_where_nothing_was_released_or_asked(
    counted: bool, permitted: bool, count: int
) -> None:
    counting = consent_state(counted=counted)
    counting.faces(count, S, permitted=permitted)

    assert counting.reasons(60 * S) == ()


def test_a_search_is_over_when_the_picture_has_been_empty_for_long_enough() -> None:
    counting = consent_state()
    counting.faces(1, S, permitted=True)
    counting.compared(ADA)
    counting.compared(BEN)
    assert counting.facts(0) == {"injected_fault": "split_search"}

    counting.faces(0, S + EMPTY_NS - MS, permitted=False)
    assert counting.facts(0) == {"injected_fault": "split_search"}

    counting.faces(0, S + EMPTY_NS, permitted=False)
    assert counting.facts(0) == {}


def test_a_gallery_lane_may_compare_with_many() -> None:
    searching = consent_state(Lane.IDENTIFY, counted=True)
    for person in (ADA, BEN):
        searching.compared(person)

    assert searching.facts(0) == {}


@pytest.mark.parametrize("lane", [Lane.IDENTIFY, Lane.REIDENTIFY])
def test_a_lane_that_searches_says_that_the_gallery_report_is_missing(
    lane: Lane, tmp_path: Path
) -> None:
    consent = Consent(lane, "till-2")
    searching = ConsentState(
        lane,
        consent,
        ConsentInbox(tmp_path, consent, receipt_keys=[], authorities=[]),
        counted=False,
    )
    assert Reason.GALLERY_UNREPORTED in searching.reasons(S)

    searching.gallery((ADA, BEN))

    assert Reason.GALLERY_UNREPORTED not in searching.reasons(S)


def test_a_lane_in_which_somebody_claims_owes_no_gallery(tmp_path: Path) -> None:
    consent = Consent(Lane.VERIFY, "till-2")
    inbox = ConsentInbox(tmp_path, consent, receipt_keys=[], authorities=[])

    claimed = ConsentState(Lane.VERIFY, consent, inbox, counted=False)

    assert Reason.GALLERY_UNREPORTED not in claimed.reasons(S)
