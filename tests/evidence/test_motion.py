"""Visual ego-motion: a carried camera moves, a person before a fixed one does not."""

from __future__ import annotations

import csv
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.clock import MS
from edge.evidence import motion
from edge.evidence.faces import FaceBoxes
from edge.evidence.motion import EgoMotion
from edge.evidence.people import PeopleRules
from edge.evidence.readings import Source
from edge.reasons import Reason
from edge.view.box import Box
from tests.support import render
from tests.support.vision import SeeAndRead, examine

STEP_NS = 100 * MS


def _readings(frames, boxes=(), step_ns=STEP_NS):
    motion = EgoMotion()
    return [motion.read(frame, i * step_ns, boxes) for i, frame in enumerate(frames)]


def _moving(readings) -> list[bool]:
    return [Reason.CAM_MOVING in r.reasons for r in readings]


def test_a_fixed_camera_does_not_move(room):
    readings = _readings(render.still(room, 15))

    assert not any(_moving(readings))
    assert all(r.valid for r in readings[1:])
    assert max(r.step for r in readings) < 0.001


@pytest.mark.parametrize("boxes", [(), (Box(250, 100, 350, 230, 0.9),)], ids=["unseen", "seen"])
def test_a_person_walking_past_a_fixed_camera_does_not_move_it(room, boxes):
    walk = [render.with_noise(render.with_person(room, x=0.1 + 0.05 * i), i) for i in range(16)]

    assert not any(_moving(_readings(walk, boxes)))


def test_a_turning_camera_moves(room):
    readings = _readings(render.pan(room, 12, px_per_frame=8))

    assert all(_moving(readings[2:]))
    assert readings[5].step == pytest.approx(8 / 640, rel=0.2)
    assert readings[5].speed == pytest.approx(80 / 640, rel=0.2)


@pytest.mark.slow
def test_a_slowly_carried_camera_is_noticed_within_two_seconds(room):
    """One pixel of 640 a reading: too little for one step, enough over a second."""
    readings = _readings(render.pan(room, 22, px_per_frame=1.0))

    assert not any(_moving(readings[:6]))
    assert all(_moving(readings[12:]))


def test_in_a_room_at_rest_no_corner_is_followed(room, monkeypatch):
    followed = []
    monkeypatch.setattr(motion, "_follow", lambda *given: followed.append(given))

    readings = _readings([render.with_noise(room, i, 1.5) for i in range(13)])

    assert not followed
    assert all(r.valid and not r.reasons for r in readings[1:])


@pytest.mark.parametrize("px", [1.0, 1.6, 2.5, 4.0, 9.0])
def test_what_moves_is_followed(room, px):
    before, now = (
        motion._picture(render.with_noise(render.panned(room, x, x / 3), i), i, (), known=False)
        for i, x in enumerate((0.0, px))
    )

    assert motion._rest(before, now, motion.REST_STEP) is None
    assert motion._shift(before, now)[0] > motion.REST_STEP


@pytest.mark.slow
def test_a_hand_held_photograph_of_the_view_is_noticed(room):
    rng = np.random.default_rng(3)
    held = []
    for i in range(20):
        turn = cv2.getRotationMatrix2D((320, 240), rng.normal(0, 0.7), 1.06)
        turn[:, 2] += rng.normal(0, 6, 2)
        held.append(render.with_noise(cv2.warpAffine(room, turn, (640, 480)), i))

    assert np.mean(_moving(_readings(held)[1:])) > 0.6


@pytest.mark.parametrize(("known", "moves"), [(True, False), (False, True)])
def test_whoever_fills_the_picture_moves_no_camera_that_shows_its_view(room, known, moves):
    """All that can be followed goes 32 px as one; the check of the view alone can tell."""
    coat = render.room(7)
    frames = [room.copy() for _ in range(6)]
    for i, frame in enumerate(frames):
        frame[20:460, 20:620] = np.roll(coat, 32 * i, axis=1)[20:460, 20:620]
    motion = EgoMotion()

    readings = [
        motion.read(render.with_noise(frame, i), i * STEP_NS, (), known=known)
        for i, frame in enumerate(frames)
    ]

    assert readings[2].valid
    assert any(_moving(readings)) is moves


def test_a_camera_that_shakes_moves_though_it_shows_its_view(room):
    """A photograph of the view in a hand: it stays near enough to be taken for the view."""
    shaking = [np.roll(room, 6 * (-1) ** i, axis=1) for i in range(10)]
    motion = EgoMotion()

    readings = [
        motion.read(render.with_noise(frame, i), i * STEP_NS, (), known=True)
        for i, frame in enumerate(shaking)
    ]

    assert all(_moving(readings)[2:])


def _trembling(view, count, px, seed=0):
    """A camera held as still as a hand can: it wanders about, and goes nowhere."""
    rng = np.random.default_rng(seed)
    place = np.zeros(2)
    for i in range(count):
        place = 0.6 * place + rng.normal(0, px, 2)
        yield render.with_noise(render.panned(view, *place), i)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hand_that_holds_the_camera_still_is_noticed_within_a_second(room, seed):
    readings = _readings(_trembling(room, 30, px=1.2, seed=seed))

    assert all(_moving(readings)[11:])
    assert max(r.step for r in readings) < 3 * 0.008  # no single step would have told


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [2.0, 8.0, 20.0])
def test_noise_is_no_trembling_hand(room, sigma):
    frames = [render.with_noise(room, i, sigma) for i in range(25)]

    assert not any(_moving(_readings(frames)))


@pytest.mark.slow
def test_a_shelf_that_shakes_less_than_a_hand_is_fixed(room):
    assert not any(_moving(_readings(_trembling(room, 25, px=0.2))))


@pytest.mark.slow
def test_a_camera_on_the_road_moves():
    assert np.mean(_moving(_readings(render.drive(16, m_per_frame=1.5))[11:])) > 0.5


def test_one_sudden_change_of_the_scene_is_no_movement_of_the_camera(room):
    """Somebody rearranges the shelf; the next readings find it at rest again."""
    moved = room.copy()
    moved[60:420, 20:560] = np.roll(room[60:420, 20:560], 9, axis=1)
    frames = [*render.still(room, 6), *render.still(moved, 5, seed=4)]

    assert not any(_moving(_readings(frames)[:7]))


def test_a_plain_wall_says_nothing():
    readings = _readings([np.full((480, 640, 3), 128, np.uint8)] * 5)

    assert not any(r.valid for r in readings)
    assert not any(_moving(readings))


def test_the_first_reading_and_a_new_size_say_nothing(room):
    motion = EgoMotion()

    first = motion.read(room, 0, ())
    other = motion.read(render.room(size=(640, 360)), STEP_NS, ())

    assert not first.valid
    assert not other.valid


def test_times_that_go_back_say_nothing(room):
    motion = EgoMotion()
    motion.read(room, STEP_NS, ())

    assert not motion.read(render.panned(room, 30), STEP_NS, ()).valid


def _clip_readings(path, seconds=6.0):
    camera, motion, readings, last = FileCamera(path), EgoMotion(), [], -(10**9)
    for shot in camera.shots():
        if shot.captured_ns > seconds * 1e9:
            break
        if shot.captured_ns - last >= 90 * MS:
            readings.append(motion.read(shot.frame, shot.captured_ns, ()))
            last = shot.captured_ns
    camera.close()
    return readings


@pytest.mark.slow
@pytest.mark.parametrize(
    "name,least,most",
    [
        ("webcam_single_man_study", 0.0, 0.0),
        ("webcam_single_man_desk", 0.0, 0.02),
        ("static_room_one_person_at_a_time", 0.0, 0.02),
        ("static_cctv_campus_pedestrians", 0.0, 0.0),
        ("handheld_gopro_max_walk_path", 0.8, 1.0),
        ("handheld_shaky_city_sculpture", 0.9, 1.0),
        ("handheld_pan_street_people", 0.8, 1.0),  # held still for four seconds, then turned
        ("handheld_walk_bedroom", 0.8, 1.0),
        ("dash_phone_city_gyro", 0.9, 1.0),
    ],
)
def test_real_cameras_move_or_stay(data_dir, name, least, most):
    moving = _moving(_clip_readings(data_dir / "video" / f"{name}.mp4")[1:])

    assert least <= np.mean(moving) <= most


def test_the_picture_turns_when_the_real_gyro_says_so(data_dir):
    """A phone on a dashboard: where its gyro turns most, the picture moves most."""
    readings = _clip_readings(data_dir / "video" / "dash_phone_city_gyro.mp4")[1:]
    with (data_dir / "telemetry" / "dash_phone_city_gyro_gyro.csv").open() as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    axes = [k for k in rows[0] if k.startswith("gyro_")]
    turn = [
        np.mean(
            [
                np.hypot.reduce([row[a] for a in axes])
                for row in rows
                if r.captured_ns - STEP_NS <= row["t_s"] * 1e9 <= r.captured_ns
            ]
        )
        for r in readings
    ]

    assert np.corrcoef(turn, [r.speed for r in readings])[0, 1] > 0.5


def test_a_board_that_says_still_is_contradicted_wherever_the_real_gyro_turned(data_dir):
    """The gyro of the same phone is the truth; the board claims to be at rest all the time."""
    nobody = PeopleRules(max=1, min_height=0.1)
    vision = SeeAndRead(None, _Nobody(), nobody)
    camera = FileCamera(data_dir / "video" / "dash_phone_city_gyro.mp4")
    with (data_dir / "telemetry" / "dash_phone_city_gyro_gyro.csv").open() as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    axes = [k for k in rows[0] if k.startswith("gyro_")]
    turns, last_ns = [], -(10**9)
    for shot in camera.shots():
        if shot.captured_ns - last_ns < 90 * MS:
            continue
        result = examine(vision, shot.frame, shot.captured_ns, opening=True, still=True)
        window = [r for r in rows if last_ns <= r["t_s"] * 1e9 <= shot.captured_ns]
        turn = np.mean([np.hypot.reduce([r[a] for a in axes]) for r in window])
        last_ns = shot.captured_ns
        motion = next(r for r in result.readings if r.source is Source.EGO_MOTION)
        turns.append((turn, Reason.SENSOR_VISION_DISAGREE in motion.reasons))
    camera.close()
    moving = [disagrees for turn, disagrees in turns[2:] if turn > 0.03]

    assert len(moving) >= 10
    assert np.mean(moving) >= 0.9
    assert any(disagrees for _, disagrees in turns[:11])  # within a second of the first frame


class _Nobody:
    def detect(self, frame):
        return ()


def test_one_corner_at_the_border_of_cells_counts_once():
    """Small squares where cells meet; twin: as many in the middle of cells."""
    counts = []
    for first in (40, 20):
        picture = np.full((240, 320, 3), 128, np.uint8)
        for y in range(first, 220, 40):
            for x in range(first, 300, 40):
                picture[y - 2 : y + 2, x - 2 : x + 2] = 30
        readings = _readings([render.with_noise(picture, i, 0.5) for i in range(3)])
        counts.append([r.cells for r in readings[1:]])

    assert max(counts[0]) <= 35  # 7 x 5 squares; each lies in four cells
    assert min(counts[1]) >= 33


@pytest.mark.slow
@pytest.mark.parametrize("how", [("-crf", "23"), ("-crf", "28"), ("-b:v", "200k")])
def test_another_compression_does_not_make_a_camera_move(clip, face_model, tmp_path, how):
    """A face that fills the picture leaves little to follow; a carried camera still moves."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg to compress with")
    disagrees = {}
    for name in ("single_face.mp4", "bikes.mp4"):
        out = tmp_path / name
        command = ["ffmpeg", "-loglevel", "error", "-i", str(clip(name)), "-t", "3", "-an"]
        subprocess.run([*command, "-c:v", "libx264", *how, str(out)], check=True)
        vision = SeeAndRead(None, FaceBoxes(face_model), PeopleRules())
        camera = FileCamera(out)
        shots = [s for i, s in enumerate(camera.shots()) if i % 3 == 0]
        camera.close()
        disagrees[name] = [
            Reason.CAM_MOVING in reading.reasons
            for s in shots
            for reading in examine(
                vision, s.frame, s.captured_ns, opening=True, still=True
            ).readings
            if reading.source is Source.EGO_MOTION
        ]

    assert not any(disagrees["single_face.mp4"])
    assert sum(disagrees["bikes.mp4"]) > len(disagrees["bikes.mp4"]) / 3
