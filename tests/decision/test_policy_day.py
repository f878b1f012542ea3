"""The clocks are asked once a second; rules and term follow the day; a set clock is reported."""

from __future__ import annotations

import datetime

import pytest

from edge.clock import S
from edge.decision import policy_day
from edge.decision.policy_day import PolicyDay
from edge.policy.engine import Policy
from edge.policy.pack import read_pack, shipped_files
from edge.policy.selection import Chosen
from edge.policy.signed.bundle import Bundle, Floors, admit
from edge.policy.signed.term import PolicyTerm
from edge.policy.signed.trust import Root
from edge.reasons import Reason
from edge.version import BUILT_S

DAY_S = 86_400
NOON_S = BUILT_S // DAY_S * DAY_S + 5 * DAY_S + DAY_S // 2
ROOT = Root(1, 1, {"ann": b"a" * 32})
BUNDLE = Bundle(1, NOON_S, NOON_S + 2 * DAY_S, "0.1.0", ROOT, {}, {}, shipped_files("strict"))
DAY = datetime.datetime.fromtimestamp(NOON_S, datetime.timezone.utc).date()


class Clocks:
    """The wall clock and the boot clock of a test; the first can be set."""

    def __init__(self) -> None:
        self.now_ns = 100 * S
        self.set_s = 0
        self.kept = True

    def time(self) -> float:
        return NOON_S + self.now_ns / S - 100 + self.set_s


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(policy_day, "time", clocks)
    monkeypatch.setattr(policy_day, "synchronised", lambda: clocks.kept)
    return clocks


def of(clocks: Clocks, *, bundle: bool = True) -> PolicyDay:
    policy = Policy(read_pack(shipped_files("strict")), DAY)
    term = PolicyTerm(BUNDLE, admit(BUNDLE, Floors(), wall_s=NOON_S, guard="0.1.0"))
    chosen = Chosen(policy, term if bundle else None, NOON_S - DAY_S)
    return PolicyDay(chosen, clocks.now_ns, accepts_unproven=False)


def later(clocks: Clocks, day: PolicyDay, seconds: float) -> bool:
    """Ask `seconds` later; whether other rules hold then."""
    clocks.now_ns += round(seconds * S)
    return day.ask(clocks.now_ns, dated=True) is not None and day.turn()


def test_the_clocks_are_asked_once_a_second(clocks: Clocks) -> None:
    day = of(clocks)

    assert day.ask(clocks.now_ns, dated=True) is not None
    assert day.ask(clocks.now_ns + S - 1, dated=True) is None
    assert day.ask(clocks.now_ns + S, dated=True) is not None


def test_rules_turn_at_midnight_and_only_then(clocks: Clocks) -> None:
    day = of(clocks)

    assert not later(clocks, day, 1)
    assert not later(clocks, day, DAY_S / 2 - 2)
    assert later(clocks, day, 2)
    assert day.policy.day == DAY + datetime.timedelta(days=1)
    assert day.reasons == ()


def test_a_bundle_ends_by_its_date_and_a_shipped_pack_has_none(clocks: Clocks) -> None:
    with_bundle, without = of(clocks), of(clocks, bundle=False)
    clocks.now_ns += 3 * DAY_S * S

    for day in (with_bundle, without):
        day.ask(clocks.now_ns, dated=True)

    assert (with_bundle.has_term, with_bundle.reasons) == (True, (Reason.POLICY_EXPIRED,))
    assert (without.has_term, without.reasons) == (False, ())


def test_a_clock_that_is_set_is_reported_once_and_the_log_goes_on_with_the_time_before(
    clocks: Clocks,
) -> None:
    day = of(clocks)
    later(clocks, day, 1)
    before_ns = day.wall_ns(clocks.now_ns)
    clocks.set_s = DAY_S

    clocks.now_ns += S
    moment = day.ask(clocks.now_ns, dated=True)
    clocks.now_ns += S
    again = day.ask(clocks.now_ns, dated=True)

    assert moment is not None and again is not None
    assert (moment.jump_s, again.jump_s) == (DAY_S, 0)
    assert day.wall_ns(clocks.now_ns) - before_ns == 2 * S


def test_a_clock_that_nobody_keeps_blocks_a_lane_that_needs_dates_and_no_other(
    clocks: Clocks,
) -> None:
    clocks.kept = False
    day = of(clocks)

    day.ask(clocks.now_ns, dated=True)
    needs = day.reasons
    clocks.now_ns += S
    day.ask(clocks.now_ns, dated=False)

    assert needs == (Reason.TIME_UNTRUSTED,)
    assert day.reasons == ()
