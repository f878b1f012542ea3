"""Who is in a view when it is enrolled: what a detector misses, change over time tells."""

from __future__ import annotations

import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.errors import EnrolmentError
from edge.view import signs
from edge.view.bodies import MAYBE, SURELY, Bodies, of_take
from edge.view.enrol import survey
from edge.view.enrolment import movement
from edge.view.enrolment.coverage import Cover, as_png, count, draw
from tests.support import render
from tests.support.enrol import enrol
from tests.support.parts import long

CAMERA = bytes(16)
FRAMES = 12


def _survey(frames, bodies=None, **options):
    frames = list(frames)
    boxes = [()] * len(frames)
    chosen = {"camera": CAMERA, "enforce": True, "mask_people": False, **options}
    return survey(frames, boxes, bodies=bodies, **chosen)


def _bodies(where, value=SURELY, count=FRAMES):
    """A body at these (row, column) blocks, in every frame."""
    mask = np.zeros((signs.HEIGHT, signs.WIDTH), np.uint8)
    for row, column in where:
        mask[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = value
    return [mask] * count


def _swaying(room, count=FRAMES, x=0.5):
    """Somebody who stands there the whole time, whom no detector finds."""
    return (
        render.with_noise(render.with_person(room, x + 0.006 * np.sin(i / 2)), i)
        for i in range(count)
    )


def _walking(room, count=FRAMES):
    return [
        render.with_noise(render.with_person(room, -0.4 + 1.8 * i / count), i) for i in range(count)
    ]


@pytest.mark.slow
def test_somebody_whom_no_detector_finds_is_not_enrolled_and_the_empty_room_is(room):
    with_somebody, empty = _survey(_swaying(room)), _survey(render.still(room, FRAMES))

    assert empty.fingerprint is not None
    assert count(empty.coverage, Cover.MOVED) == 0
    middle = [with_somebody.coverage[row * 8 + column] for row in (2, 3, 4) for column in (3, 4)]
    assert Cover.ENROLLED not in middle
    assert count(with_somebody.coverage, Cover.MOVED) >= 6


@pytest.mark.slow
def test_what_moves_may_be_somebody_down_to_the_floor(room):
    """Only a head moves; the body below it stands still and is no furniture."""
    frames = []
    for i in range(FRAMES):
        view = render.with_person(room)
        view[140:200, 290 + i % 3 * 4 : 350 + i % 3 * 4] = 30
        frames.append(render.with_noise(view, i))

    coverage = _survey(frames).coverage

    assert all(coverage[row * 8 + 4] is Cover.MOVED for row in (3, 4, 5))
    assert coverage[0] is Cover.ENROLLED


@pytest.mark.slow
def test_who_walks_through_leaves_the_place_behind_proven(room):
    frames = _walking(room, 24)
    bodies = []
    for i in range(24):
        x = -0.4 + 1.8 * i / 24
        mask = np.zeros((signs.HEIGHT, signs.WIDTH), np.uint8)
        left, right = int(64 * (x - 0.25)), int(64 * (x + 0.25))
        mask[12:, max(0, left) : max(0, right)] = SURELY
        bodies.append(mask)

    found = _survey(frames, bodies, mask_people=True)
    empty = _survey(render.still(room, FRAMES))

    assert found.fingerprint is not None
    assert found.fingerprint.blocks.bit_count() >= 0.9 * empty.fingerprint.blocks.bit_count()
    both = (found.fingerprint.mask != 0) & (empty.fingerprint.mask != 0)
    agree = (found.fingerprint.bits == empty.fingerprint.bits)[both].mean()
    assert agree > 0.99  # the place behind, not the person


def test_a_body_that_nothing_tells_from_the_place_is_left_out(room):
    """A detector says so in some frames, and they look like all others: it may be in each."""
    bodies = _bodies([(2, 3), (3, 3)], count=2) + _bodies([], count=FRAMES - 2)

    found = _survey(render.still(room, FRAMES), bodies)

    assert found.fingerprint is not None
    assert found.coverage[2 * 8 + 3] is found.coverage[3 * 8 + 3] is Cover.PERSON


@pytest.mark.slow
def test_a_doubtful_body_counts_only_where_something_moves(room):
    wall = [(2, 2), (2, 3), (3, 2), (3, 3)]

    still = _survey(render.still(room, FRAMES), _bodies(wall, MAYBE))
    alive = _survey(_swaying(room, x=0.35), _bodies(wall, MAYBE))

    assert count(still.coverage, Cover.PERSON) == 0
    assert still.fingerprint is not None
    assert alive.peopled
    assert "somebody, or what looks like it, moves" in alive.causes[0]


@pytest.mark.slow
def test_a_second_take_adds_what_somebody_hid_in_the_first(room):
    left, right = (
        [(row, column) for row in range(6) for column in half] for half in ((0, 1, 2), (5, 6, 7))
    )
    frames = list(render.still(room, 2 * FRAMES))
    lights = [0] * FRAMES + [1] * FRAMES

    one = _survey(frames[:FRAMES], _bodies(left))
    both = _survey(frames, _bodies(left) + _bodies(right), lights=lights)

    assert one.fingerprint is None
    assert "much hidden by people" in one.causes[0]
    assert both.fingerprint is not None
    assert count(both.coverage, Cover.PERSON) == 0


@pytest.mark.slow
def test_people_and_what_else_speaks_against_a_view_are_said_in_one_pass(room):
    """Masking is advised only where enough would be left."""
    some, most = _bodies([(4, 3), (5, 3)]), _bodies([(r, c) for r in range(6) for c in range(5)])

    little = _survey(_swaying(room, x=0.45), some)
    much = _survey(_swaying(room, x=0.45), most)

    assert len(little.causes) == 1
    assert not much.maskable
    assert "nobody is in the picture" in much.causes[0]


@pytest.mark.slow
@pytest.mark.parametrize(("sways", "cause"), [(0.05, "too lively"), (0.2, "not steady")])
def test_what_moves_where_somebody_was_found_is_theirs(room, sways, cause):
    """The twin: where nobody was found, nobody is named as the cause."""
    frames = [
        render.with_noise(render.with_person(room, 0.5 + sways * np.sin(i), 0.95), i)
        for i in range(FRAMES)
    ]
    body = _bodies([(4, 3), (5, 3), (4, 4), (5, 4)])

    (nobody,) = _survey(frames, mask_people=True).causes
    (somebody,) = _survey(frames, body, mask_people=True).causes

    assert cause in nobody
    assert "people took 0" in nobody or "nobody is in the picture" not in nobody
    assert "too lively" not in somebody
    assert "enrol while nobody is in the picture" in somebody


@pytest.mark.slow
def test_a_swaying_mount_and_a_breathing_lamp_are_no_movement(room):
    frames = [
        render.with_noise(
            render.with_light(
                render.panned(room, np.sin(i), np.cos(1.3 * i)), 1 + 0.1 * np.sin(i / 4)
            ),
            i,
        )
        for i in range(FRAMES)
    ]

    assert movement.moved(movement.apparent_motion(frames)).mean() < 0.02


@pytest.mark.slow
def test_the_drawing_has_every_block_and_its_legend(room):
    found = _survey(render.still(room, FRAMES), _bodies([(2, 3)]))

    rows = draw(found.coverage)

    assert len(rows) == signs.ROWS + 1
    assert rows[2].split()[3] == Cover.PERSON.sign
    assert "a person, or what looks like one 1" in rows[-1]
    assert as_png(found.coverage).startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "asl_signer_sister",
        "webcam_single_man_study",
        "static_office_meeting_group",
        *long("asl_signer_again", "webcam_single_man_desk", "webcam_single_man_portrait"),
        *long("studio_greenscreen_woman"),
    ],
)
def test_nobody_on_real_footage_is_enrolled_though_no_face_is_told(data_dir, name):
    """Backs and bowed heads have no face; so none is told here."""
    camera = FileCamera(data_dir / "video" / f"{name}.mp4")
    frames = [shot.frame for _, shot in zip(range(45), camera.shots(), strict=False)][::3]
    camera.close()

    with pytest.raises(EnrolmentError, match=r"somebody, or what looks like it, moves in [1-9]"):
        enrol(frames, [()] * len(frames), camera=CAMERA, enforce=True, mask_people=False,
              bodies=of_take(Bodies(), frames))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["static_table_bottles", "static_room_one_person_at_a_time"])
def test_an_empty_place_on_real_footage_is_enrolled(data_dir, name):
    camera = FileCamera(data_dir / "video" / f"{name}.mp4")
    opening = [s.frame for s in camera.shots() if s.captured_ns <= 1_000_000_000]
    camera.close()
    frames = opening[:: max(1, len(opening) // 15)]

    found = enrol(frames, [()] * len(frames), camera=CAMERA, enforce=True, mask_people=False,
                  bodies=of_take(Bodies(), frames))  # fmt: skip

    assert found.pairs >= 500
