"""A policy in force is asked every second whether it still is, and clocks only go forwards."""

from __future__ import annotations

import datetime

import pytest

from edge.clock import S
from edge.decision.clock_jump import JUMP_S, Drift
from edge.policy.bundle import CLOCK_SLACK_S, Bundle, Floors, admit
from edge.policy.engine import Policy
from edge.policy.pack import shipped_files
from edge.policy.term import Tenure, of_the_day
from edge.policy.trust import Root
from edge.reasons import Reason

DAY_S = 86_400
NOON_S = 20_000 * DAY_S + DAY_S // 2
ROOT = Root(1, 2, {"ann": b"a" * 32, "bob": b"b" * 32})
BUNDLE = Bundle(
    1, NOON_S - DAY_S, NOON_S + 2 * DAY_S, "0.1.0", ROOT, {}, {}, shipped_files("police")
)
MIDNIGHT_S = NOON_S + DAY_S // 2
DAY = datetime.datetime.fromtimestamp(NOON_S, datetime.timezone.utc).date()


class Clocks:
    """A boot clock and a wall clock that can be set."""

    def __init__(self, tenure):
        self.tenure = tenure
        self.drift = Drift()
        self.jumped_s = 0
        self.wall_s = NOON_S
        self.boot_ns = 1000 * S

    def after(self, seconds, jump_s=0):
        self.boot_ns += seconds * S
        self.wall_s += seconds + jump_s
        self.jumped_s = self.drift.jump_s(self.wall_s, self.boot_ns)
        return self.tenure.check(self.wall_s)


@pytest.fixture
def clocks():
    floors = admit(BUNDLE, Floors(), wall_s=NOON_S, guard="0.1.0")
    return Clocks(Tenure(BUNDLE, floors))


def test_while_the_clocks_agree_nothing_is_wrong(clocks):
    assert [clocks.after(1) for _ in range(5)] == [()] * 5
    assert clocks.tenure.fault == "none"


def test_the_policy_ends_to_the_second(clocks):
    assert clocks.after(2 * DAY_S - 1) == ()
    assert clocks.after(1) == (Reason.POLICY_EXPIRED,)
    assert clocks.tenure.fault == "policy_expired"


def test_setting_the_clock_back_does_not_bring_it_back(clocks):
    clocks.after(2 * DAY_S)

    found = clocks.after(1, jump_s=-2 * DAY_S)

    assert found == (Reason.POLICY_EXPIRED, Reason.CLOCK_BACKWARDS)
    assert clocks.after(1) == (Reason.POLICY_EXPIRED, Reason.CLOCK_BACKWARDS)


def test_a_clock_set_back_blocks_until_it_has_caught_up(clocks):
    clocks.after(0)
    assert clocks.after(0, jump_s=-CLOCK_SLACK_S) == ()
    assert clocks.after(0, jump_s=-1) == (Reason.CLOCK_BACKWARDS,)
    assert clocks.after(1) == ()


@pytest.mark.parametrize("jump_s", [JUMP_S + 1, -CLOCK_SLACK_S, DAY_S])
def test_a_jump_is_told_once_and_blocks_nothing_by_itself(clocks, jump_s):
    clocks.after(1)

    assert clocks.after(1, jump_s=jump_s) == ()
    assert clocks.jumped_s == jump_s
    clocks.after(1)
    assert clocks.jumped_s == 0


@pytest.mark.parametrize("jump_s", [JUMP_S, -JUMP_S])
def test_slewing_is_no_jump(clocks, jump_s):
    clocks.after(1)

    assert clocks.after(1, jump_s=jump_s) == ()
    assert clocks.jumped_s == 0


def test_a_jump_a_year_ahead_expires_the_policy_at_once(clocks):
    clocks.after(1)

    assert clocks.after(1, jump_s=365 * DAY_S) == (Reason.POLICY_EXPIRED,)
    assert clocks.jumped_s == 365 * DAY_S


def test_time_that_passed_is_the_floor_for_log_and_board(clocks):
    clocks.after(100)
    clocks.after(0, jump_s=-50)

    assert clocks.tenure.floors.time_s == NOON_S + 100
    assert clocks.tenure.floors.version == 1


def test_the_rules_change_at_midnight_to_the_second_and_never_back():
    strict = Policy.load("strict", DAY)

    assert of_the_day(strict, MIDNIGHT_S - 1) is strict
    tomorrow = of_the_day(strict, MIDNIGHT_S)
    assert tomorrow.day == DAY + datetime.timedelta(days=1)
    assert of_the_day(tomorrow, MIDNIGHT_S - DAY_S) is tomorrow


def test_a_clock_set_back_over_midnight_brings_no_rule_back(clocks):
    clocks.after(DAY_S // 2)
    clocks.after(0, jump_s=-DAY_S)

    assert clocks.tenure.floors.time_s == MIDNIGHT_S
