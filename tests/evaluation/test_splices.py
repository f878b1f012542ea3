"""Splices: what a matcher receives while the enrolled place turns into another one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.audit.schema import Release
from edge.evaluation import watermark
from edge.evaluation.figures import splice_figures
from edge.evaluation.forge import PERFECT_DEVICE, still_board
from edge.evaluation.manifest import Clip, Mount, read_manifest
from edge.evaluation.report.figure import State
from edge.evaluation.splices import Scenery, Splice, scenery, splice
from edge.evaluation.transitions import FORBIDDEN, Kind, transition
from edge.evaluation.trials import decode, enrol_view, play
from edge.evidence.faces import FaceBoxes
from edge.guard.plan import Plan
from edge.guard.supervisor import Guard
from edge.policy.engine import Policy
from edge.view.bodies import Bodies
from edge.view.box import Box
from tests.support import render
from tests.support.guards import site

SMALL = (320, 240)
FACE = Box(130, 60, 190, 140, 0.9)
MATCHER = """\
import json
import sys

import edge
from edge.evaluation import watermark

seen = []
camera = edge.VideoCapture(0)
while camera.isOpened():
    ok, frame = camera.read()
    if not ok:
        break
    seen.append(watermark.read(frame))
with open(sys.argv[1], "w") as out:
    json.dump(seen, out)
"""


@pytest.mark.parametrize("number", [0, 1, 255, 4096, 65_535])
def test_a_watermark_is_read_back_even_through_a_lossy_codec(number: int) -> None:
    marked = watermark.mark(render.room(size=SMALL), number)

    _, data = cv2.imencode(".jpg", marked, [cv2.IMWRITE_JPEG_QUALITY, 40])

    assert watermark.read(marked) == number
    assert watermark.read(cv2.imdecode(data, cv2.IMREAD_COLOR)) == number


def test_a_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="65535"):
        watermark.mark(render.room(size=SMALL), 65_536)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_transition_is_of_one_shape_and_says_how_foreign_it_is(kind: Kind) -> None:
    own, other = render.room(size=SMALL), render.street(size=SMALL)

    for seed in range(5):
        rng = np.random.default_rng(seed)
        steps = transition(kind, [own], [other], (other, [FACE]), rng)

        assert all(p.shape == own.shape and p.dtype == np.uint8 for p, _ in steps)
        assert all(0.0 <= share <= 1.0 for _, share in steps)
        if kind is Kind.GLIMPSE:
            assert 1 <= sum(share == 1.0 for _, share in steps) <= 6
            assert steps[-1][1] == 0.0
        elif kind is Kind.CROSS_FADE:
            assert 5 <= sum(share < 1.0 for _, share in steps) <= 30
            assert [share for _, share in steps] == sorted(share for _, share in steps)
        elif kind is Kind.WALK_IN:
            assert 0.1 < steps[-1][1] < FORBIDDEN
        else:
            assert steps[-1][1] == 1.0
            assert np.array_equal(steps[-1][0], other)


def _clip(folder: Path, name: str, frames: Iterator[render.View]) -> Clip:
    path = render.write_clip(folder / f"{name}.avi", frames)
    return Clip(path, name, True, Mount.STATIONARY, name)


@pytest.fixture(scope="module")
def faces(face_model: Path) -> FaceBoxes:
    return FaceBoxes(face_model)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.load("strict")


def _scenery(clip: Clip, faces: FaceBoxes, policy: Policy) -> Scenery:
    footage = decode(clip, faces)
    view = enrol_view(footage, Bodies())
    assert view.fingerprint is not None, view.refusal
    trial = play(footage, view, PERFECT_DEVICE, policy, still_board(footage.last_ns))
    return scenery(footage, view.fingerprint, trial.decisions, peopled=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, faces: FaceBoxes, policy: Policy) -> Scenery:
    folder = tmp_path_factory.mktemp("splice")
    clip = _clip(folder, "room", render.lived_in(render.room(size=SMALL), 60))
    return _scenery(clip, faces, policy)


@pytest.mark.slow
@pytest.mark.parametrize("refusal", ["", "not empty"])
def test_what_a_refused_place_loses_is_rightly_lost(
    tmp_path: Path, faces: FaceBoxes, policy: Policy, refusal: str
) -> None:
    """No site would run there, and enrolment has said why; the twin is charged."""
    clip = _clip(tmp_path, "room", render.lived_in(render.room(size=SMALL), 30))
    footage, device = decode(clip, faces), replace(PERFECT_DEVICE, dwell_s=0.3, dock_id="D-0002")
    shown = replace(enrol_view(footage, Bodies()), refusal=refusal)

    lost = play(footage, shown, device, policy, still_board(footage.last_ns)).availability

    assert lost.passed_ns == 0 < lost.due_ns
    assert (lost.rightly_ns, lost.falsely_ns)[not refusal] == lost.due_ns


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        kind
        if kind in (Kind.HARD_CUT, Kind.CROSS_FADE, Kind.COVER)
        else pytest.param(kind, marks=pytest.mark.long)
        for kind in Kind
        if kind is not Kind.WALK_IN
    ],
)
def test_no_forbidden_frame_of_a_rendered_splice_is_received(
    kind: Kind, place: Scenery, faces: FaceBoxes, policy: Policy
) -> None:
    street = list(render.drive(45, size=SMALL))
    rng = np.random.default_rng(3)

    found = splice(kind, place, ("street", street), street[0], faces, policy, rng)

    bracketed, immediate = found
    assert bracketed.release is Release.BRACKETED
    assert bracketed.lively
    assert immediate.lively
    assert bracketed.forbidden == 0
    assert bracketed.received <= immediate.received


@pytest.mark.long
def test_no_forbidden_frame_of_real_splices_is_received(
    data_dir: Path, faces: FaceBoxes, policy: Policy
) -> None:
    """Two of each kind between real recordings; `framegate evaluate` tries a thousand."""
    clips = {clip.name: clip for clip in read_manifest(data_dir)}
    place = _scenery(clips["webcam_single_man_study"], faces, policy)
    person = decode(clips["webcam_single_man_desk"], faces, until_ns=100_000_000).shots[0].frame
    found: list[Splice] = []
    for seed, name in enumerate(("static_cctv_walkway", "handheld_walk_bedroom")):
        footage = decode(clips[name], faces, until_ns=1_500_000_000)
        window = [shot.frame for shot in footage.shots]
        rng = np.random.default_rng(seed)
        for kind in Kind:
            found += splice(kind, place, (name, window), person, faces, policy, rng)

    bracketed = [s for s in found if s.release is Release.BRACKETED]
    assert len(bracketed) == 14
    assert sum(s.lively for s in bracketed) >= 10
    assert [s for s in bracketed if s.forbidden] == []


def test_a_leak_is_told_by_the_figures() -> None:
    rows = [
        Splice(Kind.HARD_CUT, "a", "b", release, 40, 30, True, 2, 2, 1.0) for release in Release
    ]

    states = {figure.name: figure.state for figure in splice_figures(rows)}

    name = "forbidden frames that a matcher received"
    assert states[f"{name}, bracketed release"] is State.MISSED
    assert states[f"{name}, bracketed release, hard cut"] is State.MISSED
    assert states[f"{name}, immediate release"] is State.REPORTED


def test_the_twin_what_stays_away_holds_and_what_was_not_tried_says_so() -> None:
    rows = [
        Splice(Kind.HARD_CUT, "a", "b", Release.BRACKETED, 40, 30, True, 0, 0, 0.0) for _ in "ab"
    ]

    first, *_, immediate = splice_figures(rows)

    assert first.state is State.HELD
    assert immediate.state is State.NOT_TRIED
    assert [figure.state for figure in splice_figures([])] == [State.NOT_TRIED]


@pytest.mark.guard
def test_the_whole_guard_hands_no_forbidden_frame_to_its_matcher(
    tmp_path: Path, face_model: Path
) -> None:
    """The real processes: a glimpse and back, then a fade; numbers are read by the matcher."""
    room, other = render.room(), render.street()
    plain = [(frame, 0.0) for frame in render.lived_in(room, 75)]
    glimpse = [(render.with_noise(other, i), 1.0) for i in range(2)]
    again = [(frame, 0.0) for frame in render.lived_in(room, 45, seed=2)]
    fade = [
        (np.asarray(cv2.addWeighted(frame, 1 - i / 20, other, i / 20, 0), np.uint8), i / 20)
        for i, frame in enumerate(render.lived_in(room, 20, seed=3))
    ]
    steps = [*plain, *glimpse, *again, *fade, *glimpse]
    frames = (watermark.mark(frame, number) for number, (frame, _) in enumerate(steps))
    clip = render.write_clip(tmp_path / "spliced.avi", frames)
    kiosk = site(tmp_path / "site", clip, clip, face_model)
    script = tmp_path / "matcher.py"
    script.write_text(MATCHER)
    seen = tmp_path / "seen"
    plan = Plan(
        source=str(clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        matcher=(sys.executable, str(script), str(seen)),
        release="bracketed",
        audit=kiosk.folder / "audit",
    )

    with Guard(plan, lambda line: None) as guard:
        guard.run()

    received = json.loads(seen.read_text())
    shares = [steps[number][1] for number in received]
    assert max(shares) < FORBIDDEN
    assert sum(number < 75 for number in received) >= 5  # it flowed before the glimpse
    assert len(set(received)) == len(received)
