"""People are looked for where a picture changed, and in all of it once a second."""

from __future__ import annotations

import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.clock import MS
from edge.evidence.faces import FaceBoxes
from edge.evidence.residual import STEPS, WHOLE, Changes, Window, gradients
from edge.evidence.vision import Observer
from edge.view.box import Box
from tests.support import render

HEIGHT, WIDTH = 480, 640
LOOK_NS = 200 * MS
SKIN = (140, 165, 205)


@pytest.fixture(scope="module")
def room():
    return render.room()


def _noisy(picture, seed):
    return render.with_noise(picture, seed)


def _with_patch(picture, left, top, right, bottom):
    changed = picture.copy()
    changed[top:bottom, left:right] = SKIN
    return changed


def _windows(pictures, boxes=()):
    changes, found = Changes(), []
    for number, picture in enumerate(pictures):
        window = changes.where(_noisy(picture, number), number * LOOK_NS, boxes)
        if window is not None:
            changes.looked(window, number * LOOK_NS)
        found.append(window)
    return found


def test_of_a_still_picture_nothing_is_looked_at_until_a_second_is_over(room):
    assert _windows([room] * 7) == [WHOLE, None, None, None, None, WHOLE, None]


def test_the_part_around_a_small_change_is_looked_at_and_the_next_time_nothing(room):
    first, part, then = _windows([room, *[_with_patch(room, 300, 200, 330, 235)] * 2])

    assert first == WHOLE
    left, top, right, bottom = part.pixels(WIDTH, HEIGHT)
    room_px = WIDTH // STEPS[0]
    assert left <= 300 - room_px and right >= 330 + room_px
    assert top <= 200 - room_px and bottom >= 235 + room_px
    assert part.share < 0.5
    assert then is None


@pytest.mark.parametrize("gain", [0.92, 1.07])
def test_light_over_the_whole_picture_is_no_change_and_a_face_that_comes_with_it_is(room, gain):
    def lit(picture):
        return np.clip(picture * gain, 0, 255).astype(np.uint8)

    alone = _windows([room, lit(room)])[1]
    with_face = _windows([room, lit(_with_patch(room, 40, 40, 56, 60))])[1]

    assert alone is None
    assert with_face is not None and with_face.touches(Box(40, 40, 56, 60, 1.0), WIDTH, HEIGHT)


def test_more_light_than_a_room_has_at_once_is_a_change(room):
    assert _windows([room, np.clip(room * 0.6, 0, 255).astype(np.uint8)])[1] == WHOLE


def test_a_known_face_that_the_part_touches_lies_in_it_wholly(room):
    face = Box(340.0, 150.0, 460.0, 320.0, 0.9)

    part = _windows([room, _with_patch(room, 300, 200, 330, 235)], (face,))[1]

    assert part.holds(face, WIDTH, HEIGHT)
    assert not _windows([room, _with_patch(room, 20, 20, 60, 60)], (face,))[1].touches(
        face, WIDTH, HEIGHT
    )


def test_what_is_not_looked_at_is_compared_with_what_it_was_when_it_was(room):
    """A change that creeps in far from one that is looked at again and again adds up."""
    creeping = [
        _with_patch(room, 30 + 10 * i, 30, 60 + 10 * i, 60).astype(np.float32) for i in range(4)
    ]
    for i, picture in enumerate(creeping):
        picture[380:450, 540:610] += 1.2 * i

    found = _windows([np.clip(p, 0, 255).astype(np.uint8) for p in creeping])

    creeper = Box(540.0, 380.0, 610.0, 450.0, 1.0)
    assert any(w.touches(creeper, WIDTH, HEIGHT) for w in found[1:] if w is not None)


def test_a_picture_in_portrait_is_looked_at_as_a_whole(room):
    tall = np.ascontiguousarray(np.rot90(room))

    assert _windows([tall, _with_patch(tall, 100, 100, 140, 140)]) == [WHOLE, WHOLE]


class _Faces:
    """A detector that finds what it is told, and keeps which parts it was asked about."""

    def __init__(self, *boxes):
        self.boxes = boxes
        self.asked = []

    def detect(self, frame):
        return self.detect_within(frame, WHOLE)

    def detect_within(self, frame, window):
        self.asked.append(window)
        return tuple(box for box in self.boxes if window.touches(box, WIDTH, HEIGHT))


def test_who_stands_still_elsewhere_stays_counted_and_who_comes_is_counted_too(room):
    still, comes = Box(480, 100, 560, 200, 0.9), Box(120, 300, 150, 340, 0.95)
    faces = _Faces(still)
    observer = Observer(None, faces)
    observer.see(_noisy(room, 0), 0)
    faces.boxes = (still, comes)

    seen = observer.see(_noisy(_with_patch(room, 120, 300, 150, 340), 1), LOOK_NS)

    assert seen.people and set(seen.boxes) == {still, comes}
    assert faces.asked[-1] != WHOLE and not faces.asked[-1].touches(still, WIDTH, HEIGHT)


def test_who_leaves_is_counted_no_longer(room):
    leaves = Box(120, 300, 150, 340, 0.95)
    faces = _Faces(leaves)
    observer = Observer(None, faces)
    observer.see(_noisy(_with_patch(room, 120, 300, 150, 340), 0), 0)
    faces.boxes = ()

    assert observer.see(_noisy(room, 1), LOOK_NS).boxes == ()


def test_a_face_that_the_edge_of_the_part_cuts_is_looked_for_in_all_of_the_picture(room):
    faces = _Faces()
    observer = Observer(None, faces)
    observer.see(_noisy(room, 0), 0)
    faces.boxes = (Box(60, 200, 620, 440, 0.8),)

    seen = observer.see(_noisy(_with_patch(room, 300, 300, 330, 340), 1), LOOK_NS)

    assert [window == WHOLE for window in faces.asked] == [True, False, True]
    assert seen.boxes == faces.boxes


@pytest.mark.slow
def test_a_part_shows_the_detector_the_faces_that_all_of_the_picture_does(face_model, clip):
    faces = FaceBoxes(face_model)
    shots = list(FileCamera(clip("single_face.mp4")).shots())
    found = 0
    for shot in shots[:: max(1, len(shots) // 6)]:
        frame = shot.frame
        height, width = frame.shape[:2]
        for face in faces.detect(frame):
            a, b = STEPS[0] / width, STEPS[1] / height
            part = Window(
                max(0, int(face.left * a) - 1),
                max(0, int(face.top * b) - 1),
                min(STEPS[0], int(face.right * a) + 2),
                min(STEPS[1], int(face.bottom * b) + 2),
            )
            again = faces.detect_within(frame, part)
            assert any(_near(face, other, width) for other in again), (part, face, again)
            found += 1
    assert found >= 3


def _near(one, other, width):
    """Whether two boxes are one face: each edge within two pixels of the detector's input."""
    limit = 2 * width / 320
    edges = ("left", "top", "right", "bottom")
    return all(abs(getattr(one, edge) - getattr(other, edge)) <= limit for edge in edges)


def test_the_slope_of_a_picture_is_that_of_numpy_to_the_bit():
    picture = np.random.default_rng(1).integers(0, 256, (48, 64)).astype(np.float32) / 3

    down, across = np.gradient(picture)

    assert np.array_equal(gradients(picture)[0], across)
    assert np.array_equal(gradients(picture)[1], down)
