"""The enrolled view in the slow loop: what it takes to begin and to go on."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.clock import MS, S
from edge.evidence.faces import FaceBoxes
from edge.reasons import Reason
from edge.replay.files import enrol_opening
from edge.view import signs
from edge.view.box import Box
from edge.view.check import MAX_HIDDEN, MIN_GRADIENT, MIN_SIGN, ViewCheck
from edge.view.fingerprint import Fingerprint, packed
from edge.view.memory.level import MIN_LEVEL
from edge.view.silhouette import covered_blocks, silhouettes
from tests.support import render
from tests.support.enrol import enrol
from tests.support.parts import long

CAMERA = bytes(16)


@pytest.fixture(scope="module")
def fingerprint(room) -> Fingerprint:
    return enrol(list(render.still(room, 12)), [()] * 12, camera=CAMERA, enforce=True)


def _board(room: np.ndarray, share: float) -> np.ndarray:
    """The view with a strange rectangle before `share` of its width."""
    out = room.copy()
    out[:, : int(640 * share)] = render.street()[:, : int(640 * share)]
    return out


@pytest.mark.slow
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
    assert not_explained.reasons_open == (Reason.VIEW_PARTIAL, Reason.VIEW_COVERED)
    assert not_explained.reasons_continue == (Reason.VIEW_PARTIAL,)


def test_a_person_who_looks_away_for_a_moment_is_still_a_person(fingerprint, room):
    face = Box(270, 110, 370, 230, 0.9)
    body = room.copy()
    cv2.rectangle(body, (170, 90), (470, 480), (40, 60, 40), -1)
    check = ViewCheck(fingerprint)
    check.read(body, S, (face,))

    away, gone = check.read(body, 2 * S, ()), check.read(body, 2 * S + 100 * MS, ())

    assert away.reasons_continue == ()
    assert gone.reasons_continue == (Reason.VIEW_PARTIAL,)


def test_a_peephole_board_never_opens(fingerprint, room):
    """A board hides a third of the view; nobody is there to explain it."""
    reading = ViewCheck(fingerprint).read(_board(room, 0.33), S, ())

    assert Reason.VIEW_COVERED in reading.reasons_open


def test_a_moved_chair_leaves_a_small_view_open_and_a_board_does_not(fingerprint, room):
    """Four blocks of 26 are more than the share, and a twelfth of the picture."""
    small = signs.as_blocks(fingerprint.blocks)
    small[np.flatnonzero(small)[26:]] = False
    kept = fingerprint.mask * small[signs.BLOCK_OF_PAIR].astype(np.uint8)
    file = dataclasses.replace(
        fingerprint.file, mask=packed(kept), bits=packed(fingerprint.bits & kept)
    )
    view = Fingerprint(file)
    check = ViewCheck(view)
    seen = np.flatnonzero(signs.as_blocks(check.read(room, S, ()).seen_blocks))
    for hidden, opens in ((4, True), (6, False)):
        picture = room.copy()
        for block in seen[-hidden:]:
            row, column = divmod(int(block), signs.COLUMNS)
            picture[row * 80 : row * 80 + 80, column * 80 : column * 80 + 80] = 128

        reading = ViewCheck(view).read(picture, S, ())

        assert (Reason.VIEW_COVERED not in reading.reasons_open) is opens, hidden


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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 4.0, *long(1.0, 2.0)])
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


@pytest.mark.slow
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_fade_to_a_plain_picture_closes_before_half_though_every_sign_agrees(
    fingerprint, room, grey
):
    """The relative rule by itself: the absolute limits still hold, and it says no."""
    check = ViewCheck(fingerprint)
    for i in range(10):
        assert check.read(render.with_noise(room, i), i * 100 * MS, ()).reasons_continue == ()

    faded = []
    for step in range(1, 6):
        mixed = cv2.addWeighted(room, 1 - step / 10, np.full_like(room, grey), step / 10, 0)
        reading = check.read(mixed, (10 + step) * 100 * MS, ())
        assert reading.sign >= MIN_SIGN
        assert reading.gradient >= MIN_GRADIENT
        faded.append(Reason.VIEW_FADED in reading.reasons_continue)

    assert faded[0] is False
    assert faded[-1] is True


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_peephole_rule_holds_for_any_size_of_board(fingerprint, room):
    enrolled = fingerprint.blocks.bit_count()
    for share in np.arange(0.25, 1.0, 0.05):
        reading = ViewCheck(fingerprint).read(_board(room, share), S, ())
        hidden = enrolled - reading.seen_blocks.bit_count()
        assert reading.reasons_open or hidden <= 0.15 * enrolled


def _placards(view, other, count, seed=1):
    """The view behind `count` rectangles of another picture, with the share each one takes."""
    height, width = view.shape[:2]
    other = cv2.resize(other, (width, height))
    rng = np.random.default_rng(seed)
    for _ in range(count):
        area, aspect = rng.uniform(0.5, 0.8), np.exp(rng.uniform(-0.7, 0.7))
        across = min(1.0, np.sqrt(area * aspect))
        down = min(1.0, area / across)
        x, y = rng.uniform(0, 1 - across), rng.uniform(0, 1 - down)
        x, y = (round(x) * (1 - across), y) if rng.random() < 0.7 else (x, y)
        part = np.s_[
            int(y * height) : int((y + down) * height), int(x * width) : int((x + across) * width)
        ]
        out = view.copy()
        out[part] = other[part]
        yield out, out[part].size / out.size


def _goes_on(fingerprint, view, placard) -> bool:
    check = ViewCheck(fingerprint)
    check.read(view, 0, ())
    return check.read(placard, 100 * MS, ()).reasons_continue == ()


@pytest.mark.slow
def test_a_placard_before_most_of_the_view_closes_at_once(fingerprint, room):
    found = list(_placards(room, render.street(), 150))

    accepted = [share for placard, share in found if _goes_on(fingerprint, room, placard)]

    assert len(accepted) <= 2
    assert max(accepted, default=0.0) < 0.6


@pytest.mark.slow
def test_texture_where_the_view_was_plain_is_hidden_too(plain_sided, room):
    fingerprint, view = plain_sided
    placard = view.copy()
    placard[:, 400:] = render.street()[:, 400:]
    placard[300:, :] = render.street()[300:, :]
    check = ViewCheck(fingerprint)
    assert check.read(view, 0, ()).reasons_open == ()

    reading = check.read(placard, 100 * MS, ())
    dim = check.read((view * 0.6).astype(np.uint8), 200 * MS, ())

    assert reading.seen_blocks.bit_count() >= 0.5 * fingerprint.blocks.bit_count()
    assert reading.hidden > MAX_HIDDEN
    assert Reason.VIEW_PARTIAL in reading.reasons_continue
    assert dim.hidden == 0.0


@pytest.fixture(scope="module")
def plain_sided(room) -> tuple[Fingerprint, np.ndarray]:
    """A view whose right third is a bare wall."""
    view = room.copy()
    view[:, 430:] = 140
    frames = list(render.still(view, 12))
    return enrol(frames, [()] * 12, camera=CAMERA, enforce=False), view


def _over_time(check, pictures, start_ns=0):
    return [
        (start_ns + i * 200 * MS, check.read(picture, start_ns + i * 200 * MS, ()))
        for i, picture in enumerate(pictures)
    ]


def test_what_nobody_explains_may_hide_a_part_for_ten_seconds(fingerprint, room):
    check, board = ViewCheck(fingerprint), _board(room, 0.25)
    _over_time(check, [room] * 5)

    found = _over_time(check, [board] * 75, start_ns=S)

    good = [t for t, reading in found if reading.reasons_continue == ()]
    assert found[0][1].unexplained > 0.15
    assert 9 * S <= max(good) - min(good) <= 11 * S
    assert all(r.reasons_continue == (Reason.VIEW_COVERED,) for t, r in found if t > max(good))


def test_lifting_the_board_for_a_moment_buys_no_more_time(fingerprint, room):
    check, board = ViewCheck(fingerprint), _board(room, 0.25)
    _over_time(check, [room] * 5)
    _over_time(check, [board] * 60, start_ns=S)

    lifted, again = _over_time(check, [room, board], start_ns=14 * S)

    assert lifted[1].reasons_open == ()
    assert again[1].reasons_continue == (Reason.VIEW_COVERED,)


@pytest.mark.slow
def test_hands_that_come_and_go_may_do_so_for_ever(fingerprint, room):
    """The twin: a quarter of the view hidden for three seconds of every ten."""
    check, board = ViewCheck(fingerprint), _board(room, 0.25)

    found = _over_time(check, ([room] * 35 + [board] * 15) * 9)

    assert all(reading.reasons_continue == () for _, reading in found)


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


@pytest.mark.slow
def test_the_kiosk_recognises_its_own_clip(clip, kiosk, faces):
    readings = list(_readings(clip("single_face.mp4"), kiosk, faces))

    assert all(r.reasons_continue == () for _, r in readings)


@pytest.mark.slow
def test_the_cut_away_is_foreign_from_its_first_reading(clip, kiosk, faces):
    readings = list(_readings(clip("face_noface.mov"), kiosk, faces))

    assert all(r.reasons_continue == () for t, r in readings if t < 2_380 * MS)
    assert all(r.reasons_continue for t, r in readings if t >= 2_500 * MS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["carphone_pristine.mp4", "bikes.mp4"])
def test_a_car_and_a_street_are_never_the_kiosk(clip, kiosk, faces, name):
    readings = list(_readings(clip(name), kiosk, faces))

    assert readings
    assert all(r.reasons_continue for _, r in readings)


ROOMS = ("static_room_one_person_at_a_time", "static_table_bottles")  # a site may enrol these


@pytest.mark.slow
@pytest.mark.parametrize("name", [ROOMS[0], *long(ROOMS[1])])
def test_placards_of_real_streets_before_real_rooms(data_dir, faces, name):
    own = data_dir / "video" / f"{name}.mp4"
    fingerprint = enrol_opening(own, 1.0, faces)
    view = next(FileCamera(own).shots()).frame
    accepted = []
    for seed, street in enumerate(("static_times_square_crowd", "static_station_stairs")):
        other = next(FileCamera(data_dir / "video" / f"{street}.mp4").shots()).frame
        for placard, share in _placards(view, other, 150, seed):
            if _goes_on(fingerprint, view, placard):
                accepted.append(share)

    own_readings = list(_readings(own, fingerprint, faces))

    assert len(accepted) <= 6  # of 300; before there was a limit for the picture, about 90
    assert max(accepted, default=0.0) < 0.6
    assert all(r.reasons_continue == () for _, r in own_readings)


def _near(room):
    """Somebody near, before 28 of 48 blocks, and where that is."""
    view, where = room.copy(), np.zeros((signs.HEIGHT, signs.WIDTH), np.uint8)
    view[:, 80:360] = (90, 120, 180)
    where[:, 8:36] = 255
    return view, where


@pytest.mark.slow
def test_whoever_comes_near_takes_no_level_from_what_is_left(fingerprint, room):
    """Unexplained, the same takes the contrast of the middle block."""
    near, where = _near(room)
    explained, unexplained = ViewCheck(fingerprint), ViewCheck(fingerprint)
    for i in range(10):
        for check in (explained, unexplained):
            check.read(render.with_noise(room, i), i * 100 * MS, ())

    assert explained.read(near, S, (), lambda _: where).level > 0.9
    assert unexplained.read(near, S, ()).level < 0.75


@pytest.mark.slow
def test_a_fade_behind_somebody_near_is_noticed_all_the_same(fingerprint, room):
    near, where = _near(room)
    other = render.street()
    check = ViewCheck(fingerprint)
    for i in range(10):
        check.read(render.with_noise(near, i), i * 100 * MS, (), lambda _: where)

    for step in range(1, 11):
        share = step / 10
        mixed = cv2.addWeighted(room, 1 - share, other, share, 0)
        mixed[:, 80:360] = near[:, 80:360]
        if check.read(mixed, (10 + step) * 100 * MS, (), lambda _: where).reasons_continue:
            break

    assert 0.1 <= share <= 0.5


@pytest.mark.slow
def test_whoever_moves_near_the_camera_is_no_fade_and_a_fade_of_the_rest_is(fingerprint, room):
    """Ten blocks are left: too few to judge the level by themselves, enough to name the cause."""
    where = np.zeros((signs.HEIGHT, signs.WIDTH), np.uint8)
    where[:40, :] = where[:, :48] = 255  # the lower corner is free
    where[16:, 48:] = 0
    covered = cv2.resize(where, (640, 480), interpolation=cv2.INTER_NEAREST)[..., None] != 0
    flat = cv2.addWeighted(room, 0.6, np.full_like(room, (90, 120, 180)), 0.4, 0)
    found = []
    for picture in (np.where(covered, flat, room), flat):
        check = ViewCheck(fingerprint)
        for i in range(10):
            check.read(render.with_noise(room, i), i * 100 * MS, (), lambda _: where)
        found.append(check.read(picture, S, (), lambda _: where))

    assert all(reading.level < MIN_LEVEL for reading in found)
    assert [reading.reasons_continue for reading in found] == [
        (Reason.VIEW_PARTIAL,),
        (Reason.VIEW_FADED,),
    ]


def test_somebody_near_hides_too_much_and_a_foreign_picture_is_foreign(fingerprint, room):
    """Chance agreement in what a person covers is no ground to call the own place foreign."""
    near, there = Box(20, 160, 190, 330, 0.9), np.roll(room, 16, axis=1)  # agrees here and there
    covered = signs.as_blocks(covered_blocks(silhouettes((near,), 640, 480)))
    assert covered.sum() >= signs.BLOCKS / 2
    covered = np.kron(covered.reshape(signs.ROWS, signs.COLUMNS), np.ones((80, 80))) != 0
    own, other = room.copy(), render.street()
    own[covered] = other[covered] = there[covered]

    check = ViewCheck(fingerprint)
    check._gradients.agreement = lambda frame, blocks: 0.49  # as chance would have it

    assert check.read(own, S, (near,)).reasons_continue == (Reason.VIEW_PARTIAL,)
    assert Reason.VIEW_FOREIGN in check.read(own, 3 * S, ()).reasons_continue
    assert Reason.VIEW_FOREIGN in check.read(other, 5 * S, (near,)).reasons_continue


def _shelves(room: np.ndarray, seed: int) -> np.ndarray:
    """The room with shelves before three tenths of it; another seed, other shelves."""
    out, rng = room.copy(), np.random.default_rng(seed)
    out[192:, :320] = cv2.resize(rng.integers(30, 220, (9, 8, 3), np.uint8), (320, 288))
    return out


@pytest.mark.slow
def test_furniture_that_was_moved_is_told_from_what_moves_and_from_a_lid(fingerprint, room):
    """Steady and different for half a minute; a door that swings and a plain sheet are not."""
    sheet = room.copy()
    sheet[192:, :320] = 128
    swings = [_shelves(room, seed) for seed in range(100, 140)]
    for pictures, stays in (([_shelves(room, 3)], True), (swings, False), ([sheet], False)):
        check = ViewCheck(fingerprint)
        assert check.read(room, 0, ()).reasons_open == ()
        causes = [
            check.read(
                render.with_noise(pictures[second % len(pictures)], second, 0.8), second * S, ()
            ).reasons_open
            for second in range(1, 40, 3)
        ]

        assert (Reason.VIEW_COVERED,) in causes[4:9]
        assert all(Reason.VIEW_CHANGED not in reasons for reasons in causes[:9])
        assert ((Reason.VIEW_CHANGED,) in causes) is stays
        assert causes[-1] != () or not stays
        assert check.read(render.with_noise(room, 99), 41 * S, ()).reasons_open == ()


@pytest.mark.slow
def test_a_view_enrolled_after_furniture_was_moved_opens(fingerprint, room):
    """What the reason advises works: as a renewal, too."""
    changed = [render.with_noise(_shelves(room, 3), i) for i in range(12)]
    anew = enrol(changed, [()] * 12, camera=CAMERA, enforce=True)

    assert ViewCheck(anew).read(changed[0], S, ()).reasons_open == ()
    assert Reason.VIEW_COVERED in ViewCheck(fingerprint).read(changed[0], S, ()).reasons_open
