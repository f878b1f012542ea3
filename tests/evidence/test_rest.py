"""A picture that decides nothing is read seldom; it decides again at once when it may."""

from __future__ import annotations

import numpy as np
import pytest

from edge.clock import MS, S
from edge.decision.engine import Engine
from edge.evidence.board_link import BoardStatus, Fault, Link
from edge.evidence.context import (
    IN_EVERY_FRAME,
    INTEGRITY_ONLY,
    PICTURED,
    REQUIRED,
    REST_NS,
    RESTED_NS,
    STANDING_NS,
    WAKE_NS,
    Context,
)
from edge.evidence.readings import BoardSample, Reading, Source
from edge.evidence.vision import Models
from edge.reasons import Reason
from tests.support.judging import POLICY, SETUP, World

DWELL_NS = 1 * S
STEP_NS = 100 * MS
STATIC = (Source.COMMISSIONING, Source.CAMERA, Source.SESSION)
RESTED = (Source.VIEW, Source.PEOPLE)


def _play(context, from_ns, to_ns, *, docked, unread=()):
    """Readings of every source but the `unread` ones, every 100 ms."""
    for t in range(from_ns, to_ns + 1, STEP_NS):
        for source in REQUIRED:
            if source in unread or (source in STATIC and t):
                continue
            bad = source is Source.DOCK and not docked
            context.observe(Reading(source, t, (Reason.NOT_DOCKED,) if bad else ()))
        state = context.state(t)
    return state


def test_what_blocks_without_the_picture_is_all_that_is_said_while_it_is_rested():
    context = Context(DWELL_NS)
    _play(context, 0, STANDING_NS, docked=False)

    state = _play(context, STANDING_NS, STANDING_NS + REST_NS, docked=False, unread=RESTED)

    assert context.resting
    assert state.reasons == (Reason.NOT_DOCKED,)


def test_a_cause_that_is_new_rests_nothing():
    context = Context(DWELL_NS)
    _play(context, 0, STANDING_NS // 2, docked=False)

    later_ns = STANDING_NS - STEP_NS
    state = _play(context, STANDING_NS // 2, later_ns, docked=False, unread=RESTED)

    assert not context.resting
    assert {Reason.VIEW_SILENT, Reason.PEOPLE_SILENT} < set(state.reasons)


@pytest.mark.parametrize("source", sorted(PICTURED, key=lambda source: source.value))
def test_a_bad_picture_is_no_cause_to_look_away(source):
    context = Context(DWELL_NS)

    for t in range(0, 2 * STANDING_NS, STEP_NS):
        _play(context, t, t, docked=True, unread=(source,))
        context.observe(Reading(source, t, (Reason.VIEW_FOREIGN,)))
        context.state(t)

    assert not context.resting


def test_a_rest_is_over_with_its_cause_and_an_old_reading_opens_nothing():
    context = Context(DWELL_NS)
    _play(context, 0, STANDING_NS, docked=False)
    back_ns = STANDING_NS + REST_NS
    _play(context, STANDING_NS, back_ns - STEP_NS, docked=False, unread=RESTED)

    back = _play(context, back_ns, back_ns, docked=True, unread=RESTED)

    assert not context.resting
    assert not back.controlled
    assert set(back.reasons) == {Reason.VIEW_SILENT, Reason.PEOPLE_SILENT}


def test_after_a_rest_one_reading_and_the_whole_dwell_open_again():
    context = Context(DWELL_NS)
    _play(context, 0, STANDING_NS, docked=False)
    back_ns = STANDING_NS + REST_NS
    _play(context, STANDING_NS, back_ns - STEP_NS, docked=False, unread=RESTED)

    soon = _play(context, back_ns, back_ns + DWELL_NS - STEP_NS, docked=True)
    then = _play(context, back_ns + DWELL_NS, back_ns + DWELL_NS, docked=True)

    assert soon.controlled and back_ns + DWELL_NS == soon.ready_ns
    assert then.controlled and then.ready_ns <= back_ns + DWELL_NS


def test_few_frames_are_no_camera_that_stands_still_while_the_picture_is_rested():
    context = Context(DWELL_NS)
    _play(context, 0, STANDING_NS, docked=False)

    few = _play(context, STANDING_NS, STANDING_NS + 1 * S, docked=False, unread=PICTURED)
    none = _play(context, STANDING_NS, STANDING_NS + 4 * S, docked=False, unread=PICTURED)

    assert few.reasons == (Reason.NOT_DOCKED,)
    assert Reason.CAM_STALLED in none.reasons


def test_after_a_rest_the_next_frame_is_waited_for_but_nothing_is_permitted_meanwhile():
    context = Context(DWELL_NS)
    _play(context, 0, STANDING_NS, docked=False)
    back_ns = STANDING_NS + 1 * S
    _play(context, STANDING_NS, back_ns - STEP_NS, docked=False, unread=IN_EVERY_FRAME)

    back = _play(context, back_ns, back_ns, docked=True, unread=IN_EVERY_FRAME)
    until = context.lasts_ns(back_ns)
    late = _play(context, back_ns, back_ns + WAKE_NS, docked=True, unread=IN_EVERY_FRAME)

    assert back.reasons == ()
    assert back.ready_ns >= back_ns + DWELL_NS > back_ns + WAKE_NS
    assert until < back_ns + WAKE_NS
    assert late.reasons == (Reason.CAM_STALLED,)


def test_news_of_the_past_saves_nothing_of_the_dwell_after_a_rest():
    """A session counts however old its reading is, and no frame has been read since the rest."""
    context = Context(DWELL_NS, INTEGRITY_ONLY)
    context.observe(Reading(Source.CAMERA, 0, ()))
    context.observe(Reading(Source.SESSION, 0, (Reason.SESSION_MISSING,)))
    back_ns = STANDING_NS + DWELL_NS + 5 * STEP_NS
    for t in range(0, back_ns + 1, STEP_NS):
        context.observe(Reading(Source.INTEGRITY, t, ()))
        if t <= STANDING_NS:
            context.observe(Reading(Source.LIVENESS, t, ()))
        context.state(t)
    assert context.resting

    context.observe(Reading(Source.SESSION, STANDING_NS, ()))
    back = context.state(back_ns)

    assert back.controlled
    assert back.ready_ns >= back_ns + DWELL_NS


def test_a_picture_that_stops_is_told_even_while_it_is_rested():
    context = Context(DWELL_NS)
    told_ns = RESTED_NS[Source.VIEW] + S
    _play(context, 0, STANDING_NS, docked=False)

    state = _play(context, STANDING_NS, STANDING_NS + told_ns, docked=False, unread=RESTED)

    assert Reason.VIEW_SILENT in state.reasons


class _Faces:
    def __init__(self) -> None:
        self.looks = 0

    def detect(self, frame):
        self.looks += 1
        return ()


def _looks(docked_at_ns: int, until_ns: int) -> tuple[list[int], list[int]]:
    """When faces were looked for and when evidence came, on a dock from `docked_at_ns` on."""
    faces = _Faces()
    engine = Engine(SETUP, POLICY, None, Models(faces), 0)
    world = World()  # for its sensors
    noise = np.random.default_rng(1)  # a picture that changes: a still one is looked at less
    looked, came = [], []
    for t in range(0, until_ns, STEP_NS):
        here = t >= docked_at_ns
        gyro, accel = world.imu(t)
        name = "D-0017" if here else None
        engine.board(BoardSample(t, here, name, tampered=False, gyro_rad_s=gyro, accel_m_s2=accel))
        engine.judge.board_status = BoardStatus(t, Link.UP, False, 0, Fault.NONE)
        before = faces.looks
        picture = noise.integers(0, 255, (120, 160, 3), np.uint8)
        if engine.examine(picture, t).readings:
            came.append(t)
        if faces.looks > before:
            looked.append(t)
        engine.judge.step(t)
    return looked, came


@pytest.mark.slow
def test_on_another_dock_a_picture_is_read_every_ten_seconds():
    looked, came = _looks(docked_at_ns=90 * S, until_ns=60 * S)
    at_rest = [t for t in came if t > STANDING_NS + REST_NS]

    assert 0 < len(at_rest) <= 40 * S // REST_NS + 1
    assert len([t for t in looked if t < STANDING_NS]) >= 40, "until then as often as ever"


@pytest.mark.slow
def test_back_on_its_dock_the_next_frame_is_read():
    back_ns = STANDING_NS + REST_NS + 4 * S  # between two readings at rest

    looked, _ = _looks(docked_at_ns=back_ns, until_ns=back_ns + S)

    assert (
        back_ns
        <= min(t for t in looked if t > STANDING_NS + REST_NS + 2 * S)
        <= back_ns + 2 * STEP_NS
    )


@pytest.mark.parametrize("consent", ["none", "withdrawn"])
def test_a_policy_that_denies_whatever_the_picture_shows_lets_it_rest_until_facts_change(consent):
    world = World()
    world.judge.ruling.people({"consent": consent})
    world.run(STANDING_NS - S)
    assert not world.judge.resting
    world.run(2 * S)
    assert world.judge.resting
    assert Reason.POLICY_DENY in world.judge.outlook.reasons

    world.judge.ruling.people({"consent": "valid"})
    world.run(DWELL_NS // 2)
    assert not world.judge.resting
    assert not world.judge.outlook.permitted
    world.run(2 * DWELL_NS)

    assert world.judge.outlook.permitted


class _Only:
    """Denies one of the two settings, and allows the other."""

    def __init__(self, denied):
        self._denied = denied

    def decide(self, facts):
        consent = {"consent": "none"} if facts["setting"] == self._denied else {}
        return POLICY.decide({**facts, "setting": "controlled", **consent})


@pytest.mark.parametrize("denied", ["uncontrolled", "controlled"])
def test_a_policy_that_denies_for_what_the_picture_shows_lets_nothing_rest(denied):
    world = World(policy=_Only(denied))
    world.bad = {Source.VIEW: Reason.VIEW_FOREIGN} if denied == "uncontrolled" else {}

    world.run(STANDING_NS + 2 * S)

    assert Reason.POLICY_DENY in world.judge.outlook.reasons
    assert not world.judge.resting
