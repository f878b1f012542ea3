"""The gate: every reason to block one frame, and the one way to pass."""

from __future__ import annotations

import dataclasses

import pytest

from edge.clock import MS
from edge.frames.gate import Blocked, Gate, Limits, Pending, Verdict
from edge.lease import Binding, Lane, Lease, Revocation
from edge.reasons import Reason

FLOOR = 0.8
NOW = 10_000 * MS
BINDING = Binding(b"c" * 16, b"b" * 16, b"p" * 32, Lane.VERIFY)


def lease(epoch: int = 1, **changes: object) -> Lease:
    given = Lease(
        epoch=epoch,
        camera=BINDING.camera,
        boot=BINDING.boot,
        policy=BINDING.policy,
        lane=BINDING.lane,
        from_ns=NOW - 100 * MS,
        to_ns=NOW + 1,
        expires_ns=NOW + 200 * MS,
        min_view_score=FLOOR,
        seen_blocks=0b1011,
        decision=3,
    )
    return dataclasses.replace(given, **changes)


def frame(sequence: int = 0, captured_ns: int = NOW, score: float = 0.9, size: int = 10) -> Pending:
    return Pending(sequence, captured_ns, score, slot=sequence % 4, size=size)


@pytest.fixture
def gate() -> Gate:
    return Gate(BINDING, min_view_score=FLOOR)


@pytest.fixture
def granted(gate: Gate) -> Gate:
    assert gate.grant(lease(), NOW) is None
    return gate


# one frame


def test_a_new_gate_blocks(gate):
    assert gate.lease is None
    assert gate.epoch == 0
    assert gate.waiting == 0
    assert gate.check(frame(), NOW) is Verdict.NO_LEASE
    assert gate.admit(frame(), NOW) == [Blocked(frame(), Reason.NO_LEASE)]
    assert gate.head(NOW) is None


def test_a_covered_frame_of_the_enrolled_view_passes_once(granted):
    assert granted.admit(frame(), NOW) == []
    assert granted.waiting == 1

    head = granted.head(NOW)

    assert head == frame()
    assert granted.waiting == 1
    assert granted.take() is head
    assert granted.waiting == 0
    assert granted.head(NOW) is None


@pytest.mark.parametrize(
    ("captured_ns", "score", "now_ns", "verdict"),
    [
        (NOW, FLOOR, NOW, Verdict.PASS),
        (NOW, FLOOR - 0.0001, NOW, Verdict.VIEW_FOREIGN),
        (NOW, 0.9, NOW + 200 * MS - 1, Verdict.PASS),
        (NOW, 0.9, NOW + 200 * MS, Verdict.LEASE_EXPIRED),
        (NOW - 100 * MS, 0.9, NOW, Verdict.PASS),
        (NOW - 100 * MS - 1, 0.9, NOW, Verdict.FRAME_STALE),
        (NOW + 1, 0.9, NOW + 1, Verdict.WAIT),
        (NOW + 1, 0.1, NOW + 200 * MS, Verdict.LEASE_EXPIRED),
        (NOW + 1, 0.1, NOW + 1, Verdict.VIEW_FOREIGN),
    ],
)
def test_the_verdict_on_either_side_of_each_bound(granted, captured_ns, score, now_ns, verdict):
    assert granted.check(frame(0, captured_ns, score), now_ns) is verdict


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.PASS, None),
        (Verdict.WAIT, Reason.BRACKET),
        (Verdict.NO_LEASE, Reason.NO_LEASE),
        (Verdict.LEASE_EXPIRED, Reason.LEASE_EXPIRED),
        (Verdict.VIEW_FOREIGN, Reason.VIEW_FOREIGN),
        (Verdict.FRAME_STALE, Reason.FRAME_STALE),
    ],
)
def test_a_blocking_verdict_carries_its_reason(verdict, reason):
    assert verdict.value is reason


def test_a_frame_later_than_its_evidence_waits_until_a_lease_covers_it(granted):
    late = frame(0, NOW + 1)
    assert granted.admit(late, NOW + 1) == []
    assert granted.head(NOW + 1) is None

    granted.grant(lease(to_ns=NOW + 2), NOW + 1)

    assert granted.head(NOW + 1) == late


# leases


@pytest.mark.parametrize(
    "foreign",
    [
        {"camera": b"x" * 16},
        {"boot": b"x" * 16},
        {"policy": b"x" * 32},
        {"lane": Lane.DETECT},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_lease_for_anything_else_is_refused_and_changes_nothing(granted, foreign):
    before = granted.lease

    assert granted.grant(lease(2, **foreign), NOW) is Reason.LEASE_MALFORMED
    assert granted.lease is before
    assert granted.epoch == 1


def test_a_lease_of_the_same_or_a_later_epoch_is_taken_and_an_older_one_refused(granted):
    assert granted.grant(lease(1), NOW) is None
    assert granted.grant(lease(5), NOW) is None
    assert granted.epoch == 5
    assert granted.grant(lease(4), NOW) is Reason.LEASE_MALFORMED
    assert granted.epoch == 5


@pytest.mark.parametrize(
    ("now_ns", "answer"), [(NOW + 200 * MS - 1, None), (NOW + 200 * MS, Reason.LEASE_EXPIRED)]
)
def test_a_lease_that_comes_too_late_is_refused(gate, now_ns, answer):
    assert gate.grant(lease(), now_ns) is answer
    assert (gate.lease is None) is (answer is not None)


def test_a_lease_names_the_blocks_to_compare_and_without_one_all_are(gate):
    assert gate.seen_blocks == -1
    gate.grant(lease(), NOW)
    assert gate.seen_blocks == 0b1011


def test_a_lease_may_ask_for_a_higher_score_but_never_for_a_lower_one(gate):
    gate.grant(lease(min_view_score=0.95), NOW)
    assert gate.check(frame(score=0.9), NOW) is Verdict.VIEW_FOREIGN
    assert gate.check(frame(score=0.95), NOW) is Verdict.PASS

    gate.grant(lease(min_view_score=0.0), NOW)
    assert gate.check(frame(score=0.79), NOW) is Verdict.VIEW_FOREIGN
    assert gate.check(frame(score=0.8), NOW) is Verdict.PASS


def test_a_frame_in_hand_does_not_pass_once_the_lease_is_withdrawn(granted):
    assert granted.check(frame(), NOW) is Verdict.PASS

    granted.revoke(Revocation(granted.epoch, (Reason.NO_LEASE,)))

    assert granted.check(frame(), NOW) is Verdict.NO_LEASE


def test_a_score_at_the_bar_is_no_reason_to_withhold(granted):
    late = granted.lease.to_ns
    low = granted.lease.from_ns - 1

    assert granted.check(frame(0, late, granted.lease.min_view_score), NOW) is Verdict.WAIT
    assert granted.check(frame(0, low, granted.lease.min_view_score), NOW) is Verdict.FRAME_STALE


def test_the_higher_score_of_a_lease_ends_with_it(gate):
    gate.grant(lease(min_view_score=0.95), NOW)
    gate.revoke(Revocation(1, ()))
    assert gate.admit(frame(score=0.9), NOW) == [Blocked(frame(score=0.9), Reason.NO_LEASE)]


# revocation


def test_a_revocation_blocks_what_waits_with_its_worst_reason(granted):
    for i in range(3):
        granted.admit(frame(i, NOW - 3 + i), NOW)

    stopped = granted.revoke(Revocation(1, (Reason.NOT_DOCKED, Reason.MOTION)))

    assert [b.frame.sequence for b in stopped] == [0, 1, 2]
    assert {b.reason for b in stopped} == {Reason.NOT_DOCKED}
    assert granted.lease is None
    assert granted.waiting == 0


def test_a_revocation_without_a_reason_says_no_lease(granted):
    granted.admit(frame(), NOW)

    assert granted.revoke(Revocation(1, ())) == [Blocked(frame(), Reason.NO_LEASE)]


def test_a_revoked_epoch_is_dead_for_ever(granted):
    granted.revoke(Revocation(3, ()))

    assert granted.epoch == 3
    assert granted.grant(lease(1), NOW) is Reason.LEASE_MALFORMED
    assert granted.grant(lease(3), NOW) is Reason.LEASE_MALFORMED
    assert granted.grant(lease(4), NOW) is None


def test_an_old_revocation_overtaken_by_a_newer_grant_changes_nothing(gate):
    gate.grant(lease(5), NOW)
    gate.admit(frame(), NOW)

    assert gate.revoke(Revocation(4, (Reason.MOTION,))) == []
    assert gate.head(NOW) == frame()
    assert gate.epoch == 5
    assert gate.grant(lease(5), NOW) is None


def test_a_second_smaller_revocation_does_not_bring_epochs_back(granted):
    granted.revoke(Revocation(6, ()))
    granted.revoke(Revocation(2, ()))

    assert granted.epoch == 6
    assert granted.grant(lease(6), NOW) is Reason.LEASE_MALFORMED


def test_a_bar_ends_the_lease_and_refuses_leases_that_reach_back_behind_it(granted):
    granted.admit(frame(), NOW)

    assert granted.bar(NOW + 10, Reason.TIME_GAP) == [Blocked(frame(), Reason.TIME_GAP)]

    assert granted.lease is None
    reaching = lease(2, from_ns=NOW + 10, to_ns=NOW + 20)
    assert granted.grant(reaching, NOW + 15) is Reason.FRAME_STALE
    assert granted.lease is None
    clear = lease(2, from_ns=NOW + 11, to_ns=NOW + 20)
    assert granted.grant(clear, NOW + 15) is None


def test_an_earlier_bar_does_not_lower_a_later_one(granted):
    granted.bar(NOW + 10, Reason.TIME_GAP)
    granted.bar(NOW - 10, Reason.TIME_GAP)

    reaching = lease(2, from_ns=NOW + 10, to_ns=NOW + 20)
    assert granted.grant(reaching, NOW + 15) is Reason.FRAME_STALE


def test_a_new_gate_takes_a_lease_from_moment_zero(gate):
    assert gate.grant(lease(from_ns=0), NOW) is None


def test_a_new_gate_refuses_a_lease_from_before_the_boot(gate):
    assert gate.grant(lease(from_ns=-1), NOW) is Reason.FRAME_STALE


# frames coming in


def test_a_foreign_frame_takes_the_waiting_ones_with_it_and_ends_the_lease(granted):
    granted.admit(frame(0, NOW - 2), NOW)
    foreign = frame(1, NOW - 1, score=0.7)

    stopped = granted.admit(foreign, NOW)

    assert stopped == [
        Blocked(frame(0, NOW - 2), Reason.VIEW_FOREIGN),
        Blocked(foreign, Reason.VIEW_FOREIGN),
    ]
    assert granted.lease is None
    assert granted.grant(lease(2, from_ns=NOW - 1), NOW) is Reason.FRAME_STALE
    assert granted.grant(lease(2, from_ns=NOW), NOW) is None


def test_a_lane_without_a_view_takes_frames_without_a_score():
    gate = Gate(BINDING, min_view_score=0.0)
    gate.grant(lease(min_view_score=0.0), NOW)

    assert gate.admit(frame(score=0.0), NOW) == []
    assert gate.head(NOW) == frame(score=0.0)


@pytest.mark.parametrize("captured_ns", [NOW - 1, NOW])
def test_a_frame_that_goes_back_in_time_is_malformed(granted, captured_ns):
    granted.admit(frame(0, NOW), NOW)

    back = frame(1, captured_ns)

    assert granted.admit(back, NOW) == [Blocked(back, Reason.FRAME_MALFORMED)]
    assert granted.waiting == 1


def test_a_frame_from_the_future_is_malformed_and_one_of_this_instant_is_not(granted):
    granted.grant(lease(to_ns=NOW + 10), NOW)
    ahead = frame(0, NOW + 1)

    assert granted.admit(ahead, NOW) == [Blocked(ahead, Reason.FRAME_MALFORMED)]
    assert granted.admit(frame(1, NOW), NOW) == []


def test_a_malformed_time_does_not_count_as_the_last_one(granted):
    granted.admit(frame(0, NOW + 5), NOW)

    assert granted.admit(frame(1, NOW), NOW) == []


@pytest.mark.parametrize(("age_ms", "waits"), [(500, True), (501, False)])
def test_a_frame_too_old_on_arrival_is_stale(gate, age_ms, waits):
    gate.grant(lease(from_ns=0), NOW)
    old = frame(0, NOW - age_ms * MS)

    assert gate.admit(old, NOW) == ([] if waits else [Blocked(old, Reason.FRAME_STALE)])
    assert gate.waiting == int(waits)


def test_the_very_first_moment_is_a_time_like_any_other(gate):
    gate.grant(lease(from_ns=0, to_ns=1, expires_ns=10), 0)

    assert gate.admit(frame(0, 0), 0) == []
    assert gate.admit(frame(1, 0), 0) == [Blocked(frame(1, 0), Reason.FRAME_MALFORMED)]


def test_a_time_before_the_boot_is_malformed(gate):
    before = frame(0, -1)

    assert gate.admit(before, 0) == [Blocked(before, Reason.FRAME_MALFORMED)]


# the queue


def test_the_queue_is_first_in_first_out(granted):
    granted.admit(frame(0, NOW - 2), NOW)
    granted.admit(frame(1, NOW - 1), NOW)

    assert [granted.take().sequence, granted.take().sequence] == [0, 1]


@pytest.mark.parametrize(
    "limits", [Limits(max_frames=3), Limits(max_bytes=30)], ids=["count", "bytes"]
)
def test_the_queue_is_bounded_and_gives_up_its_oldest(limits):
    gate = Gate(BINDING, min_view_score=FLOOR, limits=limits)
    gate.grant(lease(), NOW)
    for i in range(3):
        assert gate.admit(frame(i, NOW - 5 + i), NOW) == []

    stopped = gate.admit(frame(3, NOW), NOW)

    assert stopped == [Blocked(frame(0, NOW - 5), Reason.FIFO_FULL)]
    assert gate.waiting == 3


@pytest.mark.parametrize(
    "leave",
    [
        lambda gate: gate.take(),
        lambda gate: gate.revoke(Revocation(1, ())),
        lambda gate: gate.bar(0, Reason.TIME_GAP),
        lambda gate: gate.tick(NOW + 200 * MS),
        lambda gate: gate.grant(lease(from_ns=NOW), NOW) or gate.tick(NOW),
    ],
    ids=["released", "revoked", "barred", "expired", "stale"],
)
def test_a_frame_that_leaves_gives_its_bytes_back(leave):
    gate = Gate(BINDING, min_view_score=FLOOR, limits=Limits(max_bytes=10))
    gate.grant(lease(), NOW)
    gate.admit(frame(0, NOW - 1), NOW)

    leave(gate)

    assert gate.waiting == 0
    gate.grant(lease(2), NOW)
    assert gate.admit(frame(1, NOW), NOW) == []
    assert gate.waiting == 1


@pytest.mark.parametrize(("waited_ms", "waits"), [(400, True), (401, False)])
def test_a_frame_that_waited_too_long_is_given_up(gate, waited_ms, waits):
    gate.grant(lease(from_ns=0, to_ns=1, expires_ns=NOW + 900 * MS), NOW)
    old = frame(0, NOW - 100 * MS)
    gate.admit(old, NOW)

    stopped = gate.tick(NOW + waited_ms * MS)

    assert stopped == ([] if waits else [Blocked(old, Reason.FIFO_FULL)])


def test_what_a_new_lease_no_longer_reaches_back_to_is_given_up(granted):
    first, second = frame(0, NOW - 5), frame(1, NOW - 3)
    granted.admit(first, NOW)
    granted.admit(second, NOW)

    granted.grant(lease(from_ns=NOW - 3), NOW)

    assert granted.tick(NOW) == [Blocked(first, Reason.FRAME_STALE)]
    assert granted.head(NOW) == second


@pytest.mark.parametrize(("now_ns", "alive"), [(NOW + 200 * MS - 1, True), (NOW + 200 * MS, False)])
def test_when_the_lease_runs_out_so_does_the_queue(granted, now_ns, alive):
    granted.admit(frame(), NOW)

    stopped = granted.tick(now_ns)

    assert stopped == ([] if alive else [Blocked(frame(), Reason.LEASE_EXPIRED)])
    assert (granted.lease is not None) is alive


def test_a_tick_of_an_idle_gate_says_nothing(gate, granted):
    assert Gate(BINDING, min_view_score=FLOOR).tick(NOW) == []
    assert granted.tick(NOW) == []


def test_the_bounds_are_those_of_the_design():
    assert Limits() == Limits(max_bytes=48 * 1024 * 1024, max_frames=64, max_age_ns=500 * MS)


def test_what_the_gate_handles_cannot_be_changed_once_made():
    for value, name in (
        (Limits(), "max_bytes"),
        (frame(), "slot"),
        (Blocked(frame(), None), "reason"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 0)
