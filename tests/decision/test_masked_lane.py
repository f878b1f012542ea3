"""The masked lane: what moves and where it is do not stop it, and what nobody can say is masked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.opencv import Shot
from edge.clock import MS
from edge.commissioning.records import Device, Session
from edge.errors import ModelError
from edge.evidence.context import INTEGRITY_ONLY, MASKED_VETOES, Context
from edge.evidence.readings import Reading, Source
from edge.lease import Lane
from edge.masking.blocks import CELLS
from edge.masking.mask import Mask
from edge.policy.engine import Policy
from edge.reasons import Reason
from edge.replay.engine import Replay
from edge.view.box import Box
from tests.support import render

STREET = Device(
    camera="body_worn",
    mount="worn_moving",
    lanes=(Lane.VIEW_MASKED, Lane.DETECT),
    dwell_s=1.0,
    user="us_state_local_police",
    by_or_for="by",
    jurisdiction="US-TX",
)
PERIOD_NS = 40 * MS
FACE = Box(300.0, 200.0, 340.0, 250.0, 0.9)


class Faces:
    """A detector that finds a face in the middle, or fails from some look on."""

    def __init__(self, fails_from: int = 10**6, boxes: Sequence[Box] = (FACE,)) -> None:
        self.looks = 0
        self._fails_from, self._boxes = fails_from, tuple(boxes)

    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        self.looks += 1
        if self.looks >= self._fails_from:
            raise ModelError("face model failed")
        return self._boxes


class Screen:
    """Keeps the masks that frames would leave through."""

    listening = True

    def __init__(self) -> None:
        self.masks: dict[int, Mask] = {}
        self._mask: Mask | None = None

    def stage(self, frame: np.ndarray, mask: Mask) -> int:
        self._mask = mask
        return 0

    def publish(self, slot: int, frame: np.ndarray, captured_ns: int, epoch: int) -> int:
        assert self._mask is not None
        self.masks[captured_ns] = self._mask
        return 0

    def wipe(self) -> None:
        """Nothing was kept."""


def shots(count: int, shift_px: int = 0) -> list[Shot]:
    """A room that slides by, with fresh noise in each frame."""
    room = render.room()
    frames = render.lived_in(room, count)
    moved = [np.roll(frame, shift_px * n, axis=1) for n, frame in enumerate(frames)]
    return [Shot(np.ascontiguousarray(f), n * PERIOD_NS) for n, f in enumerate(moved)]


def play(lane: Lane, faces: Faces, played: list[Shot]) -> tuple[Screen, Replay]:
    screen = Screen()
    session = Session(lane, "none")
    replay = Replay(STREET, session, Policy.load("strict"), None, faces, endpoint=screen)
    replay.run(played, [])
    return screen, replay


def is_grid(mask: Mask) -> bool:
    return bool(mask.levels.all()) and max(np.unique(mask.levels).shape) == 1


@pytest.mark.slow
def test_a_moving_camera_on_a_street_flows_masked_and_the_face_is_covered() -> None:
    screen, _ = play(Lane.VIEW_MASKED, Faces(), shots(60, shift_px=2))

    assert len(screen.masks) >= 32
    assert all(mask.levels[13:15, 19:21].all() for mask in screen.masks.values())
    assert any((mask.levels == 0).any() for mask in screen.masks.values())


@pytest.mark.slow
def test_the_twin_the_same_camera_stops_a_lane_that_gets_clear_frames() -> None:
    screen, _ = play(Lane.DETECT, Faces(), shots(60, shift_px=8))

    assert len(screen.masks) < 10


@pytest.mark.slow
def test_people_are_looked_for_in_every_evidence_frame() -> None:
    often, seldom = Faces(), Faces()
    play(Lane.VIEW_MASKED, often, shots(50))
    play(Lane.DETECT, seldom, shots(50))

    assert often.looks > 1.5 * seldom.looks


def test_after_a_detector_error_frames_are_a_grid_of_eight_by_eight_at_most() -> None:
    screen, _ = play(Lane.VIEW_MASKED, Faces(fails_from=14), shots(60))

    late = [mask for at, mask in screen.masks.items() if at > max(screen.masks) - 200 * MS]
    assert late
    assert all(is_grid(mask) for mask in late)
    assert all(len({r.top for r in m.rectangles}) <= CELLS for m in late)


@pytest.mark.slow
def test_a_crowd_is_a_grid() -> None:
    crowd = [dataclasses.replace(FACE, left=10.0 * n, right=10.0 * n + 8) for n in range(40)]

    screen, _ = play(Lane.VIEW_MASKED, Faces(boxes=crowd), shots(50))

    assert screen.masks
    assert all(is_grid(mask) for mask in screen.masks.values())


@pytest.mark.parametrize("source", [Source.SCENE, Source.POSITION, Source.EGO_MOTION])
def test_vetoes_of_place_and_movement_are_not_asked(source: Source) -> None:
    masked = Context(0, INTEGRITY_ONLY, vetoes=MASKED_VETOES)
    clear = Context(0, INTEGRITY_ONLY)
    for context in (masked, clear):
        for needed in INTEGRITY_ONLY:
            context.observe(Reading(needed, 100))
        context.observe(Reading(source, 100, (Reason.CAM_MOVING,)))

    assert masked.state(200).controlled
    assert not clear.state(200).controlled


def test_a_loop_still_stops_it() -> None:
    context = Context(0, INTEGRITY_ONLY, vetoes=MASKED_VETOES)
    for needed in INTEGRITY_ONLY:
        context.observe(Reading(needed, 100))
    context.observe(Reading(Source.FRESHNESS, 100, (Reason.CAM_LOOP,)))

    assert not context.state(200).controlled


def test_a_finder_for_masks_looks_closer(face_model: Path) -> None:
    from edge.evidence.faces import MASKING_SCORE, MASKING_SIZE, MIN_SCORE, face_finder

    assert MASKING_SCORE < MIN_SCORE
    assert MASKING_SIZE[0] > 320
    blank = np.zeros((360, 640, 3), np.uint8)
    assert face_finder(face_model, masking=True).detect(blank) == ()
