"""A day before a fixed camera: each change is what it says, and the place stays known."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.audit.schema import Context
from edge.cameras.opencv import Shot
from edge.clock import MS, S
from edge.evaluation.availability import Availability, account
from edge.evaluation.day.changes import CHANGES, sagging
from edge.evaluation.day.play import (
    BEGINS_NS,
    HIDES,
    LEAST_NS,
    Lived,
    changed,
    day,
    hidden_anyway,
    lived,
)
from edge.evaluation.manifest import Clip, Mount
from edge.evaluation.own_figures import day_figures
from edge.evaluation.trials import Footage, View, decode, enrol_view
from edge.evidence.faces import FaceBoxes
from edge.evidence.liveness import Liveness
from edge.frames.sentinel import Sentinel
from edge.policy.engine import Policy
from edge.reasons import Reason
from edge.report.record import FrameDecision, Outcome
from edge.view.bodies import Bodies
from edge.view.check import ViewCheck
from tests.support import render
from tests.support.enrol import enrol
from tests.support.parts import long

BY_NAME = {change.name: change for change in CHANGES}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_change_alters_the_picture_and_nothing_else_of_it(room, name):
    change, frame = BY_NAME[name], room.copy()
    after = [change.apply(frame, seconds) for seconds in (0.5, 2.5)]

    assert np.array_equal(frame, room), "the frame that was given is left alone"
    assert all(one.shape == room.shape and one.dtype == np.uint8 for one in after)
    altered = any(not np.array_equal(one, room) for one in after)
    assert altered is (name != "nothing changes")
    assert np.array_equal(change.apply(frame, 2.5), after[1]), "the same moment looks the same"


@pytest.mark.slow
def test_a_mount_that_sags_is_known_for_a_few_pixels_and_not_for_many(room):
    view = enrol(list(render.still(room, 12)), [()] * 12, camera=bytes(16), enforce=True)
    for pixels, known in ((1, True), (4, True), (40, False)):
        reading = ViewCheck(view).read(sagging(pixels)(room, 3.0), S, ())
        assert (reading.reasons_open == ()) is known, pixels


def _blocked(seconds: float, *reasons: Reason) -> Lived:
    """Ten seconds, of which so many are blocked."""
    decisions = [
        FrameDecision(
            number,
            number * 100 * MS,
            Outcome.BLOCK if number < seconds * 10 else Outcome.PASS,
            Context.CONTROLLED,
            reasons if number < seconds * 10 else (),
        )
        for number in range(100)
    ]
    change = BY_NAME["lamp off and on"]
    return Lived("till", change.name, change.causes, account(decisions, 0))


def test_a_change_may_cost_a_cause_that_names_it_and_no_other():
    (clear,) = day_figures([_blocked(2, Reason.VIEW_FADED)])
    (wrong,) = day_figures([_blocked(2, Reason.VIEW_FOREIGN)])
    (little,) = day_figures([_blocked(0.1, Reason.VIEW_FOREIGN)])
    (both,) = day_figures([_blocked(2, Reason.PEOPLE_UNSETTLED, Reason.VIEW_FADED)])

    assert (clear.value, clear.holds) == (80.0, True)
    assert (wrong.value, wrong.holds) == (80.0, False)
    assert both.holds, "the cause was said, beside another"
    assert (little.value, little.holds) == (99.0, True)
    assert clear.note == "1 place; lost to VIEW_FADED 2.0 s"
    assert clear.target == ">= 99 or VIEW_FADED or VIEW_DIMMED"


def test_what_a_day_found_can_leave_its_process(monkeypatch):
    """`evaluate` plays each place in a process of its own; a change has functions, which stay."""
    monkeypatch.setattr("edge.evaluation.day.play.lived", lambda *_: Availability(1, 1, ()))
    monkeypatch.setattr("edge.evaluation.day.play.hidden_anyway", lambda *_: {})
    clip = Clip(Path("till"), "till", True, Mount.STATIONARY, "till")
    footage = Footage(clip, (Shot(render.room(), LEAST_NS),), {}, Bodies(both=False))

    found = day(footage, View(clip, None, "", ()), Bodies(), Policy.load("strict"))

    assert pickle.loads(pickle.dumps(found)) == found
    assert [one.change for one in found] == list(BY_NAME)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    "name", [n for n in BY_NAME if n not in ("lamp off and on", "night, infrared")]
)
def test_a_real_room_stays_known_or_names_the_change(data_dir, face_model, name):
    """Lamp and night cost this room more, while somebody is there whom no model finds."""
    path = data_dir / "video" / "static_room_one_person_at_a_time.mp4"
    clip = Clip(path, path.stem, True, Mount.STATIONARY, path.stem)
    footage = decode(clip, FaceBoxes(face_model), until_ns=20 * S)
    bodies, change = Bodies(), BY_NAME[name]
    found = lived(change, footage, enrol_view(footage, bodies), bodies, Policy.load("strict"))

    (figure,) = day_figures([Lived(clip.name, name, change.causes, found)])

    assert figure.holds, figure
    assert found.passed_ns > 0


class Nobody:
    def find(self, frame):
        return np.zeros((48, 64), np.uint8)


def _played(frames: list[np.ndarray]) -> Footage:
    shots = tuple(Shot(frame, i * 100 * MS) for i, frame in enumerate(frames))
    clip = Clip(Path("till"), "till", True, Mount.STATIONARY, "till")
    return Footage(clip, shots, {id(shot.frame): () for shot in shots}, Nobody())


@pytest.mark.slow
@pytest.mark.parametrize("coded", [True, *long(False)])
def test_a_night_is_coded_as_a_video_is_and_its_noise_is_no_still_with_noise(room, coded):
    """Noise that no encoder has touched is as even as that of a still with noise added."""
    night = replace(BY_NAME["night, infrared"], coded=coded)
    by_day = _played([render.with_noise(room, i) for i in range(90)])
    played = changed(by_day, night)
    sentinel, liveness = Sentinel(None), Liveness()
    found = [
        liveness.see(sentinel.look(shot.frame), shot.captured_ns)
        for shot in played.shots
        if shot.captured_ns >= BEGINS_NS
    ]

    assert BY_NAME["night, infrared"].coded
    assert [s.captured_ns for s in played.shots] == [s.captured_ns for s in by_day.shots]
    assert np.array_equal(played.shots[49].frame, by_day.shots[49].frame)
    assert played.detect(played.shots[-1].frame) == ()
    assert any(Reason.LIVENESS_UNCERTAIN in reasons for reasons in found) is not coded


@pytest.mark.slow
def test_what_hides_the_view_in_the_recording_itself_is_told_by_second(room):
    """Shelves are put there in the third second; the twin has none."""
    view = enrol(list(render.still(room, 12)), [()] * 12, camera=bytes(16), enforce=True)
    plain = list(render.still(room, 40))
    put = [
        BY_NAME["furniture is moved"].apply(f, 5.0) if i >= 20 else f for i, f in enumerate(plain)
    ]

    own, twin = (
        hidden_anyway(_played(frames), View(_played(frames).clip, view, "", ()))
        for frames in (put, plain)
    )

    assert own == {0: frozenset(), 1: frozenset(), 2: HIDES - {Reason.VIEW_CHANGED}, 3: own[2]}
    assert set(twin.values()) == {frozenset()}


def test_a_change_is_not_charged_with_what_the_recording_hides_itself():
    change, codes = BY_NAME["camera starts again, other exposure"], []
    for true_at in ({}, dict.fromkeys(range(10), HIDES)):
        decisions = [
            FrameDecision(
                i, i * 100 * MS, Outcome.BLOCK, Context.CONTROLLED,
                (Reason.CAM_STALLED if i < 30 else Reason.VIEW_COVERED,),
            )
            for i in range(100)
        ]  # fmt: skip
        found = account(decisions, 0, true_at=true_at)
        (figure,) = day_figures([Lived("till", change.name, change.causes, found)])
        codes.append((figure.holds, "the recording's own" in figure.note))

    assert codes == [(False, False), (True, True)]
