"""What the judge writes at the end of a permit, and what a doubt costs."""

from __future__ import annotations

import pytest

from edge.audit.schema import End
from edge.clock import MS, S
from edge.decision.judge import Write
from edge.evidence.readings import Source
from edge.frames.messages import Ended
from edge.reasons import Reason
from tests.support.judging import STAMP, STEP_NS, World, ends, kinds, leases


def test_the_end_of_a_permit_tells_what_was_released() -> None:
    world = World()
    world.run(2 * S)

    world.bad[Source.VIEW] = Reason.VIEW_FOREIGN
    ends = [a.entry(STAMP) for a in world.run(S) if isinstance(a, Write)]

    end = next(entry for entry in ends if isinstance(entry, End))
    assert end.released == 3
    assert Reason.VIEW_FOREIGN in end.reasons


@pytest.mark.parametrize("reason", [Reason.TIME_GAP, Reason.AUDIT_UNAVAILABLE])
def test_a_doubt_about_the_guard_itself_costs_the_dwell(reason: Reason) -> None:
    world = World()
    world.run(2 * S)

    world.silent = (reason,)
    world.run(STEP_NS)
    world.silent = ()
    soon = leases(world.run(900 * MS))
    later = leases(world.run(S))

    assert soon == []
    assert later


@pytest.mark.parametrize(
    "reason", [Reason.TIME_GAP, Reason.FRAME_MALFORMED, Reason.LEASE_MALFORMED, Reason.FRAME_STALE]
)
def test_a_lease_that_the_gate_gave_up_costs_the_dwell_and_no_more(reason: Reason) -> None:
    world = World()
    world.run(2 * S)
    given_up_ns = world.now_ns

    world.judge.ended(Ended(2, 0, -1, reason, False, final=False))
    soon = leases(world.run(900 * MS))
    later = leases(world.run(S))

    assert soon == []
    assert later
    assert all(lease.from_ns > given_up_ns for lease in later)


def test_a_foreign_view_that_the_gate_saw_is_left_to_the_sign_map() -> None:
    world = World()
    world.run(2 * S)

    world.judge.ended(Ended(2, 0, -1, Reason.VIEW_FOREIGN, False, final=False))

    assert leases(world.run(100 * MS))


def test_stopping_in_good_order_takes_the_permit_back() -> None:
    world = World()
    world.run(2 * S)

    actions = world.stop()

    assert kinds(actions) == ["Revocation", "unask", "End"]
    assert world.judge.released == 3


def test_a_gate_that_does_not_say_what_it_released_leaves_it_unknown() -> None:
    world = World()
    world.run(2 * S)

    world.judge.stop(world.now_ns)
    early = world.judge.stop(world.now_ns + 299 * MS)
    late = world.judge.stop(world.now_ns + 300 * MS)

    assert early == []
    assert [(end.epoch, end.released) for end in ends(late)] == [(2, None)]
    assert world.judge.released is None


def test_a_permit_that_never_became_a_lease_released_nothing_whatever_the_gate_says() -> None:
    world = World()
    world.gate_answers = False
    world.refuse_permits = True
    world.run(1100 * MS)

    found = ends(world.stop())

    assert [end.released for end in found] == [0]


def test_the_report_of_a_lapse_is_not_the_last_word_on_an_epoch() -> None:
    world = World()
    epoch = leases(world.run(2 * S))[-1].epoch
    world.judge.ended(Ended(epoch, 0, -1, None, False, final=False))
    assert leases(world.run(S))[-1].epoch == epoch
    world.released = 33

    world.bad[Source.PEOPLE] = Reason.PEOPLE_CROWD
    world.gate_answers = False
    early = world.run(STEP_NS)
    world.answer()
    found = ends(world.run(STEP_NS))

    assert ends(early) == []
    assert [(end.epoch, end.released) for end in found] == [(epoch, 33)]


def test_a_cause_that_changes_before_the_gate_reports_does_not_change_whose_end_it_is() -> None:
    world = World()
    epoch = leases(world.run(2 * S))[-1].epoch

    world.gate_answers = False
    world.bad[Source.PEOPLE] = Reason.PEOPLE_CROWD
    world.run(STEP_NS)
    world.bad[Source.VIEW] = Reason.VIEW_FOREIGN
    messages = world.run(STEP_NS)
    world.answer()
    actions = world.run(STEP_NS)

    assert kinds(messages) == []
    assert [(end.epoch, end.released) for end in ends(actions)] == [(epoch, 3)]
    assert kinds(actions)[:2] == ["End", "Revocation"]  # then the gate hears the new cause


@pytest.mark.parametrize(("late_ms", "missed"), [(199, False), (200, True), (240, True)])
def test_a_lease_that_ran_out_is_not_renewed_but_ends_its_permit(
    late_ms: int, missed: bool
) -> None:
    world = World()
    epoch = leases(world.run(2 * S))[-1].epoch

    world.now_ns += late_ms * MS
    world.step()
    found = world.run(100 * MS)

    later = {lease.epoch for lease in leases(found)}
    assert later == ({epoch + 1} if missed else {epoch})
    messages = [end.reasons for end in ends(world.done)]
    assert messages == ([(Reason.DEADLINE_MISSED,)] if missed else [])
