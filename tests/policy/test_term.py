"""A policy is asked every second if it is in force; an unproven day takes no rule away."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.policy import engine
from edge.policy.engine import Outcome, Policy, Verdict
from edge.policy.pack import read_pack, shipped_files
from edge.policy.rules import Effect
from edge.policy.signed.bundle import Bundle, Floors, admit
from edge.policy.signed.term import PolicyTerm, of_the_day
from edge.policy.signed.trust import Root
from edge.reasons import Reason
from edge.version import BUILT
from tests.conformance.differential import requests

DAY_S = 86_400
NOON_S = 20_000 * DAY_S + DAY_S // 2
ROOT = Root(1, 2, {"ann": b"a" * 32, "bob": b"b" * 32})
BUNDLE = Bundle(
    1, NOON_S - DAY_S, NOON_S + 2 * DAY_S, "0.1.0", ROOT, {}, {}, shipped_files("police")
)
MIDNIGHT_S = NOON_S + DAY_S // 2
STRICT = read_pack(shipped_files("strict"))
ASKED = list(requests(400, seed=14))
days = st.dates(datetime.date(1970, 1, 1), datetime.date(2150, 1, 1))


@pytest.fixture
def term():
    return PolicyTerm(BUNDLE, admit(BUNDLE, Floors(), wall_s=NOON_S, guard="0.1.0"))


def seconds(day: datetime.date) -> int:
    return int(datetime.datetime(*day.timetuple()[:3], tzinfo=datetime.timezone.utc).timestamp())


def allowed(policy: Policy) -> set[int]:
    found = policy.decide_many(ASKED)
    return {i for i, decision in enumerate(found) if decision.verdict is Verdict.ALLOW}


def test_the_policy_ends_to_the_second(term):
    assert term.check(NOON_S + 2 * DAY_S - 1, 0) == ()
    assert term.check(NOON_S + 2 * DAY_S, 0) == (Reason.POLICY_EXPIRED,)


def test_a_moment_of_a_future_clock_ends_it_for_that_moment_alone(term):
    assert term.check(NOON_S + 9999 * DAY_S, NOON_S) == (Reason.POLICY_EXPIRED,)
    assert term.check(NOON_S, NOON_S) == ()


def test_time_that_is_proven_ends_it_for_good_and_is_the_floor_for_log_and_board(term):
    term.check(NOON_S, NOON_S + 2 * DAY_S)

    assert term.check(NOON_S, 0) == (Reason.POLICY_EXPIRED,)
    assert (term.floors.time_s, term.floors.version) == (NOON_S + 2 * DAY_S, 1)


def test_the_wall_clock_at_a_start_moves_no_floor():
    floors = admit(BUNDLE, Floors(), wall_s=NOON_S, guard="0.1.0")

    assert floors.time_s == BUNDLE.issued_s


def test_the_rules_change_at_midnight_to_the_second():
    day = datetime.date.fromordinal(datetime.date(1970, 1, 1).toordinal() + NOON_S // DAY_S)
    today = Policy(STRICT, day)

    assert of_the_day(today, MIDNIGHT_S - 1, proven=True, floor=BUILT) is today
    tomorrow = of_the_day(today, MIDNIGHT_S, proven=True, floor=BUILT)
    assert tomorrow.day == day + datetime.timedelta(days=1)


def test_an_unproven_day_is_read_as_the_strictest_and_a_proven_one_brings_its_rules_back():
    today = Policy(STRICT, datetime.date(2025, 3, 1))
    unproven = of_the_day(today, 0, proven=False, floor=datetime.date(2024, 3, 1))

    assert unproven.open_ended
    assert {"FR-01", "MS-09", "US-02"} <= {rule.id for rule in unproven.rules}  # lapsed or to come
    again = of_the_day(unproven, 0, proven=False, floor=datetime.date(2024, 3, 1))
    assert again is unproven
    proven = of_the_day(unproven, seconds(today.day), proven=True, floor=BUILT)
    assert [rule.key for rule in proven.rules] == [rule.key for rule in today.rules]


@settings(max_examples=4, deadline=None)
@given(true=days, floor=days)
@pytest.mark.slow
def test_what_an_unproven_clock_permits_is_permitted_on_the_true_day(true, floor):
    true = max(true, floor)
    unproven = of_the_day(Policy(STRICT, true), 0, proven=False, floor=floor)

    assert allowed(unproven) <= allowed(Policy(STRICT, true))


@settings(max_examples=6, deadline=None)
@given(shown=days)
@pytest.mark.slow
def test_whatever_the_clock_shows_a_shipped_pack_permits_no_more_than_today(shown):
    policy = _under(shown)

    assert allowed(policy) <= allowed(Policy(STRICT, BUILT))


@pytest.mark.slow
def test_in_1970_the_rules_are_all_there_and_something_is_permitted_still():
    policy = _under(datetime.date(1970, 1, 1))

    forbids = {rule.id for rule in policy.rules if rule.effect is Effect.FORBID}
    assert {"MS-01", "MS-02", "EU-01", "ST-WA", "FA-01"} <= forbids
    outcomes = {decision.outcome for decision in policy.decide_many(ASKED)}
    assert Outcome.PERMITTED in outcomes


def _under(shown: datetime.date) -> Policy:
    """The shipped pack under a wall clock that shows this day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "utc_today", lambda: shown)
        return Policy.load("strict")
