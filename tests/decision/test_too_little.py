"""What the sentinel says of a frame that agrees badly: foreign, or too little to tell."""

from __future__ import annotations

import pytest

from edge.decision.engine import too_little
from edge.evidence.vision import Sighting
from edge.reasons import Reason
from edge.view.box import Box

FAR, NEAR = Box(300, 200, 340, 250, 0.9), Box(120, 60, 460, 400, 0.9)


def _seen(*boxes: Box, view_open: tuple[Reason, ...] = ()) -> Sighting:
    return Sighting(0, 480, 640, True, boxes, 0, view_open, (), 0, False, (), 0.0, (), None)


@pytest.mark.parametrize(
    "view,boxes,answer",
    [
        ((), (), None),
        ((), (FAR,), None),
        ((), (NEAR,), Reason.VIEW_PARTIAL),
        ((Reason.VIEW_PARTIAL,), (), Reason.VIEW_PARTIAL),
        ((Reason.VIEW_FADED,), (FAR,), None),
        ((Reason.VIEW_FOREIGN,), (NEAR,), None),
        ((Reason.VIEW_FOREIGN, Reason.VIEW_PARTIAL), (NEAR,), None),
    ],
)
def test_too_little_is_said_only_where_a_person_or_the_view_says_so(view, boxes, answer):
    assert too_little(view, _seen(*boxes)) is answer


@pytest.mark.parametrize(
    "view_open,answer",
    [
        ((Reason.VIEW_COVERED,), Reason.VIEW_COVERED),
        ((Reason.VIEW_CHANGED,), Reason.VIEW_CHANGED),
        ((Reason.VIEW_FOREIGN, Reason.VIEW_COVERED), None),  # another place hides everything
        ((Reason.VIEW_UNSEEN,), None),
    ],
)
def test_what_hides_a_view_that_else_agrees_is_named_even_while_a_permit_goes_on(view_open, answer):
    assert too_little((), _seen(view_open=view_open)) is answer
