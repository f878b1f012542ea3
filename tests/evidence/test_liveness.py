"""Liveness: a covered, frozen, looped or faked camera is told from a working one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.clock import MS, S
from edge.evaluation.day.changes import night
from edge.evidence.liveness import Liveness
from edge.frames.sentinel import Sentinel
from edge.reasons import Reason
from edge.view.look import Look
from tests.support import render

FRAME_NS = 33_333_333


@pytest.fixture(scope="module")
def room():
    """A small room: noise for hundreds of frames is drawn here."""
    return render.room(size=(160, 120))


def _see(frames, step_ns=FRAME_NS):
    sentinel, liveness = Sentinel(None), Liveness()
    return [liveness.see(sentinel.look(f), i * step_ns) for i, f in enumerate(frames)]


def _first(seen, reason) -> int | None:
    """Frames until the reason is first given."""
    return next((i for i, reasons in enumerate(seen) if reason in reasons), None)


def _scene(room, count, seed=0):
    """A person breathing and shifting before the camera, with sensor noise."""
    for i in range(count):
        sway = 0.5 + 0.02 * np.sin(i / 9) + (0.05 if i % 40 > 30 else 0)
        yield render.with_noise(render.with_person(room, x=sway), seed * 9999 + i)


def test_a_person_before_a_working_camera_is_live(room):
    assert not any(_see(_scene(room, 90)))


@pytest.mark.parametrize(
    "blank,reason",
    [
        (np.zeros((120, 160, 3), np.uint8), Reason.CAM_COVERED),
        (np.full((120, 160, 3), 70, np.uint8), Reason.CAM_COVERED),
        (np.full((120, 160, 3), 255, np.uint8), Reason.SCENE_UNINFORMATIVE),
    ],
    ids=["black", "thumb", "white-out"],
)
def test_a_lens_that_sees_nothing_is_told_within_half_a_second(room, blank, reason):
    frames = [*_scene(room, 15), *(render.with_noise(blank, i) for i in range(30))]

    seen = _see(frames)

    after = _first(seen, reason)
    assert after is not None
    assert (after - 15) * FRAME_NS <= 500 * MS


def test_a_defocused_lens_is_told_within_half_a_second(room):
    blurred = cv2.GaussianBlur(room, (0, 0), 8)
    seen = _see([*_scene(room, 15), *(render.with_noise(blurred, i, 1.0) for i in range(30))])

    after = _first(seen, Reason.SCENE_UNINFORMATIVE)
    assert after is not None
    assert (after - 15) * FRAME_NS <= 500 * MS


def test_a_blink_of_the_lens_is_not_a_cover(room):
    dark = np.zeros_like(room)
    frames = list(_scene(room, 60))
    frames[20:25] = [render.with_noise(dark, i) for i in range(5)]

    assert Reason.CAM_COVERED not in {r for reasons in _see(frames) for r in reasons}


@pytest.mark.parametrize("fps", [7, 15, 30, 60])
def test_one_picture_repeated_is_frozen_within_half_a_second(room, fps):
    step_ns = S // fps
    live, still = 2 * fps, fps
    scene = list(_scene(room, live))

    seen = _see([*scene, *[scene[-1]] * still], step_ns)

    after = _first(seen, Reason.CAM_FROZEN)
    assert after is not None
    assert (after - live + 1) * step_ns <= 500 * MS + step_ns


@pytest.mark.parametrize("repeats", [2, 3])
def test_an_encoder_that_repeats_frames_is_not_frozen(room, repeats):
    """60 frames a second made of 30 or 20: most are repeats, all is well."""
    frames = [f for f in _scene(room, 60) for _ in range(repeats)]

    assert not any(_see(frames, S // 60))


def test_a_still_that_twitches_now_and_then_is_frozen(room):
    frames = []
    for scene in _scene(room, 6):
        frames += [scene] * 11  # a new picture every 370 ms, just under the limit

    assert Reason.CAM_FROZEN in {r for reasons in _see(frames) for r in reasons}


@pytest.mark.slow
@pytest.mark.parametrize("length", [30, 90, 300])
def test_an_exact_loop_is_told_one_loop_and_a_second_after_it_began(room, length):
    scene = list(_scene(room, length))

    seen = _see([*scene, *scene[:45]])

    after = _first(seen, Reason.CAM_LOOP)
    assert after is not None
    assert length <= after <= length + 31


def test_a_scene_that_happens_to_repeat_a_picture_is_no_loop(room):
    scene = list(_scene(room, 80))
    scene[60] = scene[20]
    scene[61] = scene[25]

    assert Reason.CAM_LOOP not in {r for reasons in _see(scene) for r in reasons}


@pytest.mark.parametrize("sigma", [1.0, 2.0, 5.0, 10.0])
def test_a_still_with_noise_added_is_not_certain_within_two_seconds(room, sigma):
    still = render.with_person(room)
    seen = _see(render.with_noise(still, i, sigma) for i in range(60))

    after = _first(seen, Reason.LIVENESS_UNCERTAIN)
    assert after is not None
    assert after * FRAME_NS <= 2 * S


def _look(**changes) -> Look:
    plain = Look(1.0, 120.0, 50.0, 40.0, 2.0, 1, False)
    return plain._replace(**changes)


def test_times_that_go_back_are_odd_for_a_second():
    liveness = Liveness()
    liveness.see(_look(digest=1), 5 * S)

    assert Reason.FRAME_MALFORMED in liveness.see(_look(digest=2), 4 * S + 900 * MS)
    assert Reason.FRAME_MALFORMED in liveness.see(_look(digest=3), 5 * S + 30 * MS)
    assert liveness.see(_look(digest=4), 6 * S + 10 * MS) == ()


def test_a_repeated_time_is_odd():
    liveness = Liveness()
    liveness.see(_look(digest=1), S)

    assert Reason.FRAME_MALFORMED in liveness.see(_look(digest=2), S)


def test_a_gap_of_more_than_a_second_is_a_stall():
    liveness = Liveness()
    liveness.see(_look(digest=1), S)

    assert Reason.CAM_STALLED in liveness.see(_look(digest=2), 2 * S + 10 * MS)
    assert liveness.see(_look(digest=3), 2 * S + 40 * MS) == ()


def test_ten_malformed_frames_in_a_second_block_the_good_ones_too():
    liveness = Liveness()
    bad = _look(malformed=True)
    for i in range(9):
        assert liveness.see(bad, i * 50 * MS) == (Reason.FRAME_MALFORMED,)
    assert liveness.see(_look(digest=1), 460 * MS) == ()

    liveness.see(bad, 480 * MS)

    assert Reason.FRAME_MALFORMED in liveness.see(_look(digest=2), 500 * MS)
    assert liveness.see(_look(digest=3), 1_600 * MS)[:1] != (Reason.FRAME_MALFORMED,)


@pytest.mark.slow
def test_memory_is_bounded():
    liveness = Liveness()
    for i in range(18_000):
        liveness.see(_look(digest=i), i * 8 * MS)

    assert len(liveness._known) <= 16_384


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "webcam_single_man_study",
        "webcam_single_man_desk",
        "static_room_one_person_at_a_time",
        "static_table_bottles",
        "studio_greenscreen_woman",
        "asl_signer_walk",
        "webcam_single_man_portrait",
    ],
)
def test_honest_recordings_are_live(data_dir, name):
    sentinel, liveness = Sentinel(None), Liveness()
    camera = FileCamera(data_dir / "video" / f"{name}.mp4")

    seen = [liveness.see(sentinel.look(s.frame), s.captured_ns) for s in camera.shots()]

    camera.close()
    assert not any(seen)


def test_the_demo_clip_is_live(clip):
    sentinel, liveness = Sentinel(None), Liveness()
    camera = FileCamera(clip("single_face.mp4"))

    seen = [liveness.see(sentinel.look(s.frame), s.captured_ns) for s in camera.shots()]

    camera.close()
    assert seen
    assert not any(seen)


def test_an_infrared_night_at_ten_hertz_is_live_and_its_repeated_picture_is_frozen(room):
    frames = [night(room, i / 10) for i in range(40)]

    alive, still = (_see(shown, 100 * MS) for shown in (frames, [frames[0]] * 40))

    assert _first(alive, Reason.CAM_FROZEN) is None and _first(alive, Reason.CAM_LOOP) is None
    assert _first(still, Reason.CAM_FROZEN) <= 5
