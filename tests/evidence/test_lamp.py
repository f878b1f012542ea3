"""A lamp that goes out ends no permit; whatever else takes the contrast at once still does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest

from edge.audit.schema import Release
from edge.cameras.opencv import Shot
from edge.clock import MS, S
from edge.evaluation.forge import PERFECT_DEVICE, PERFECT_SESSION, still_board
from edge.evidence.people import PeopleRules
from edge.evidence.readings import Source
from edge.evidence.vision import LAMP_NS
from edge.policy.engine import Policy
from edge.reasons import Reason
from edge.replay.engine import Replay
from edge.report.record import Outcome
from edge.view.box import Box
from edge.view.check import ViewCheck
from edge.view.fingerprint import Fingerprint
from tests.support import render
from tests.support.enrol import enrol
from tests.support.vision import SeeAndRead, examine

STEP_NS = 100 * MS
ACROSS = np.linspace(0.45, 0.75, 640)[None, :, None]  # a lamp to one side


class Nobody:
    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        return ()


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    return render.room()


@pytest.fixture(scope="module")
def fingerprint(room: np.ndarray) -> Fingerprint:
    return enrol(list(render.still(room, 12)), [()] * 12, camera=bytes(16), enforce=True)


def _lamp_out(room: np.ndarray) -> np.ndarray:
    return np.clip(room * ACROSS, 0, 255).astype(np.uint8)


def _exposed(room: np.ndarray) -> np.ndarray:
    """Two fifths of the light through a camera's gamma."""
    light = (room / 255.0) ** 2.2 * 0.4
    return np.asarray(255 * light ** (1 / 2.2), np.uint8)


def _mixed(room: np.ndarray, other: np.ndarray, share: float = 0.4) -> np.ndarray:
    return np.asarray(cv2.addWeighted(room, 1 - share, other, share, 0), np.uint8)


def _grey(room: np.ndarray) -> np.ndarray:
    return _mixed(room, np.full_like(room, 128))


def _street(room: np.ndarray) -> np.ndarray:
    return _mixed(room, render.street())


def _half_black(room: np.ndarray) -> np.ndarray:
    return _mixed(room, np.zeros_like(room), 0.55)


def _dusk(room: np.ndarray) -> np.ndarray:
    """The darkest other place that still shows something."""
    return _mixed(room, (render.street() * 0.4).astype(np.uint8))


Change = Callable[[np.ndarray], np.ndarray]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "lamp"),
    [
        (_lamp_out, True),
        (_exposed, True),
        (_grey, False),
        (_street, False),
        (_dusk, False),
        (_half_black, False),
    ],
)
def test_a_lamp_takes_brightness_and_contrast_alike_and_another_picture_does_not(
    fingerprint: Fingerprint, room: np.ndarray, change: Change, lamp: bool
) -> None:
    check = ViewCheck(fingerprint)
    for i in range(10):
        assert check.read(render.with_noise(room, i), i * STEP_NS, ()).reasons_continue == ()

    first, second = (
        check.read(render.with_noise(change(room), i), i * STEP_NS, ()) for i in (10, 11)
    )

    assert first.reasons_continue
    assert (first.reasons_continue == (Reason.VIEW_DIMMED,)) is lamp
    assert (second.reasons_continue == ()) or not lamp


@pytest.mark.slow
@pytest.mark.parametrize(
    ("then", "lamp"),
    [(lambda room: room, True), (_street, False), (_grey, False), (_dusk, False)],
    ids=["stays", "street", "grey", "dusk"],
)
def test_what_looked_like_a_lamp_and_goes_on_is_a_fade(
    fingerprint: Fingerprint, room: np.ndarray, then: Change, lamp: bool
) -> None:
    check = ViewCheck(fingerprint)
    for i in range(10):
        check.read(render.with_noise(room, i), i * STEP_NS, ())

    first = check.read(_lamp_out(room), 10 * STEP_NS, ())
    second = check.read(then(_lamp_out(room)), 11 * STEP_NS, ())

    assert first.reasons_continue == (Reason.VIEW_DIMMED,)
    assert second.reasons_continue == (() if lamp else (Reason.VIEW_FADED,))


def test_another_picture_for_a_moment_after_a_lamp_is_not_overlooked(
    fingerprint: Fingerprint, room: np.ndarray
) -> None:
    """Its contrast is as high as before; only the brightness is not."""
    check = ViewCheck(fingerprint)
    for i in range(10):
        check.read(render.with_noise(room, i), i * STEP_NS, ())
    check.read(_lamp_out(room), 10 * STEP_NS, ())
    bright = np.clip(_lamp_out(room) * 1.0 + 70, 0, 255).astype(np.uint8)

    reading = check.read(bright, 11 * STEP_NS, ())

    assert reading.reasons_continue == (Reason.VIEW_FADED,)


def _views(vision: SeeAndRead, frames: Sequence[np.ndarray], from_ns: int) -> list[object]:
    """For each frame what the view's reading holds against it; None where there is no reading."""
    found: list[object] = []
    for i, frame in enumerate(frames):
        result = examine(vision, frame, from_ns + i * STEP_NS, opening=False, still=True)
        of_view = [r.reasons for r in result.readings if r.source is Source.VIEW]
        assert result.unsettled or of_view, "frames wait while there is no reading"
        found.append(of_view[0] if of_view else None)
    return found


@pytest.mark.slow
def test_a_second_lamp_within_ten_seconds_is_no_longer_waited_for(
    fingerprint: Fingerprint, room: np.ndarray
) -> None:
    vision = SeeAndRead(fingerprint, Nobody(), PeopleRules())
    dark, lit = [_lamp_out(room)] * 6, [room] * 24

    once = _views(vision, [*lit, *dark, *lit], S)
    again = _views(vision, [*dark, *lit], 7 * S)
    later = _views(vision, [*lit, *dark], 8 * S + LAMP_NS)

    assert once.count(None) == 1
    assert (None in again, (Reason.VIEW_DIMMED,) in again) == (False, True)
    assert (None in later, (Reason.VIEW_DIMMED,) in later) == (True, False)


@pytest.mark.slow
@pytest.mark.parametrize("release", list(Release))
def test_frames_flow_while_a_lamp_goes_out_and_none_while_a_picture_comes_in(
    fingerprint: Fingerprint, room: np.ndarray, release: Release
) -> None:
    """The lamp seems to go out in both; in the twin the next pictures show another place."""
    policy, live = Policy.load("strict"), list(render.lived_in(room, 50))
    lamp = [frame if i < 30 else _lamp_out(frame) for i, frame in enumerate(live)]
    forged = [*lamp[:31], *(_street(frame) for frame in lamp[31:34])]

    passed = []
    for frames in (lamp, forged):
        shots = [Shot(frame, i * STEP_NS) for i, frame in enumerate(frames)]
        guard = Replay(
            PERFECT_DEVICE, PERFECT_SESSION, policy, fingerprint, Nobody(), release=release
        )
        decisions = guard.run(shots, still_board(shots[-1].captured_ns)).decisions
        passed.append([one.verdict is Outcome.PASS for one in decisions])

    flows, twin = passed
    assert all(flows[20:])
    assert all(twin[20:30])
    assert not any(twin[30:])
