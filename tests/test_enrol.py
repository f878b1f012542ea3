"""Enrolment: which views are taken, which are refused, and with what words."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.decision.enrol import MIN_BLOCKS, MIN_PAIRS, PER_BLOCK, enrol
from edge.decision.evidence import Box
from edge.decision.fingerprint import Enrolment
from edge.decision.silhouette import covered_blocks, silhouettes
from edge.errors import EnrolmentError
from edge.frames import signs
from edge.frames.sentinel import Sentinel
from tests import render

CAMERA = bytes(16)
NOBODY = [()] * 10
FACE = Box(290, 120, 350, 200, 0.9)


def _enrol(frames, boxes=NOBODY, **options):
    return enrol(list(frames), boxes, camera=CAMERA, **{"enforce": True, **options})


def test_a_room_with_texture_is_enrolled(room):
    fingerprint = _enrol(render.still(room, 10))

    assert fingerprint.enrolment is Enrolment.ENFORCED
    assert fingerprint.pairs >= MIN_PAIRS
    assert (fingerprint.counts > 0).sum() >= MIN_BLOCKS
    assert fingerprint.counts.max() <= 2 * PER_BLOCK
    assert (fingerprint.width, fingerprint.height) == (640, 480)


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
    assert _enrol([half] * 10, enforce=False).enrolment is Enrolment.UNENFORCED


@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_frames_are_refused(room, count):
    with pytest.raises(EnrolmentError, match=f"at least 5 frames, got {count}"):
        enrol([room] * count, [()] * count, camera=CAMERA, enforce=True)


def test_frames_of_two_sizes_are_refused(room):
    with pytest.raises(EnrolmentError, match="frame 9"):
        _enrol([room] * 9 + [room[:470]])


def test_what_only_one_light_shows_is_left_out(room):
    """Enrolled under two lights, the view verifies under both and in between."""
    lamp = np.clip(room * np.linspace(0.15, 1.3, 640)[None, :, None], 0, 255).astype(np.uint8)
    day, evening = list(render.still(room, 10)), list(render.still(lamp, 10, seed=2))

    both = _enrol(day + evening, [()] * 20, enforce=False)
    only_day = _enrol(day, enforce=False)

    evening_frame = render.with_noise(lamp, 77)
    assert Sentinel(both).look(evening_frame).view_score >= 0.95
    assert (
        Sentinel(both).look(evening_frame).view_score
        > Sentinel(only_day).look(evening_frame).view_score
    )


def test_enrolling_twice_gives_the_same_file(room):
    frames = list(render.still(room, 8))

    one, two = (_enrol(frames, NOBODY[:8]) for _ in range(2))

    assert one.to_bytes() == two.to_bytes()
