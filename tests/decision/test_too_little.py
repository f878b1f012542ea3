"""What the sentinel says of a frame that agrees badly: foreign, or too little to tell."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.opencv import Shot
from edge.clock import MS
from edge.decision.engine import Engine, too_little
from edge.evaluation.forge import PERFECT_DEVICE, PERFECT_SESSION, still_board
from edge.evaluation.manifest import Clip, Mount
from edge.evaluation.trials import Footage
from edge.evidence.readings import Source
from edge.evidence.vision import Models, Sighting
from edge.reasons import Reason
from edge.replay.engine import Replay
from edge.report.record import Outcome
from edge.view.box import Box
from tests.support import render
from tests.support.enrol import enrol
from tests.support.judging import POLICY, SETUP, STEP_NS, World, leases
from tests.support.parts import long

FAR, NEAR = Box(300, 200, 340, 250, 0.9), Box(120, 60, 460, 400, 0.9)


class Nobody:
    def find(self, frame):
        return np.zeros((48, 64), np.uint8)

    def detect(self, frame):
        return ()


def _seen(*boxes: Box, view_open: tuple[Reason, ...] = ()) -> Sighting:
    return Sighting(0, 480, 640, True, boxes, 0, view_open, (), 0, False, (), 0.0, (), None)


@pytest.mark.parametrize(
    "view,boxes,answer",
    [
        ((), (), None),
        ((), (FAR,), None),
        ((), (NEAR,), Reason.VIEW_PARTIAL),
        ((Reason.VIEW_PARTIAL,), (), Reason.VIEW_PARTIAL),
        ((Reason.VIEW_FADED,), (FAR,), None),
        ((Reason.VIEW_FOREIGN,), (NEAR,), None),
        ((Reason.VIEW_FOREIGN, Reason.VIEW_PARTIAL), (NEAR,), None),
    ],
)
def test_too_little_is_said_only_where_a_person_or_the_view_says_so(view, boxes, answer):
    assert too_little(view, _seen(*boxes)) is answer


@pytest.mark.parametrize(
    "view_open,answer",
    [
        ((Reason.VIEW_COVERED,), Reason.VIEW_COVERED),
        ((Reason.VIEW_CHANGED,), Reason.VIEW_CHANGED),
        ((Reason.VIEW_FOREIGN, Reason.VIEW_COVERED), None),  # another place hides everything
        ((Reason.VIEW_UNSEEN,), None),
    ],
)
def test_what_hides_a_view_that_else_agrees_is_named_even_while_a_permit_goes_on(view_open, answer):
    assert too_little((), _seen(view_open=view_open)) is answer


NAMES = (Reason.VIEW_PARTIAL, Reason.VIEW_CHANGED, Reason.VIEW_COVERED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_what_the_sentinel_calls_it_changes_no_decision(seed):
    """Flickers of every length, forgiven and not: the same leases come at the same time."""
    rng = random.Random(seed)
    worlds = foreign, other = World(), World()
    bad = 0
    permitted = []
    for _ in range(600):
        bad = rng.choice((1, 5, 9, 11, 40)) if bad <= 0 and rng.random() < 0.01 else bad - 1
        for world, name in zip(worlds, (Reason.VIEW_FOREIGN, rng.choice(NAMES)), strict=True):
            world.bad = {Source.SIGN_MAP: name} if bad > 0 else {}
            world.run(STEP_NS)
        permitted.append(foreign.judge.outlook.permitted)
        assert other.judge.outlook.permitted is permitted[-1]
        assert other.judge.context.state(other.now_ns).ready_ns == (
            foreign.judge.context.state(foreign.now_ns).ready_ns
        )

    spans = [[(x.from_ns, x.to_ns, x.expires_ns) for x in leases(w.done)] for w in worlds]
    assert spans[0] == spans[1]
    assert True in permitted and False in permitted[permitted.index(True) :]


@pytest.mark.parametrize("name", [*NAMES, Reason.VIEW_FOREIGN])
def test_a_frame_below_the_score_is_never_good_and_one_above_it_is(name):
    engine = Engine(SETUP, POLICY, None, Models(Nobody()), MS)

    engine.read(_seen(view_open=(name,)))

    assert engine.sign_map(SETUP.min_view_score - 0.01)
    assert engine.sign_map(SETUP.min_view_score) == ()


SIZE = (320, 240)
ROWS, COLUMNS = SIZE[1], SIZE[0]
FOREIGN = {  # where the other place is shown: top, bottom, left, right
    "a window of half the picture": (36, 204, 48, 276),
    "the left half": (0, ROWS, 0, COLUMNS // 2),
    "the right half": (0, ROWS, COLUMNS // 2, COLUMNS),
    "the lower half": (ROWS // 2, ROWS, 0, COLUMNS),
    "a screen over a third": (20, 160, 60, 240),
}


def _street_in(place, begins):
    """The enrolled room for 45 frames at 10 Hz; from `begins` on a street drives by in a part."""
    top, bottom, left, right = place
    frames = list(render.still(render.room(size=SIZE), 45))
    for number, driven in enumerate(render.drive(45 - begins, size=SIZE), begins):
        frames[number][top:bottom, left:right] = driven[top:bottom, left:right]
    return frames


def _decisions(frames):
    empty = list(render.still(render.room(size=SIZE), 12))
    view = enrol(empty, [()] * 12, camera=bytes(16), enforce=True)
    shots = tuple(Shot(frame, number * 100 * MS) for number, frame in enumerate(frames))
    clip = Clip(Path("till"), "till", True, Mount.STATIONARY, "till")
    played = Footage(clip, shots, {id(shot.frame): () for shot in shots}, Nobody())
    guard = Replay(PERFECT_DEVICE, PERFECT_SESSION, POLICY, view, played, bodies=played)
    return guard.run(shots, still_board(played.last_ns)).decisions


@pytest.mark.slow
@pytest.mark.parametrize(
    "where,begins",
    [
        ("a window of half the picture", 20),
        *long(*((where, begins) for where in FOREIGN for begins in (0, 20))),
    ],
)
def test_a_street_in_a_part_of_the_room_is_blocked_whatever_it_is_called(
    monkeypatch, where, begins
):
    """From the first frame, and while a permit goes on; the twin without it passes."""
    frames = _street_in(FOREIGN[where], begins)

    named = _decisions(frames)
    monkeypatch.setattr("edge.decision.engine.too_little", lambda view, seen: None)
    unnamed = _decisions(frames)

    passed = [decision.verdict is Outcome.PASS for decision in named]
    assert passed == [decision.verdict is Outcome.PASS for decision in unnamed]
    assert any(passed[:begins]) is (begins > 0)
    assert not any(passed[begins:])
