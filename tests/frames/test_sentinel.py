"""The sentinel: the score of every frame, and what it notes for liveness."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from edge.cameras.layout import Layout
from edge.cameras.opencv import FileCamera
from edge.evidence.faces import FaceBoxes
from edge.frames.sentinel import Sentinel
from edge.lease import MIN_VIEW_SCORE
from edge.replay.files import enrol_opening
from edge.view import signs
from edge.view.fingerprint import Fingerprint
from edge.view.signs import ALL_BLOCKS
from tests.support import render
from tests.support.enrol import enrol
from tests.support.parts import long

CAMERA = bytes(range(16))


@pytest.fixture(scope="module")
def fingerprint(room) -> Fingerprint:
    frames = list(render.still(room, 12))
    return enrol(frames, [()] * 12, camera=CAMERA, enforce=True)


@pytest.mark.slow
def test_the_enrolled_room_scores_above_the_bar(fingerprint, room):
    sentinel = Sentinel(fingerprint)

    scores = [sentinel.look(f).view_score for f in render.still(room, 10, seed=5)]

    assert min(scores) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("layout", [Layout.NV12, *long(Layout.I420)])
@pytest.mark.parametrize("colour", [1.0, 2.5], ids=["as it is", "glaring"])
def test_brightness_finds_the_view_enrolled_by_green_and_no_other(
    fingerprint, room, layout, colour
):
    painted = render.coloured(room, colour)
    frames = list(render.still(painted, 12))
    view = enrol(frames, [()] * 12, camera=CAMERA, enforce=True)
    sentinel = Sentinel(view, layout)

    own = [
        sentinel.look(render.planar(f, layout)).view_score
        for f in render.still(painted, 10, seed=5)
    ]

    assert min(own) >= 0.9
    for foreign in (render.street(), render.room(seed=7)):
        assert sentinel.look(render.planar(foreign, layout)).view_score < MIN_VIEW_SCORE


@pytest.mark.slow
@pytest.mark.parametrize("own", ["single_face.mp4", *long("carphone_pristine.mp4")])
def test_on_real_footage_brightness_scores_as_green_does(clip, face_model, own):
    view = enrol_opening(clip(own), 1.0, FaceBoxes(face_model))
    green, luma = Sentinel(view), Sentinel(view, Layout.NV12)

    for name in ("single_face.mp4", "carphone_pristine.mp4", "bikes.mp4"):
        for shot in islice(FileCamera(clip(name)).shots(), 60):
            score = luma.look(render.planar(shot.frame, Layout.NV12)).view_score
            if name == own:
                assert score >= 0.9
                assert score == pytest.approx(green.look(shot.frame).view_score, abs=0.02)
            else:
                assert score < MIN_VIEW_SCORE


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize(
    "shape",
    [(480, 640), (480, 640, 3), (720, 640), (721, 640), (720, 641), (720, 640, 1), (66, 62)],
)
def test_a_frame_of_another_layout_is_no_picture(fingerprint, layout, shape):
    good = shape == (480, 640, 3) if layout is Layout.BGR else shape in ((480, 640), (720, 640))

    found = Sentinel(fingerprint, layout).glance(np.zeros(shape, np.uint8))

    assert (found is not None) == good


@pytest.mark.parametrize(
    "foreign",
    [
        render.street(),
        render.room(seed=7),
        np.zeros((480, 640, 3), np.uint8),
        np.full((480, 640, 3), 255, np.uint8),
        np.broadcast_to(np.arange(640) * 255 // 640, (480, 640)).astype(np.uint8)[..., None]
        * np.ones(3, np.uint8),
    ],
    ids=["street", "another room", "black", "white", "ramp"],
)
def test_a_foreign_frame_stays_below_the_bar(fingerprint, foreign):
    assert Sentinel(fingerprint).look(foreign).view_score < MIN_VIEW_SCORE


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1280, 960)])
def test_the_same_view_scores_alike_at_every_picture_size(fingerprint, size):
    view = render.with_noise(render.room(size=size), 3)

    assert Sentinel(fingerprint).look(view).view_score >= MIN_VIEW_SCORE


def test_another_light_is_the_same_view(fingerprint, room):
    sentinel = Sentinel(fingerprint)

    for gain, offset in ((0.6, 0), (1.2, 0), (1.0, 12), (0.5, 30)):
        seen = render.with_noise(render.with_light(room, gain, offset), 4, sigma=1.0)
        assert sentinel.look(seen).view_score >= MIN_VIEW_SCORE, (gain, offset)


def test_a_turned_camera_is_another_view(fingerprint, room):
    assert Sentinel(fingerprint).look(render.panned(room, 40)).view_score < MIN_VIEW_SCORE


def test_covered_blocks_count_only_where_they_are_asked_for(fingerprint, room):
    right_half = signs.as_bits(np.tile(np.arange(8) >= 4, 6))
    half_gone = room.copy()
    half_gone[:, :320] = render.street()[:, :320]
    sentinel = Sentinel(fingerprint)

    assert sentinel.look(half_gone, ALL_BLOCKS).view_score < MIN_VIEW_SCORE
    assert sentinel.look(half_gone, right_half).view_score >= 0.9
    assert sentinel.look(half_gone, ALL_BLOCKS & ~right_half).view_score < 0.75


def test_too_few_pairs_say_nothing(fingerprint, room):
    assert Sentinel(fingerprint).look(room, 0).view_score == 0.0
    assert Sentinel(fingerprint).look(room, 1).view_score == 0.0


def test_without_a_fingerprint_nothing_is_the_view(room):
    assert Sentinel(None).look(room).view_score == 0.0


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((0, 640, 3), np.uint8),
        np.zeros((480, 640), np.uint8),
        np.zeros((480, 640, 4), np.uint8),
        np.zeros((480, 640, 3), np.float32),
        np.zeros((40, 640, 3), np.uint8),
        np.zeros((480, 60, 3), np.uint8),
        np.broadcast_to(np.uint8(0), (16_384, 16_384, 3)),
        None,
    ],
    ids=["empty", "grey", "alpha", "float", "low", "narrow", "16k", "nothing"],
)
def test_what_is_no_picture_is_called_malformed_and_never_raises(fingerprint, frame):
    look = Sentinel(fingerprint).look(frame)

    assert look.malformed
    assert look.view_score == 0.0


def test_a_frame_with_odd_strides_scores_as_its_copy_does(fingerprint, room):
    wide = np.zeros((480, 700, 3), np.uint8)
    wide[:, 13:653] = room
    strided = wide[:, 13:653]

    assert not strided.flags.c_contiguous
    assert Sentinel(fingerprint).look(strided) == Sentinel(fingerprint).look(room)


def test_the_numbers_for_liveness_follow_the_picture(room):
    sentinel = Sentinel(None)
    first = sentinel.look(room)
    again = sentinel.look(room)
    brighter = sentinel.look(render.with_light(room, 1.0, 10))

    assert first.difference == 255.0
    assert again.difference == 0.0
    assert again.digest == first.digest
    assert brighter.difference == pytest.approx(10, abs=1)
    assert brighter.digest != first.digest
    assert brighter.mean == pytest.approx(first.mean + 10, abs=1)


def test_a_glance_and_its_note_say_what_a_look_says(fingerprint, room):
    looked, glanced = Sentinel(fingerprint), Sentinel(fingerprint)

    for frame in render.still(room, 3):
        look = looked.look(frame)
        assert glanced.glance(frame) == look.view_score
        assert glanced.note() == look


def test_the_note_on_what_is_no_picture_says_so(fingerprint, room):
    sentinel = Sentinel(fingerprint)
    sentinel.look(room)

    assert sentinel.glance(np.zeros((0, 0, 3), np.uint8)) is None
    assert sentinel.note().malformed
    assert sentinel.look(room).difference == 0.0  # the picture before it is not forgotten


@pytest.mark.parametrize("bits", [0, 1, 0b1010, ALL_BLOCKS, 1 << 47])
def test_blocks_and_bits_are_two_forms_of_one_thing(bits):
    assert signs.as_bits(signs.as_blocks(bits)) == bits


@pytest.mark.parametrize("place,quarters", [(0, 1), (3, 1), (4, 1), (47, 1)])
def test_one_block_lies_in_one_quadrant(place, quarters):
    assert signs.quadrants(1 << place) == quarters
    assert signs.quadrants(ALL_BLOCKS) == 4
    assert signs.quadrants(0) == 0
