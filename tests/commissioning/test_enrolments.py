"""Enrolment with somebody in the picture: the measurement's own rules, and every case of it."""

from __future__ import annotations

import numpy as np
import pytest

from edge.commissioning import enrol_view
from edge.view import signs
from edge.view.enrolment import movement
from tests.support import render
from tests.support.enrol import enrol
from tests.support.enrolment_cases import CASES
from tests.support.enrolments import Attempt, Footage, Result, Step, Trial

PEOPLE = "people in 60 of 60 frames: enrol while nobody is in the picture"
MASKED = f"{PEOPLE}, or leave them out with --mask-people"


def _refused(message: str, *, true: bool = True) -> Attempt:
    return Attempt(message, true, None, 0)


@pytest.fixture
def enrolled(room):
    view = enrol(list(render.still(room, 6)), [()] * 6, camera=bytes(16), enforce=False)
    return Attempt("", True, view, 0)


def test_steps_are_taken_in_the_order_of_the_message():
    assert _refused(MASKED).steps == [Step.EMPTY, Step.MASK]
    assert _refused("too plain: show more of the room").steps == [Step.WIDER]


def test_a_case_is_right_only_if_all_that_was_named_is_so_and_helps(enrolled):
    peopled = Attempt("", True, enrolled.view, 1)

    assert Result(CASES[0], (_refused(PEOPLE), enrolled), None).right
    assert Result(CASES[0], (_refused(MASKED), enrolled), enrolled).right
    assert not Result(CASES[0], (_refused(PEOPLE), _refused(PEOPLE)), None).right
    assert not Result(CASES[0], (_refused(PEOPLE, true=False), enrolled), None).right
    assert not Result(CASES[0], (_refused(MASKED), enrolled), _refused(PEOPLE)).right
    assert not Result(CASES[0], (_refused(PEOPLE), peopled), None).right


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("begin", [frozenset(), frozenset({Step.MASK})], ids=["", "masked"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_refusal_advises_leads_to_a_view_with_nobody_in_it(
    data_dir, face_model, tmp_path, case, begin
):
    assert Trial(Footage(data_dir), tmp_path).run(case, set(begin)).right


@pytest.mark.long
@pytest.mark.slow
def test_somebody_in_a_view_is_noticed(data_dir, face_model, tmp_path, monkeypatch):
    """The twin: without eyes for bodies and for movement, somebody is enrolled."""
    nobody = np.zeros((signs.HEIGHT, signs.WIDTH), np.uint8)
    monkeypatch.setattr(enrol_view, "of_take", lambda bodies, frames: [nobody] * len(frames))
    monkeypatch.setattr(movement, "moved", lambda motion: np.zeros(motion.shape, bool))
    (case,) = (case for case in CASES if case.name == "bedroom-back-frozen")

    result = Trial(Footage(data_dir), tmp_path).run(case, {Step.MASK})

    assert result.peopled > 0
    assert not result.right
