"""The enrolled view in the slow loop: what it takes to begin and to go on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.clock import MS, S
from edge.decision.enrol import enrol
from edge.decision.evidence import Box
from edge.decision.fingerprint import Fingerprint
from edge.decision.people import FaceBoxes
from edge.decision.view import MIN_GRADIENT, MIN_SIGN, ViewCheck
from edge.frames.camera import FileCamera
from edge.offline import enrol_opening
from edge.reasons import Reason
from tests import render

CAMERA = bytes(16)


@pytest.fixture(scope="module")
def fingerprint(room) -> Fingerprint:
    return enrol(list(render.still(room, 12)), [()] * 12, camera=CAMERA, enforce=True)


def _board(room: np.ndarray, share: float) -> np.ndarray:
    """The view with a strange rectangle before `share` of its width."""
    out = room.copy()
    out[:, : int(640 * share)] = render.street()[:, : int(640 * share)]
    return out


def test_the_empty_enrolled_room_is_recognised(fingerprint, room):
    reading = ViewCheck(fingerprint).read(render.with_noise(room, 9), S, ())

    assert reading.reasons_open == ()
    assert reading.reasons_continue == ()
    assert reading.sign > 0.95
    assert reading.gradient > 0.9
    assert reading.quadrants == 4
    assert reading.unexplained == 0.0
    assert reading.recent == 1.0
    assert reading.captured_ns == S


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("make", [render.street, render.room], ids=["street", "room"])
def test_another_place_is_foreign(fingerprint, make, seed):
    reading = ViewCheck(fingerprint).read(make(seed + 20), S, ())

    assert Reason.VIEW_FOREIGN in reading.reasons_open
    assert Reason.VIEW_FOREIGN in reading.reasons_continue


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_picture_is_foreign(fingerprint, level):
    blank = np.full((480, 640, 3), level, np.uint8)

    assert Reason.VIEW_FOREIGN in ViewCheck(fingerprint).read(blank, S, ()).reasons_continue


def test_right_signs_with_wrong_directions_are_foreign(fingerprint, room):
    """The two comparisons look at different things: each one alone is not enough."""
    signs_only = ViewCheck(fingerprint)
    signs_only._gradients.agreement = lambda frame, blocks: 0.49

    assert Reason.VIEW_FOREIGN in signs_only.read(room, S, ()).reasons_continue


def test_a_person_explains_the_blocks_they_cover(fingerprint, room):
    face = Box(270, 110, 370, 230, 0.9)
    body = room.copy()
    cv2.rectangle(body, (170, 90), (470, 480), (40, 60, 40), -1)
    cv2.circle(body, (320, 170), 60, (150, 170, 200), -1)

    explained = ViewCheck(fingerprint).read(body, S, (face,))
    not_explained = ViewCheck(fingerprint).read(body, S, ())

    assert explained.reasons_open == ()
    assert explained.seen_blocks != fingerprint.blocks
    assert not_explained.reasons_open == (Reason.VIEW_COVERED,)
    assert not_explained.reasons_continue == ()


def test_a_peephole_board_never_opens(fingerprint, room):
    """A board hides a third of the view; nobody is there to explain it."""
    reading = ViewCheck(fingerprint).read(_board(room, 0.33), S, ())

    assert Reason.VIEW_COVERED in reading.reasons_open


@pytest.mark.parametrize("surface", ["grey", "shaded", "noisy", "street"])
@pytest.mark.parametrize("left,top", [(0, 300), (420, 0)], ids=["lower third", "right third"])
def test_too_little_of_the_view_is_partial_and_closes(fingerprint, room, surface, left, top):
    """Whatever hides the rest: a smooth surface must not agree by chance."""
    shade = np.linspace(100, 150, 640)[None, :, None] + np.linspace(0, 30, 480)[:, None, None]
    hidden = {
        "grey": np.full_like(room, 128),
        "shaded": np.broadcast_to(shade, room.shape).astype(np.uint8),
        "noisy": render.with_noise(np.full_like(room, 128), 1),
        "street": render.street(),
    }[surface].copy()
    hidden[top:, left:] = room[top:, left:]
    face = Box(270, 110, 370, 230, 0.9)

    reading = ViewCheck(fingerprint).read(hidden, S, (face,))

    assert {Reason.VIEW_PARTIAL, Reason.VIEW_FOREIGN} & set(reading.reasons_continue)
    if surface != "street":
        assert reading.seen_blocks.bit_count() <= 0.45 * fingerprint.blocks.bit_count()


def test_blocks_not_seen_for_ten_minutes_forbid_opening_until_they_are(fingerprint, room):
    check = ViewCheck(fingerprint)
    hidden = _board(room, 0.2)
    assert check.read(room, 0, ()).reasons_open == ()

    early = check.read(hidden, 599 * S, ())
    late = check.read(hidden, 601 * S, ())
    uncovered = check.read(room, 602 * S, ())

    assert Reason.VIEW_UNSEEN not in early.reasons_open
    assert Reason.VIEW_UNSEEN in late.reasons_open
    assert late.recent < 0.9
    assert Reason.VIEW_UNSEEN not in late.reasons_continue
    assert uncovered.reasons_open == ()


def test_a_start_long_after_enrolment_wants_every_block_seen_first(fingerprint, room):
    check = ViewCheck(fingerprint, fresh=False)

    covered = check.read(_board(room, 0.2), S, ())
    empty = check.read(room, 2 * S, ())

    assert Reason.VIEW_UNSEEN in covered.reasons_open
    assert empty.reasons_open == ()


def test_a_foreign_picture_does_not_count_as_a_sighting(fingerprint, room):
    check = ViewCheck(fingerprint)
    check.read(room, 0, ())

    check.read(render.street(), 300 * S, ())
    later = check.read(_board(room, 0.2), 601 * S, ())

    assert Reason.VIEW_UNSEEN in later.reasons_open


def test_a_cross_fade_closes_before_the_other_picture_prevails(fingerprint, room):
    check = ViewCheck(fingerprint)
    other = render.street()
    for i in range(10):
        assert check.read(render.with_noise(room, i), i * 100 * MS, ()).reasons_continue == ()

    for step in range(1, 11):
        share = step / 10
        mixed = cv2.addWeighted(room, 1 - share, other, share, 0)
        if check.read(mixed, (10 + step) * 100 * MS, ()).reasons_continue:
            break

    assert 0.1 <= share <= 0.5


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0, 4.0])
def test_a_fade_that_goes_on_stays_foreign(fingerprint, room, seconds):
    check, steps = ViewCheck(fingerprint), round(seconds * 10)
    for i in range(10):
        check.read(render.with_noise(room, i), i * 100 * MS, ())

    accepted = []
    for step in range(1, steps + 1):
        share = step / steps
        mixed = cv2.addWeighted(room, 1 - share, render.street(), share, 0)
        if not check.read(mixed, (10 + step) * 100 * MS, ()).reasons_continue:
            accepted.append(share)

    assert max(accepted, default=0.0) <= (0.45 if seconds <= 1.0 else 0.6)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_fade_to_a_plain_picture_closes_before_half_though_every_sign_agrees(
    fingerprint, room, grey
):
    """The relative rule by itself: the absolute limits still hold, and it says no."""
    check = ViewCheck(fingerprint)
    for i in range(10):
        assert check.read(render.with_noise(room, i), i * 100 * MS, ()).reasons_continue == ()

    said = []
    for step in range(1, 6):
        mixed = cv2.addWeighted(room, 1 - step / 10, np.full_like(room, grey), step / 10, 0)
        reading = check.read(mixed, (10 + step) * 100 * MS, ())
        assert reading.sign >= MIN_SIGN
        assert reading.gradient >= MIN_GRADIENT
        said.append(Reason.VIEW_FOREIGN in reading.reasons_continue)

    assert said[0] is False
    assert said[-1] is True


def test_hands_before_a_third_of_the_view_take_no_level_from_the_rest(fingerprint, room):
    check = ViewCheck(fingerprint)
    for i in range(10):
        check.read(render.with_noise(room, i), i * 100 * MS, ())
    hands = room.copy()
    hands[200:, :220] = (90, 120, 180)

    reading = check.read(hands, S, ())

    assert reading.level > 0.9
    assert reading.reasons_continue == ()


def test_a_lasting_change_of_light_is_forgiven_within_a_second(fingerprint, room):
    check = ViewCheck(fingerprint)
    dim = np.clip(room * np.linspace(0.25, 1.0, 640)[None, :, None] * 0.7, 0, 255).astype(np.uint8)
    for i in range(10):
        check.read(room, i * 100 * MS, ())

    later = [check.read(dim, (10 + i) * 100 * MS, ()) for i in range(12)]

    assert later[-1].reasons_continue == ()


def test_the_peephole_rule_holds_for_any_size_of_board(fingerprint, room):
    enrolled = fingerprint.blocks.bit_count()
    for share in np.arange(0.25, 1.0, 0.05):
        reading = ViewCheck(fingerprint).read(_board(room, share), S, ())
        hidden = enrolled - reading.seen_blocks.bit_count()
        assert reading.reasons_open or hidden <= 0.15 * enrolled


# the same rules on recordings; `framegate evaluate` counts far more of them


@pytest.fixture(scope="module")
def faces(face_model) -> FaceBoxes:
    return FaceBoxes(face_model)


@pytest.fixture(scope="module")
def kiosk(clip, faces) -> Fingerprint:
    return enrol_opening(clip("single_face.mp4"), 1.0, faces)


def _readings(path, fingerprint, faces):
    check, camera, boxes = ViewCheck(fingerprint), FileCamera(path), ()
    for number, shot in enumerate(camera.shots()):
        if number % 6 == 0:
            boxes = faces.detect(shot.frame)
        if number % 3 == 0:
            yield shot.captured_ns, check.read(shot.frame, shot.captured_ns, boxes)
    camera.close()


def test_the_kiosk_recognises_its_own_clip(clip, kiosk, faces):
    readings = list(_readings(clip("single_face.mp4"), kiosk, faces))

    assert all(r.reasons_continue == () for _, r in readings)


def test_the_cut_away_is_foreign_from_its_first_reading(clip, kiosk, faces):
    readings = list(_readings(clip("face_noface.mov"), kiosk, faces))

    assert all(r.reasons_continue == () for t, r in readings if t < 2_380 * MS)
    assert all(r.reasons_continue for t, r in readings if t >= 2_500 * MS)


@pytest.mark.parametrize("name", ["carphone_pristine.mp4", "bikes.mp4"])
def test_a_car_and_a_street_are_never_the_kiosk(clip, kiosk, faces, name):
    readings = list(_readings(clip(name), kiosk, faces))

    assert readings
    assert all(r.reasons_continue for _, r in readings)
