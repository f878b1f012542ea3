"""Footage nobody tuned to: recordings re-cut, mirrored, re-lit and re-encoded by a seed.

Of each view and each street a new recording is made. The street must not pass
with everything but the picture forged, and the own view must. The views are of places
without anybody at the opening: cut around a person, too little of a room may be left.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.cameras.opencv import FileCamera, Shot
from edge.clock import S
from edge.evaluation.forge import PERFECT_DEVICE, PERFECT_SESSION, still_board
from edge.evaluation.trials import SETTLE_NS
from edge.evidence.faces import FaceBoxes
from edge.policy.engine import Policy
from edge.replay.engine import Replay
from edge.report.record import Outcome
from tests.support.enrol import enrol

pytestmark = pytest.mark.slow

VIEWS = ("static_table_bottles", "static_room_one_person_at_a_time")  # whatever part is cut
STREETS = (
    "static_cctv_campus_pedestrians",
    "static_station_stairs",
    "handheld_pan_street_people",
    "dash_freeway_traffic_b",
)
SHAPES = ((4, 3), (16, 9), (9, 16))


def _recut(rng):
    """One way to cut a recording anew: a shape, a place in the picture, a side, a size."""
    across, down = SHAPES[rng.integers(len(SHAPES))]
    place, mirrored, zoom = rng.random(2), bool(rng.integers(2)), rng.uniform(0.75, 1.0)
    height = 480

    def cut(frame):
        rows, columns = frame.shape[:2]
        side = zoom * min(rows / down, columns / across)
        tall, wide = round(side * down), round(side * across)
        top, left = round(place[0] * (rows - tall)), round(place[1] * (columns - wide))
        part = frame[top : top + tall, left : left + wide]
        part = part[:, ::-1] if mirrored else part
        return cv2.resize(np.ascontiguousarray(part), (height * across // down, height))

    return cut


def _relit(rng):
    """One exposure, tone curve and compression."""
    gain, gamma, quality = rng.uniform(0.7, 1.2), rng.uniform(0.85, 1.15), int(rng.integers(40, 90))

    def light(frame):
        lit = 255 * np.clip(frame / 255 * gain, 0, 1) ** gamma
        return cv2.imdecode(cv2.imencode(".jpg", lit, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)

    return light


def _shots(data_dir, name, every=1, until_ns=3 * S):
    camera = FileCamera(data_dir / "video" / f"{name}.mp4")
    shots = []
    for number, shot in enumerate(camera.shots()):
        if shot.captured_ns > until_ns:
            break
        if number % every == 0:
            shots.append(shot)
    camera.close()
    return shots


def _passed(shots, view, faces):
    guard = Replay(PERFECT_DEVICE, PERFECT_SESSION, Policy.load("strict"), view, faces)
    decisions = guard.run(shots, still_board(shots[-1].captured_ns)).decisions
    due = [d for d in decisions if d.captured_ns >= S + SETTLE_NS]
    hits = sum(d.verdict is Outcome.PASS for d in decisions)
    return hits, sum(d.verdict is Outcome.PASS for d in due) / len(due)


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        (VIEWS[0], 1),
        pytest.param(VIEWS[0], 2, marks=pytest.mark.long),
        pytest.param(VIEWS[1], 1, marks=pytest.mark.long),
        pytest.param(VIEWS[1], 2, marks=pytest.mark.long),
    ],
)
def test_an_unseen_view_passes_and_unseen_streets_do_not(data_dir, face_model, name, seed):
    rng = np.random.default_rng([seed, VIEWS.index(name)])
    cut = _recut(rng)
    own = [Shot(cut(s.frame), s.captured_ns) for s in _shots(data_dir, name)]
    opening = [s.frame for s in own if s.captured_ns <= S][::2]
    faces = FaceBoxes(face_model)
    boxes = [faces.detect(frame) for frame in opening]
    view = enrol(opening, boxes, camera=bytes(16), enforce=False)

    light = _relit(rng)
    assert _passed([Shot(light(s.frame), s.captured_ns) for s in own], view, faces)[1] >= 0.95

    size = (view.file.width, view.file.height)
    for street in STREETS:
        cut, light = _recut(rng), _relit(rng)
        shots = _shots(data_dir, street, every=int(rng.integers(1, 3)))
        foreign = [Shot(cv2.resize(light(cut(s.frame)), size), s.captured_ns) for s in shots]
        assert _passed(foreign, view, faces)[0] == 0, street
