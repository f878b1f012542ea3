"""The judge permits in one order only, and takes everything back in another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.audit.schema import Release
from edge.clock import MS, S
from edge.decision.judge import Tell
from edge.evidence.readings import Reading, Source
from edge.lease import LIFE_NS, Lease, Revocation
from edge.reasons import Reason
from tests.support.judging import SETUP, STEP_NS, World, kinds, leases


def test_a_permit_is_recorded_then_acknowledged_then_leased() -> None:
    world = World()

    actions = world.run(2 * S)

    assert kinds(actions)[-3:] == ["Permit!", "ask", "Lease"]
    assert world.judge.outlook.permitted


def test_no_lease_before_the_record_is_durable() -> None:
    world = World()
    world.writes = False

    assert leases(world.run(3 * S)) == []


def test_no_lease_before_the_board_acknowledges_and_the_fault_is_named() -> None:
    world = World()
    world.run(500 * MS)
    world.answers = False

    actions = world.run(3 * S)

    assert leases(actions) == []


def test_leases_cover_only_frames_between_two_good_readings() -> None:
    world = World()

    for lease in leases(world.run(2 * S)):
        assert lease.from_ns >= S + S  # dwell
        assert lease.to_ns <= world.now_ns + 1
        assert lease.expires_ns - lease.to_ns <= LIFE_NS


def test_immediate_release_reaches_ahead_but_never_past_its_expiry() -> None:
    world = World(replace(SETUP, release=Release.IMMEDIATE))

    found = leases(world.run(2 * S))

    assert found
    assert all(lease.to_ns == lease.expires_ns for lease in found)


@pytest.mark.parametrize("source", [Source.SIGN_MAP, Source.LIVENESS, Source.VIEW, Source.PEOPLE])
def test_any_doubt_revokes_at_once_gate_first_then_board_then_log(source: Source) -> None:
    world = World()
    world.run(2 * S)

    world.bad[source] = Reason.VIEW_FOREIGN
    actions = world.run(STEP_NS)

    assert kinds(actions)[:3] == ["Revocation", "unask", "End"]
    assert not world.judge.outlook.permitted


def test_a_new_permit_never_reaches_back_before_the_doubt() -> None:
    world = World()
    world.run(2 * S)
    world.bad[Source.PEOPLE] = Reason.PEOPLE_CROWD
    world.run(100 * MS)
    doubt_ns = world.now_ns
    world.bad.clear()

    again = leases(world.run(3 * S))

    assert again
    assert all(lease.from_ns >= doubt_ns + S for lease in again)


def test_a_board_that_drops_its_line_ends_the_permit() -> None:
    world = World()
    world.run(2 * S)

    world.board_permits = None
    actions = world.run(STEP_NS)

    first = actions[0]
    assert isinstance(first, Tell)
    assert isinstance(first.message, Revocation)
    assert first.message.reasons == (Reason.INTERLOCK_FAULT,)
    assert not world.judge.outlook.permitted


def test_a_board_that_falls_silent_ends_the_permit() -> None:
    world = World()
    world.run(2 * S)

    world.answers = False
    world.run(300 * MS)

    assert Reason.LINK_LOST in world.judge.outlook.reasons


def test_what_comes_in_between_two_looks_at_people_is_held_even_when_release_is_immediate() -> None:
    world = World(replace(SETUP, release=Release.IMMEDIATE, interlocked=False))
    world.run(2 * S)
    before = [a.message for a in world.done if isinstance(a, Tell)][-1]
    world.lost.add(Source.PEOPLE)
    seen_ns = world.now_ns

    world.judge.observe([Reading(Source.VIEW, seen_ns)], 0xFF, unsettled_ns=seen_ns)
    held = [a.message for a in world.run(100 * MS) if isinstance(a, Tell)]
    outlook = world.judge.outlook
    world.lost.clear()
    freed = [a.message for a in world.run(100 * MS) if isinstance(a, Tell)]

    assert isinstance(before, Lease)
    assert before.to_ns > seen_ns + 100 * MS
    assert held
    assert all(isinstance(lease, Lease) and lease.to_ns == seen_ns for lease in held)
    assert outlook.permitted
    assert outlook.reasons == (Reason.PEOPLE_UNSETTLED,)
    assert isinstance(freed[-1], Lease)
    assert freed[-1].to_ns > world.now_ns
    assert world.judge.outlook.reasons == ()


def test_a_permit_that_begins_while_people_are_unsettled_covers_nothing_yet() -> None:
    world = World(replace(SETUP, release=Release.IMMEDIATE, interlocked=False))
    world.run(900 * MS)  # the dwell is a second
    world.lost.add(Source.PEOPLE)

    world.judge.observe([], unsettled_ns=world.now_ns)
    held = [a.message for a in world.run(300 * MS) if isinstance(a, Tell)]
    world.lost.clear()
    freed = [a.message for a in world.run(100 * MS) if isinstance(a, Tell)]

    assert not any(isinstance(message, Lease) for message in held)
    assert any(isinstance(message, Lease) for message in freed)


def test_a_look_at_people_from_before_settles_nothing() -> None:
    world = World(replace(SETUP, release=Release.IMMEDIATE, interlocked=False))
    world.run(2 * S)
    world.lost.add(Source.PEOPLE)
    seen_ns = world.now_ns

    world.judge.observe([], unsettled_ns=seen_ns)
    world.judge.observe([Reading(Source.PEOPLE, seen_ns - 10 * MS)])
    world.run(40 * MS)

    assert world.judge.outlook.reasons == (Reason.PEOPLE_UNSETTLED,)
