"""Wherever somebody can be between two looks, the frames in between are masked there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock import MS
from edge.masking import blocks, people
from edge.masking.people import Look, PeopleMask, PeopleMasker
from edge.view.box import Box

HEIGHT, WIDTH = 480, 640
FACE = Box(300.0, 200.0, 340.0, 250.0, 0.9)


def face(x: float, y: float, high: float = 50.0) -> Box:
    return Box(x, y, x + 0.8 * high, y + high, 0.9)


def moved(box: Box, x: float, y: float) -> Box:
    return Box(box.left + x, box.top + y, box.right + x, box.bottom + y, box.score)


def masked(mask: PeopleMask | None, *boxes: Box) -> bool:
    """Whether every one of these faces is covered in the frames of this mask."""
    assert mask is not None
    return all(people.covered(boxes, people.levels(mask, HEIGHT, WIDTH)))


boxes = st.builds(face, st.floats(-20, WIDTH), st.floats(-20, HEIGHT), st.floats(8, 300))
looks = st.builds(
    lambda step, found, shift: (step, found, shift),
    st.integers(20, 700),
    st.none() | st.lists(boxes, max_size=people.CAPACITY + 3),
    st.none() | st.floats(0, 0.3),
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(st.lists(looks, max_size=12))
def test_under_any_sequence_of_looks_every_face_of_both_looks_is_masked_between_them(
    masks: list[tuple[int, list[Box] | None, float | None]],
) -> None:
    """And whatever is doubtful is masked whole."""
    masker = PeopleMasker(HEIGHT, WIDTH)
    now_ns, before = 0, None
    for step_ms, found, shift in masks:
        last_ns, now_ns = now_ns, now_ns + step_ms * MS
        look = Look(now_ns, None if found is None else tuple(found), shift)
        mask = masker.look(look)
        if before is None:
            before = look
            assert mask is None
            continue
        assert mask is not None
        assert (mask.from_ns, mask.to_ns) == (last_ns, now_ns)
        doubtful = (
            any(b is None or len(b) > people.CAPACITY for b in (before.boxes, look.boxes))
            or (shift or 0.0) > people.MOST_SHIFT
            or step_ms * MS > people.BRACKET_NS
        )
        if doubtful or shift is not None:
            assert (mask.places is None) is doubtful
        assert masked(mask, *(before.boxes or ()), *(look.boxes or ()))
        before = look


@settings(max_examples=100, deadline=None)
@given(boxes, st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1), st.integers(30, 480))
def test_a_face_that_walks_is_masked_all_the_way(
    box: Box, x: float, y: float, part: float, step_ms: int
) -> None:
    walk = people.SPEED * box.height * step_ms / 1000
    ahead = moved(box, x * walk / 1.5, y * walk / 1.5)
    between = moved(box, part * x * walk / 1.5, part * y * walk / 1.5)
    masker = PeopleMasker(HEIGHT, WIDTH)
    masker.look(Look(0, (box,), 0.0))

    mask = masker.look(Look(step_ms * MS, (ahead,), 0.0))

    assert masked(mask, box, between, ahead)


def test_a_face_that_appears_between_two_looks_is_masked_before_it_was_found() -> None:
    masker = PeopleMasker(HEIGHT, WIDTH)
    masker.look(Look(0, (), 0.0))

    mask = masker.look(Look(200 * MS, (FACE,), 0.0))

    assert mask is not None
    assert mask.from_ns == 0
    assert masked(mask, FACE)


def test_a_face_that_is_no_longer_found_is_remembered_and_then_forgotten() -> None:
    masker = PeopleMasker(HEIGHT, WIDTH)
    masker.look(Look(0, (FACE,), 0.0))
    masks = {at: masker.look(Look(at * MS, (), 0.0)) for at in range(200, 1601, 200)}

    assert all(masked(masks[at], FACE) for at in range(200, 1001, 200))
    for at in (1400, 1600):
        mask = masks[at]
        assert mask is not None
        assert not people.levels(mask, HEIGHT, WIDTH).any()


def test_a_face_beside_one_that_is_lost_does_not_stand_for_both() -> None:
    masker = PeopleMasker(HEIGHT, WIDTH)
    near = moved(FACE, 30, 0)
    masker.look(Look(0, (FACE, near), 0.0))
    for at in (200, 400, 600):
        mask = masker.look(Look(at * MS, (near,), 0.0))

    assert masked(mask, FACE, near)


def test_the_twin_a_face_that_is_found_each_time_is_not_remembered_at_its_old_places() -> None:
    masker = PeopleMasker(HEIGHT, WIDTH)
    for at in range(0, 2001, 100):
        mask = masker.look(Look(at * MS, (face(100, 100, 30),), 0.0))

    assert mask is not None
    assert mask.places is not None
    assert len(mask.places) == 2


def test_the_camera_carries_the_masks_of_what_it_no_longer_finds() -> None:
    masker = PeopleMasker(HEIGHT, WIDTH)
    masker.look(Look(0, (FACE,), 0.0))
    for at in (100, 200, 300):
        mask = masker.look(Look(at * MS, (), 0.1))

    assert masked(mask, moved(FACE, 0.3 * WIDTH, 0), moved(FACE, -0.3 * WIDTH, 0))


def test_the_twin_what_lies_far_from_everybody_stays_clear() -> None:
    masker = PeopleMasker(HEIGHT, WIDTH)
    masker.look(Look(0, (face(100, 100, 30),), 0.0))

    mask = masker.look(Look(100 * MS, (face(100, 100, 30),), 0.0))

    assert mask is not None
    found = people.levels(mask, HEIGHT, WIDTH)
    assert not found[:, 20:].any()
    assert (found == 0).mean() > 0.8


def test_nobody_in_two_good_looks_masks_nothing() -> None:
    masker = PeopleMasker(HEIGHT, WIDTH)
    masker.look(Look(0, (), 0.0))

    mask = masker.look(Look(200 * MS, (), 0.0))

    assert mask == PeopleMask(0, 200 * MS, ())


@pytest.mark.parametrize(
    "bad",
    [
        Look(200 * MS, None, 0.0),  # the detector failed
        Look(200 * MS, (FACE,) * (people.CAPACITY + 1), 0.0),  # a crowd
        Look(200 * MS, (), None),  # nobody knows how the camera moved, and the face is gone
        Look(200 * MS, (moved(FACE, 200, 0),), None),  # or is somewhere else
        Look(200 * MS, (FACE,), 0.5),  # it moved too far
        Look(900 * MS, (FACE,), 0.0),  # too long ago
    ],
)
def test_on_doubt_the_whole_picture_is_a_grid(bad: Look) -> None:
    masker = PeopleMasker(HEIGHT, WIDTH)
    masker.look(Look(0, (FACE,), 0.0))

    mask = masker.look(bad)

    assert mask == PeopleMask(0, bad.captured_ns, None)
    assert masked(mask, FACE, face(0, 0), face(600, 400))


def test_where_only_the_faces_tell_how_the_camera_moved_the_masks_follow_them() -> None:
    """A face before a plain wall: nothing else can be followed."""
    masker = PeopleMasker(HEIGHT, WIDTH)
    masker.look(Look(0, (FACE,), None))

    mask = masker.look(Look(100 * MS, (moved(FACE, 30, 0),), None))

    assert mask is not None
    assert mask.places is not None
    assert masked(mask, FACE, moved(FACE, 15, 0), moved(FACE, 30, 0))


def test_after_a_failed_look_the_next_frames_are_a_grid_too() -> None:
    """They have no good look before them."""
    masker = PeopleMasker(HEIGHT, WIDTH)
    looks = [Look(0, (), 0.0), Look(200 * MS, None, 0.0), Look(400 * MS, (), 0.0)]

    masks = [masker.look(look) for look in [*looks, Look(600 * MS, (), 0.0)]]

    assert [mask and mask.places for mask in masks] == [None, None, None, ()]


def test_time_that_goes_back_is_a_doubt() -> None:
    masker = PeopleMasker(HEIGHT, WIDTH)
    masker.look(Look(400 * MS, (), 0.0))

    assert masker.look(Look(300 * MS, (), 0.0)) is None
    assert masker.look(Look(500 * MS, (), 0.0)) == PeopleMask(400 * MS, 500 * MS, None)


def test_whole_bodies_are_masked_where_the_record_says_so() -> None:
    found = []
    for bodies in (False, True):
        masker = PeopleMasker(HEIGHT, WIDTH, bodies=bodies)
        masker.look(Look(0, (face(300, 60, 40),), 0.0))
        mask = masker.look(Look(100 * MS, (face(300, 60, 40),), 0.0))
        assert mask is not None
        found.append(people.levels(mask, HEIGHT, WIDTH))

    heads, bodies_too = found
    feet = (370 // blocks.BLOCK_PX, 316 // blocks.BLOCK_PX)
    assert heads[feet] == 0
    assert bodies_too[feet] != 0
    assert (bodies_too >= heads).all()


def test_a_face_is_covered_only_if_all_of_it_is() -> None:
    found = np.zeros(blocks.grid(HEIGHT, WIDTH), np.uint8)
    blocks.cover(found, 1, 300, 200, 339, 250)

    assert people.covered((FACE,), found) == (True,)
    found[12, 18] = 0
    assert people.covered((FACE,), found) == (False,)
