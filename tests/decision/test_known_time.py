"""The time is known by proof and counted on; a clock that is set moves nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock import S
from edge.decision.known_time import AHEAD_S, HOLD_S, JUMP_S, SLACK_S, TELL_S, KnownTime
from edge.reasons import Reason

FLOOR_S = 1_800_000_000
NOW_S = FLOOR_S + 86_400
YEAR_S = 365 * 86_400


class Clocks:
    """A boot clock and a wall clock that can be set."""

    def __init__(self, *, wall_s: float = NOW_S, accepts_unproven: bool = False) -> None:
        self.known = KnownTime(FLOOR_S, accepts_unproven=accepts_unproven)
        self.wall_s = wall_s
        self.boot_ns = 1000 * S
        self.synchronised = True

    def after(self, seconds: float, *, jump_s: float = 0):
        self.boot_ns += int(seconds * S)
        self.wall_s += seconds + jump_s
        return self.known.look(self.wall_s, self.boot_ns, synchronised=self.synchronised)


def test_a_synchronised_clock_is_proven_at_once_and_frames_may_flow():
    moment = Clocks().after(0)

    assert (moment.now_s, moment.proven, moment.reasons) == (NOW_S, True, ())


@pytest.mark.parametrize("synchronised", [False, True])
@pytest.mark.parametrize("accepts", [False, True])
def test_a_clock_of_1970_is_never_believed(synchronised, accepts):
    clocks = Clocks(wall_s=30, accepts_unproven=accepts)
    clocks.synchronised = synchronised

    moment = clocks.after(5)

    assert set(moment.reasons) == {Reason.TIME_UNTRUSTED, Reason.CLOCK_BACKWARDS}
    assert (moment.proven, moment.now_s) == (False, FLOOR_S + 0)


def test_a_clock_that_nobody_keeps_blocks_until_it_is_synchronised():
    clocks = Clocks()
    clocks.synchronised = False
    assert clocks.after(1).reasons == (Reason.TIME_UNTRUSTED,)

    clocks.synchronised = True

    assert clocks.after(1).reasons == ()
    clocks.synchronised = False  # the service is gone; the boot clock counts on
    moment = clocks.after(5000)
    assert (moment.proven, moment.reasons) == (True, ())


def test_a_signed_record_may_accept_a_clock_that_nobody_keeps_but_it_proves_nothing():
    clocks = Clocks(accepts_unproven=True)
    clocks.synchronised = False

    moment = clocks.after(HOLD_S * 3)

    assert (moment.reasons, moment.proven) == ((), False)
    assert clocks.known.floor_s == FLOOR_S


@pytest.mark.parametrize("accepts", [False, True])
@pytest.mark.parametrize("synchronised", [False, True])
def test_a_far_future_is_a_jump_that_needs_proof(accepts, synchronised):
    clocks = Clocks(wall_s=FLOOR_S + AHEAD_S + 10, accepts_unproven=accepts)
    clocks.synchronised = synchronised

    assert clocks.after(1).reasons == (Reason.TIME_UNTRUSTED,)
    clocks.after(1, jump_s=-AHEAD_S)  # a moment later the clock is right again
    clocks.synchronised = True
    assert clocks.after(1).reasons == ()
    assert clocks.known.floor_s == FLOOR_S


@pytest.mark.parametrize("jump_s", [-20 * YEAR_S, -YEAR_S, YEAR_S, 73 * YEAR_S])
@pytest.mark.parametrize("synchronised", [False, True])
def test_a_clock_set_under_way_changes_neither_time_nor_floor(jump_s, synchronised):
    clocks = Clocks()
    clocks.after(0)
    clocks.synchronised = synchronised

    moments = [clocks.after(1, jump_s=jump_s), *(clocks.after(1) for _ in range(HOLD_S - 2))]
    back = clocks.after(1, jump_s=-jump_s)

    assert [m.now_s for m in moments] == [NOW_S + 1 + i for i in range(HOLD_S - 1)]
    assert all(m.proven and not m.reasons for m in (*moments, back))
    assert clocks.known.floor_s == FLOOR_S


def test_synchronised_for_long_enough_a_jump_is_proven():
    clocks = Clocks()
    clocks.after(0)
    clocks.after(1, jump_s=YEAR_S)

    assert clocks.after(HOLD_S - 1).now_s < NOW_S + YEAR_S
    assert clocks.after(1).now_s == NOW_S + YEAR_S + HOLD_S + 1
    assert clocks.known.floor_s == NOW_S + YEAR_S + HOLD_S + 1


def test_a_time_service_that_was_wrong_at_first_is_followed_back_if_no_floor_was_moved():
    clocks = Clocks(wall_s=NOW_S + YEAR_S)
    clocks.after(0)
    clocks.after(1, jump_s=-YEAR_S)

    assert clocks.after(HOLD_S).now_s == NOW_S + HOLD_S + 1


def test_slewing_is_followed_and_no_jump():
    clocks = Clocks()
    clocks.after(0)

    moments = [clocks.after(1, jump_s=JUMP_S) for _ in range(5)]

    assert [m.jump_s for m in moments] == [0] * 5
    assert moments[-1].now_s == NOW_S + 5 + 5 * JUMP_S


def test_a_jump_is_told_once():
    clocks = Clocks()
    clocks.after(0)

    assert clocks.after(1, jump_s=YEAR_S).jump_s == YEAR_S
    assert clocks.after(1).jump_s == 0


def test_a_clock_that_is_set_every_second_is_told_once_a_minute_and_its_end_is_told():
    clocks = Clocks()
    clocks.after(0)

    jumps = [clocks.after(1, jump_s=YEAR_S if i % 2 else -YEAR_S).jump_s for i in range(301)]
    rest = [clocks.after(1).jump_s for _ in range(2 * TELL_S)]

    assert sum(1 for jump_s in jumps if jump_s) <= 301 // TELL_S + 1
    assert sum(jumps) + sum(rest) == -YEAR_S  # every change is in the sum


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(-60 * YEAR_S, 80 * YEAR_S), st.booleans()),
        min_size=1,
        max_size=30,
    ),
    st.booleans(),
)
def test_without_proof_no_sequence_of_clocks_moves_time_or_floor(steps, accepts):
    """Ever shorter than `HOLD_S` in all: nothing is proven after the first moment."""
    clocks = Clocks(accepts_unproven=accepts)
    clocks.after(0)
    passed_s = 0
    for seconds, jump_s, synchronised in steps:
        clocks.synchronised = synchronised
        near = abs(jump_s) <= JUMP_S
        moment = clocks.after(seconds, jump_s=0 if near else jump_s)
        passed_s += seconds
        assert abs(moment.now_s - (NOW_S + passed_s)) <= JUMP_S
        assert clocks.known.floor_s == FLOOR_S


def test_a_clock_a_little_behind_the_floor_is_taken_for_the_floor():
    clocks = Clocks(wall_s=FLOOR_S - SLACK_S)

    assert clocks.after(0).now_s == FLOOR_S
