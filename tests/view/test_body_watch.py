"""Bodies at run time: who hides the view counts as a person and explains what is hidden."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from edge.clock import MS, S
from edge.evidence.people import PeopleRules, PeopleWatch
from edge.evidence.vision import Observer
from edge.reasons import Reason
from edge.view import signs
from edge.view.bodies import MAYBE, SURELY, Bodies
from edge.view.body_watch import BodyWatch
from edge.view.box import Box
from edge.view.check import ViewCheck
from tests.support import render
from tests.support.enrol import enrol
from tests.support.rooms import over, people

FRAME = np.zeros((480, 640, 3), np.uint8)
LEFT = [(row, column) for row in (2, 3, 4, 5) for column in (0, 1)]
RIGHT = [(row, column) for row in (2, 3, 4, 5) for column in (5, 6)]


def _mask(blocks, value=SURELY):
    mask = np.zeros((signs.HEIGHT, signs.WIDTH), np.uint8)
    for row, column in blocks:
        mask[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = value
    return mask


def _bits(blocks):
    return sum(1 << (row * signs.COLUMNS + column) for row, column in blocks)


class _Bodies:
    def __init__(self, mask):
        self.mask, self.looks = mask, 0

    def find(self, frame):
        self.looks += 1
        return self.mask


class NoFaces:
    def detect(self, frame):
        return ()


def _face(blocks):
    """A face at the top of these blocks."""
    row, column = min(blocks)
    return Box(column * 80 + 60, row * 80 + 20, column * 80 + 100, row * 80 + 70, 0.9)


def test_a_back_over_hidden_blocks_is_a_person():
    watch = BodyWatch(_Bodies(_mask(LEFT)))

    assert watch.read(FRAME, 0, _bits(LEFT), ()).faceless == 1


def test_a_body_with_a_face_is_counted_by_its_face_alone():
    watch = BodyWatch(_Bodies(_mask(LEFT) | _mask(RIGHT)))

    assert watch.read(FRAME, 0, _bits(LEFT + RIGHT), (_face(LEFT),)).faceless == 1
    both = BodyWatch(_Bodies(_mask(LEFT) | _mask(RIGHT)))
    assert both.read(FRAME, 0, _bits(LEFT + RIGHT), (_face(LEFT), _face(RIGHT))).faceless == 0


def test_what_looks_like_a_body_and_hides_nothing_is_furniture():
    """A bottle that was enrolled with the place; the twin hides what was enrolled."""
    bottle = BodyWatch(_Bodies(_mask(LEFT)))

    assert bottle.read(FRAME, 0, _bits(RIGHT), ()).faceless == 0
    doubtful = BodyWatch(_Bodies(_mask(LEFT, MAYBE)))
    assert doubtful.read(FRAME, 0, _bits(LEFT), ()).places.max() == 0


def test_nobody_is_looked_for_while_the_view_is_whole_and_then_five_times_a_second():
    bodies = _Bodies(_mask(LEFT))
    watch = BodyWatch(bodies)

    for number in range(10):
        watch.read(FRAME, number * 100 * MS, 0, ())
    assert bodies.looks == 0
    for number in range(10, 20):
        watch.read(FRAME, number * 100 * MS, _bits(LEFT), ())
    assert bodies.looks == 5


def test_whoever_turns_round_is_one_person_and_whoever_stands_beside_is_another():
    alone, two = BodyWatch(_Bodies(_mask(LEFT))), BodyWatch(_Bodies(_mask(LEFT) | _mask(RIGHT)))
    face, hidden = (_face(LEFT),), _bits(LEFT + RIGHT)
    assert alone.read(FRAME, 0, hidden, ()).faceless == 1
    assert two.read(FRAME, 0, hidden, ()).faceless == 2

    shown = alone.read(FRAME, 100 * MS, 0, face), two.read(FRAME, 100 * MS, 0, face)

    assert [hiding.faceless for hiding in shown] == [0, 1]
    assert alone.read(FRAME, 300 * MS, hidden, ()).faceless == 1, "and turns away again"


def test_bodies_are_counted_where_the_faces_are_of_the_same_frame():
    """Whoever walks has left the place where their face was a moment ago."""
    watch = BodyWatch(_Bodies(_mask(LEFT)))

    before = watch.read(FRAME, 0, _bits(LEFT), (_face(RIGHT),), looked=False)
    now = watch.read(FRAME, 200 * MS, _bits(LEFT), (_face(LEFT),))
    away = watch.read(FRAME, 400 * MS, _bits(LEFT), (_face(RIGHT),))

    assert before.places is not None, "they explain what is hidden all the same"
    assert [one.faceless for one in (before, now, away)] == [0, 0, 1]


def test_who_left_is_forgotten_after_a_second_and_not_before():
    watch = BodyWatch(_Bodies(_mask(LEFT)))
    watch.read(FRAME, 0, _bits(LEFT), ())

    assert watch.read(FRAME, S // 2, 0, ()).faceless == 1
    assert watch.read(FRAME, S + MS, 0, ()).faceless == 0


@pytest.mark.parametrize(
    "faces,faceless,crowd", [(1, 0, False), (0, 1, False), (1, 1, True), (0, 2, True)]
)
def test_a_back_counts_like_a_face(faces, faceless, crowd):
    watch = PeopleWatch(PeopleRules(max=1))
    boxes = [Box(100 * i, 100, 100 * i + 80, 200, 0.9) for i in range(faces)]

    assert (Reason.PEOPLE_CROWD in watch.read(boxes, 0, 480, 640, faceless)) is crowd


@pytest.mark.slow
def test_a_body_explains_what_it_hides_and_a_board_does_not(room):
    fingerprint = enrol(list(render.still(room, 12)), [()] * 12, camera=bytes(16), enforce=True)
    hidden = room.copy()
    hidden[160:, 300:480] = 20
    body = _mask([(row, column) for row in (2, 3, 4, 5) for column in (4, 5)])

    alone = ViewCheck(fingerprint).read(render.with_noise(hidden, 1), 0, ())
    explained = ViewCheck(fingerprint).read(render.with_noise(hidden, 1), 0, (), lambda _: body)

    assert alone.reasons_open == (Reason.VIEW_COVERED,)
    assert explained.reasons_open == ()


@pytest.mark.slow
def test_real_backs_are_people_and_a_board_is_none(data_dir):
    """A woman seen from behind, once and twice, in a room that she was put into.

    In 18 such places of five rooms 52 of 90 single looks count her.
    """
    room = render.room(1)
    fingerprint = enrol(list(render.still(room, 12)), [()] * 12, camera=bytes(16), enforce=True)
    picture, alpha = next(islice(people("back", data_dir), 120, None))
    one = over(room, picture, alpha, 0.15, 0.9)
    two = over(one, picture, alpha, 0.6, 0.9)
    board = room.copy()
    board[100:, 110:330] = 90

    def reasons(view):
        seen = Observer(fingerprint, NoFaces(), bodies=Bodies()).see(render.with_noise(view, 1), 0)
        watched = PeopleWatch(PeopleRules(max=1)).read((), 0, 480, 640, seen.faceless)
        return seen.faceless, watched, seen.view_open

    assert reasons(one) == (1, (), ())
    assert reasons(two)[:2] == (2, (Reason.PEOPLE_CROWD,))
    assert reasons(board) == (0, (), (Reason.VIEW_COVERED,))
