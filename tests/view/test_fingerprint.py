"""The fingerprint file: canonical, strict, and no picture."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import rfc8785

from edge.errors import RecordError
from edge.view import signs
from edge.view.fingerprint import Fingerprint
from tests.support import render
from tests.support.enrol import enrol

CAMERA = bytes(range(16))


@pytest.fixture(scope="module")
def fingerprint(room) -> Fingerprint:
    return enrol(list(render.still(room, 10)), [()] * 10, camera=CAMERA, enforce=True)


def test_a_fingerprint_comes_back_from_its_file(fingerprint):
    data = fingerprint.to_bytes()

    back = Fingerprint.from_bytes(data)

    assert back.to_bytes() == data
    assert back.digest == fingerprint.digest
    assert (back.bits == fingerprint.bits).all()
    assert (back.directions == fingerprint.directions).all()
    assert back.file.camera == CAMERA


def _changed(fingerprint: Fingerprint, **changes: object) -> bytes:
    fields = json.loads(fingerprint.to_bytes())
    for name, value in changes.items():
        if value is None:
            del fields[name]
        else:
            fields[name] = value
    return rfc8785.dumps(fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"kind": "picture"},
        {"camera": "00"},
        {"camera": "zz" * 16},
        {"width": 0},
        {"width": 640.5},
        {"height": 100_000},
        {"enrolment": "perhaps"},
        {"scene": "street"},
        {"bits": "AAAA"},
        {"bits": 5},
        {"mask": None},
        {"extra": 1},
        {"directions": []},
    ],
    ids=lambda c: "-".join(f"{k}={v}" for k, v in c.items())[:30],
)
def test_an_odd_fingerprint_is_refused(fingerprint, changes):
    with pytest.raises(RecordError, match=r"fingerprint|camera"):
        Fingerprint.from_bytes(_changed(fingerprint, **changes))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 9000, b" " * 20_000], ids=range(6)
)
def test_what_is_no_fingerprint_is_refused(data):
    with pytest.raises(RecordError):
        Fingerprint.from_bytes(data)


def test_the_same_fingerprint_in_other_words_is_refused(fingerprint):
    spaced = json.dumps(json.loads(fingerprint.to_bytes())).encode()

    with pytest.raises(RecordError, match="canonical"):
        Fingerprint.from_bytes(spaced)


def test_places_that_are_not_enrolled_say_nothing(fingerprint):
    fields = json.loads(fingerprint.to_bytes())
    fields["mask"] = json.loads(fingerprint.to_bytes())["bits"]

    assert not (fingerprint.bits & ~fingerprint.mask).any()
    with pytest.raises(RecordError):  # more bits than the mask admits
        Fingerprint.from_bytes(_changed(fingerprint, bits=fields["mask"], mask="A" * 1024))


def test_a_fingerprint_of_another_camera_or_size_is_named(fingerprint):
    fingerprint.file.check_source(CAMERA, 640, 480)

    with pytest.raises(RecordError, match="camera"):
        fingerprint.file.check_source(bytes(16), 640, 480)
    with pytest.raises(RecordError, match="640x480 pixels, the camera gives 1280x720"):
        fingerprint.file.check_source(CAMERA, 1280, 720)


def reconstruct(fingerprint: Fingerprint) -> np.ndarray:
    """The best picture the fingerprint allows: least squares over its signs and directions."""
    pixels = signs.HEIGHT * signs.WIDTH
    place = np.arange(pixels).reshape(signs.HEIGHT, signs.WIDTH)
    picture = np.zeros(pixels)
    rows = []
    on = fingerprint.mask != 0
    brighter = np.where(fingerprint.bits != 0, 1.0, -1.0)
    for y, x in zip(*np.nonzero(on), strict=True):
        if y < signs.HEIGHT:
            rows.append((place[y, x], place[y, x + signs.STEP], brighter[y, x] * 20))
        else:
            top = y - signs.HEIGHT
            rows.append((place[top, x], place[top + signs.STEP, x], brighter[y, x] * 20))
    turn = fingerprint.directions * (2 * np.pi / 8)
    for y, x in zip(*np.nonzero(fingerprint.gradient_mask), strict=True):
        if 0 < x < signs.WIDTH - 1 and 0 < y < signs.HEIGHT - 1:
            rows.append((place[y, x + 1], place[y, x - 1], 16 * np.cos(turn[y, x])))
            rows.append((place[y + 1, x], place[y - 1, x], 16 * np.sin(turn[y, x])))
    first, second, wanted = (np.array(c) for c in zip(*rows, strict=True))
    first, second = first.astype(int), second.astype(int)
    seen = np.bincount(first, minlength=pixels) + np.bincount(second, minlength=pixels)
    for _ in range(300):  # gradient descent on the squared misfit, lightly smoothed
        misfit = wanted - (picture[first] - picture[second])
        step = np.bincount(first, misfit, pixels) - np.bincount(second, misfit, pixels)
        picture += 0.5 * step / np.maximum(seen, 1)
        smooth = cv2.blur(picture.reshape(signs.HEIGHT, signs.WIDTH), (3, 3)).ravel()
        picture += 0.05 * (smooth - picture)
    return picture.reshape(signs.HEIGHT, signs.WIDTH)


def test_the_best_reconstruction_is_a_coarse_outline_and_no_picture(fingerprint, room):
    """What leaks: large edges at 64x48. What does not: detail, and any person."""
    rebuilt = reconstruct(fingerprint)

    true = cv2.resize(room[:, :, 1], (signs.WIDTH, signs.HEIGHT), interpolation=cv2.INTER_AREA)
    likeness = np.corrcoef(rebuilt.ravel(), true.ravel())[0, 1]
    detail = room[:, :, 1].astype(float) - cv2.resize(true, (640, 480)).astype(float)
    upscaled = cv2.resize(rebuilt, (640, 480), interpolation=cv2.INTER_CUBIC)
    fine = upscaled - cv2.GaussianBlur(upscaled, (0, 0), 4)
    assert likeness < 0.9
    assert abs(np.corrcoef(fine.ravel(), detail.ravel())[0, 1]) < 0.35


def test_a_masked_person_leaves_no_trace_in_the_file(room):
    from edge.view.box import Box

    peopled = render.with_person(room)
    box = Box(255, 140, 385, 220, 0.9)
    other = peopled.copy()
    other[160:480, 270:370] = 255 - other[160:480, 270:370]  # another person altogether

    one = enrol([peopled] * 6, [(box,)] * 6, camera=CAMERA, enforce=False)
    two = enrol([other] * 6, [(box,)] * 6, camera=CAMERA, enforce=False)

    inside = np.s_[signs.HEIGHT // 2 - 6 : signs.HEIGHT // 2 + 20, 29:35]
    assert not one.gradient_mask[inside].any()
    assert (one.bits == two.bits).all()
    assert (one.mask == two.mask).all()
