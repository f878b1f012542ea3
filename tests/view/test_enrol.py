"""Enrolment: which views are taken, which are refused, and with what words."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.errors import EnrolmentError
from edge.frames.sentinel import Sentinel
from edge.view import signs
from edge.view.box import Box
from edge.view.check import ViewCheck
from edge.view.enrol import MIN_BLOCKS, MIN_PAIRS, PER_BLOCK
from edge.view.silhouette import covered_blocks, silhouettes
from edge.view.view_file import Enrolment
from tests.support import render
from tests.support.enrol import enrol
from tests.support.parts import long

CAMERA = bytes(16)
NOBODY = [()] * 10
FACE = Box(290, 120, 350, 200, 0.9)


def _enrol(frames, boxes=NOBODY, **options):
    return enrol(list(frames), boxes, camera=CAMERA, **{"enforce": True, **options})


@pytest.mark.slow
def test_a_room_with_texture_is_enrolled(room):
    fingerprint = _enrol(render.still(room, 10))

    assert fingerprint.file.enrolment is Enrolment.ENFORCED
    assert fingerprint.pairs >= MIN_PAIRS
    assert (fingerprint.counts > 0).sum() >= MIN_BLOCKS
    assert fingerprint.counts.max() <= 2 * PER_BLOCK
    assert (fingerprint.file.width, fingerprint.file.height) == (640, 480)


@pytest.mark.parametrize(
    "plain",
    [
        np.full((480, 640, 3), 90, np.uint8),
        np.broadcast_to(np.linspace(0, 255, 640, dtype=np.uint8)[None, :, None], (480, 640, 3)),
        cv2.circle(np.full((480, 640, 3), 200, np.uint8), (320, 240), 60, (20, 20, 20), 4),
    ],
    ids=["a wall", "a ramp", "one ring"],
)
def test_a_plain_view_is_refused_with_its_numbers(plain):
    with pytest.raises(EnrolmentError, match=r"too plain: \d+ lasting contrasts in \d+ of 48"):
        _enrol([plain] * 10)


def test_noise_is_no_texture():
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 255, (480, 640, 3), dtype=np.uint8) for _ in range(10)]

    with pytest.raises(EnrolmentError, match=r"not steady|too plain"):
        _enrol(frames)


@pytest.mark.slow
def test_an_unsteady_view_is_refused(room):
    with pytest.raises(EnrolmentError, match=r"not steady: \d+% .* at most 30% may"):
        _enrol(render.pan(room, 10, px_per_frame=12))


def test_people_are_refused_unless_they_are_masked(room):
    frames = [render.with_person(room)] * 10
    boxes = [(FACE,)] * 10

    with pytest.raises(EnrolmentError, match="people in 10 of 10 frames"):
        _enrol(frames, boxes, mask_people=False)

    fingerprint = _enrol(frames, boxes, enforce=False)
    inside = covered_blocks(silhouettes([Box(310, 140, 330, 190, 1.0)], 640, 480, margin=0))
    centre = signs.as_blocks(fingerprint.blocks & inside & (1 << (3 * 8 + 4)))
    assert not centre.any()


@pytest.mark.slow
def test_a_person_seen_in_one_frame_is_masked_in_all(room):
    boxes = [()] * 9 + [(FACE,)]

    masked = _enrol(render.still(room, 10), boxes, enforce=False)
    whole = _enrol(render.still(room, 10), enforce=False)

    assert masked.pairs < whole.pairs


def test_a_trial_takes_a_view_that_a_site_does_not(room):
    half = room.copy()
    half[:, 330:] = 128

    with pytest.raises(EnrolmentError, match="too plain"):
        _enrol([half] * 10)
    assert _enrol([half] * 10, enforce=False).file.enrolment is Enrolment.UNENFORCED


@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_frames_are_refused(room, count):
    with pytest.raises(EnrolmentError, match=f"at least 5 frames, got {count}"):
        enrol([room] * count, [()] * count, camera=CAMERA, enforce=True)


def test_frames_of_two_sizes_are_refused(room):
    with pytest.raises(EnrolmentError, match="frame 9"):
        _enrol([room] * 9 + [room[:470]])


@pytest.mark.slow
def test_what_only_one_light_shows_is_left_out(room):
    """Enrolled under two lights, the view verifies under both and in between."""
    lamp = np.clip(room * np.linspace(0.15, 1.3, 640)[None, :, None], 0, 255).astype(np.uint8)
    day, evening = list(render.still(room, 10)), list(render.still(lamp, 10, seed=2))

    both = _enrol(day + evening, [()] * 20, enforce=False, lights=[0] * 10 + [1] * 10)
    only_day = _enrol(day, enforce=False)

    evening_frame = render.with_noise(lamp, 77)
    assert Sentinel(both).look(evening_frame).view_score >= 0.95
    assert (
        Sentinel(both).look(evening_frame).view_score
        > Sentinel(only_day).look(evening_frame).view_score
    )


def _evening(frame):
    """Half the light, from a lamp on the other side, and the tone curve of a camera at night."""
    lamp = np.clip(frame * np.linspace(0.35, 0.9, frame.shape[1])[None, :, None], 0, 255)
    return (255 * (lamp / 255) ** 0.8).astype(np.uint8)


@pytest.mark.slow
def test_lights_that_differ_are_not_unsteady_and_the_full_limits_hold(room):
    day = list(render.still(room, 10))
    evening = [_evening(frame) for frame in day]

    both = _enrol(day + evening, [()] * 20, lights=[0] * 10 + [1] * 10)

    assert both.pairs >= MIN_PAIRS
    for frame in (*day, *evening):
        assert Sentinel(both).look(frame).view_score >= 0.99


@pytest.mark.slow
def test_pairs_that_two_lights_see_differently_are_left_out_and_are_not_unsteady(room):
    """A lamp that throws a pattern on a fifth of the picture turns the signs there."""
    evening = room.copy()
    evening[:, 500:] = 255 - evening[:, 500:]
    day, late = list(render.still(room, 10)), list(render.still(evening, 10, seed=2))

    both = _enrol(day + late, [()] * 20, lights=[0] * 10 + [1] * 10)

    assert both.pairs >= MIN_PAIRS
    assert not signs.as_blocks(both.blocks).reshape(signs.ROWS, signs.COLUMNS)[:, 7].any()
    assert Sentinel(both).look(late[0]).view_score >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("enforce", [True, False])
@pytest.mark.parametrize("other", [render.room(5), *long(render.street(), render.room()[:, ::-1])])
def test_two_places_are_not_two_lights_of_one(room, other, enforce):
    """What they happen to share would be a view that both of them match."""
    frames = [*render.still(room, 10), *render.still(other, 10, seed=2)]

    with pytest.raises(EnrolmentError, match=r"\d+% of their lasting contrasts .* at most 30%"):
        _enrol(frames, [()] * 20, lights=[0] * 10 + [1] * 10, enforce=enforce)


@pytest.mark.slow
def test_each_light_must_hold_by_itself(room):
    day, pan = list(render.still(room, 10)), list(render.pan(room, 10, px_per_frame=12))

    with pytest.raises(EnrolmentError, match="not steady"):
        _enrol(day + pan, [()] * 20, lights=[0] * 10 + [1] * 10)
    with pytest.raises(EnrolmentError, match="each light needs at least 5 frames, got 2"):
        _enrol(day, NOBODY, lights=[0] * 8 + [1] * 2)
    with pytest.raises(EnrolmentError, match="lights named for 3"):
        _enrol(day, NOBODY, lights=[0] * 3)


@pytest.mark.slow
def test_one_light_named_is_no_light_named(room):
    frames = list(render.still(room, 10))

    assert _enrol(frames).digest == _enrol(frames, lights=[7] * 10).digest


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["static_table_bottles", *long("static_room_one_person_at_a_time")]
)
def test_a_real_view_under_two_lights_is_known_under_both(data_dir, name):
    camera = FileCamera(data_dir / "video" / f"{name}.mp4")
    frames = [shot.frame for _, shot in zip(range(60), camera.shots(), strict=False)]
    camera.close()
    evening = [_evening(frame) for frame in frames]
    lights = [0] * 15 + [1] * 15

    both = _enrol(frames[:15] + evening[:15], [()] * 30, enforce=False, lights=lights)
    day = _enrol(frames[:15], [()] * 15, enforce=False)

    scores = [[Sentinel(v).look(f).view_score for f in evening[15:]] for v in (both, day)]
    assert min(scores[0]) >= 0.95
    assert np.median(scores[0]) >= np.median(scores[1])
    assert min(Sentinel(both).look(f).view_score for f in frames[15:]) >= 0.95


@pytest.mark.slow
def test_enrolling_twice_gives_the_same_file(room):
    frames = list(render.still(room, 8))

    one, two = (_enrol(frames, NOBODY[:8]) for _ in range(2))

    assert one.to_bytes() == two.to_bytes()


@pytest.mark.slow
def test_a_view_that_a_person_hides_is_not_called_plain(room):
    """The same room with nobody in it can be enrolled; a wall is plain and stays so called."""
    frames = list(render.still(room, 10))
    near = Box(180, 60, 460, 400, 0.9)
    wall = [render.with_noise(np.full_like(room, 128), i) for i in range(10)]

    with pytest.raises(EnrolmentError, match=r"much hidden by people.*nobody is in the picture"):
        enrol(frames, [(near,)] * 10, camera=bytes(16), enforce=True)
    with pytest.raises(EnrolmentError, match=r"too plain.*show more of the room"):
        enrol(wall, [()] * 10, camera=bytes(16), enforce=True)
    enrol(frames, [()] * 10, camera=bytes(16), enforce=False)


@pytest.mark.slow
def test_a_view_that_could_never_open_is_refused(room):
    """All that lasts lies on one side: the check asks for three quarters of the picture."""
    half, most = room.copy(), room.copy()
    half[:, 280:] = 128
    most[240:, 280:] = 128
    for picture, opens in ((half, False), (most, True)):
        frames = [render.with_noise(picture, i) for i in range(10)]
        if not opens:
            with pytest.raises(EnrolmentError, match=r"some in 3 quarters .* in 2; .*plain: show"):
                _enrol(frames, enforce=False)
            continue
        view = _enrol(frames, enforce=False)
        assert ViewCheck(view).read(render.with_noise(picture, 11), 0, ()).reasons_open == ()
