"""Trials: every recording against every view, through the same judge as the guard.

A recording is decoded once and its faces are found once; each trial then plays
it in virtual time against one view. Beside what passed, a trial keeps how near
the picture came to passing: the sentinel's score of every frame, and for every
reading the smallest distance to a limit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

from edge.cameras.opencv import FileCamera, Shot
from edge.clock import MS, S
from edge.commissioning.records import Device
from edge.errors import CameraError
from edge.evaluation.availability import Availability, account
from edge.evaluation.forge import PERFECT_SESSION
from edge.evaluation.manifest import Clip
from edge.evidence.faces import FaceBoxes
from edge.evidence.readings import BoardSample
from edge.evidence.vision import SceneFinder
from edge.frames.sentinel import Sentinel
from edge.policy.engine import Policy
from edge.reasons import Reason
from edge.replay.engine import Replay
from edge.report.record import Outcome as FrameOutcome
from edge.view import check as view
from edge.view.bodies import Bodies, of_take
from edge.view.body_watch import BodyFinder
from edge.view.box import Box
from edge.view.enrol import survey
from edge.view.enrolment.coverage import Coverage
from edge.view.fingerprint import Fingerprint
from edge.view.signs import ALL_BLOCKS, Pixels

SETTLE_NS = 600 * MS  # "after the dwell" begins this long after it
ENROL_NS = 1 * S
FACES_NS = 180 * MS  # how often faces are looked for
VIEW_NS = 90 * MS  # how often the view is read
CAMERA = bytes(16)  # the camera's identity is forged too


@dataclass(frozen=True, slots=True)
class Footage:
    """A decoded recording and its faces."""

    clip: Clip
    shots: tuple[Shot, ...]
    faces: dict[int, tuple[Box, ...]]  # by the frame's id, for the frames looked at
    finder: BodyFinder  # of bodies
    bodies: dict[int, Pixels] = field(default_factory=dict)  # by the frame's id; looked for once

    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        """The faces found in this frame, or in the one looked at before it."""
        return self.faces[id(frame)]

    def find(self, frame: np.ndarray) -> Pixels:
        """Where bodies are in this frame, for as many trials as ask."""
        if id(frame) not in self.bodies:
            self.bodies[id(frame)] = self.finder.find(frame)
        return self.bodies[id(frame)]

    @property
    def last_ns(self) -> int:
        return self.shots[-1].captured_ns


@dataclass(frozen=True, slots=True)
class View:
    """An enrolled view, or why there is none."""

    clip: Clip
    fingerprint: Fingerprint | None
    refusal: str  # why enrolment's own checks refused; empty if they did not
    coverage: Coverage
    still: bytes = b""  # a small JPEG with the faces in it masked, for the report


@dataclass(frozen=True, slots=True)
class Trial:
    """One recording against one view."""

    clip: str
    view: str
    frames: int
    passed: int
    due: int  # frames after the dwell
    due_passed: int
    reasons: dict[Reason, int]
    due_reasons: dict[Reason, int]  # of the frames blocked after the dwell
    scores: tuple[float, ...]  # the sentinel's, of every frame, over all blocks
    margin: float  # of the reading nearest to passing: smallest distance to a limit; > 0 passes
    decisions: tuple[bool, ...]  # passed, frame by frame
    availability: Availability


def decode(clip: Clip, faces: FaceBoxes, *, until_ns: int | None = None) -> Footage:
    """Decode a recording and find its faces, as often as the slow loop looks for them."""
    end_ns = math.inf if until_ns is None else until_ns
    with closing(FileCamera(clip.path)) as camera:
        shots = tuple(takewhile(lambda shot: shot.captured_ns <= end_ns, camera.shots()))
    if not camera.tally.complete:
        raise CameraError(f"{clip.path}: {camera.tally}")
    found: dict[int, tuple[Box, ...]] = {}
    boxes: tuple[Box, ...] = ()
    last_ns = -S
    for shot in shots:
        if shot.captured_ns - last_ns >= FACES_NS or shot is shots[-1]:
            boxes, last_ns = faces.detect(shot.frame), shot.captured_ns
        found[id(shot.frame)] = boxes
    return Footage(clip, shots, found, Bodies(both=False))


def enrol_view(footage: Footage, bodies: Bodies) -> View:
    """Enrol from the first second, people masked; note what a real site would have refused.

    Raises:
        EnrolmentError: the recording has too few frames for any view.
    """
    opening = [s.frame for s in footage.shots if s.captured_ns <= ENROL_NS]
    frames = opening[:: max(1, len(opening) // 30)]
    boxes = [footage.detect(frame) for frame in frames]
    masks = of_take(bodies, frames)
    site = survey(frames, boxes, camera=CAMERA, enforce=True, mask_people=False, bodies=masks)
    if site.fingerprint is not None:
        return View(footage.clip, site.fingerprint, "", site.coverage)
    refusal = "; ".join(site.causes)
    trial = survey(frames, boxes, camera=CAMERA, enforce=False, bodies=masks)
    if trial.fingerprint is None:
        refusal = "; ".join(trial.causes)
    return View(footage.clip, trial.fingerprint, refusal, trial.coverage)


def play(
    footage: Footage,
    shown: View | None,
    device: Device,
    policy: Policy,
    samples: Sequence[BoardSample],
    scene: SceneFinder | None = None,
    *,
    nearness: bool = True,
) -> Trial:
    """Play one recording against one view.

    Args:
        scene: without it there is no veto.
        nearness: also find how near every frame and reading came to passing.
    """
    fingerprint = shown.fingerprint if shown is not None else None
    guard = Replay(
        device, PERFECT_SESSION, policy, fingerprint, footage, scene=scene, bodies=footage
    )
    outcome = guard.run(footage.shots, samples)
    passed = [d.verdict is FrameOutcome.PASS for d in outcome.decisions]
    after_ns = round(device.dwell_s * S) + SETTLE_NS
    late = [d for d in outcome.decisions if d.captured_ns >= after_ns]
    true = footage.clip.true_causes
    if shown is None or shown.refusal:  # enrolment says why, and no site would run
        true = frozenset(Reason)
    counted = Counter(reason for d in outcome.decisions for reason in d.reasons)
    due_counted = Counter(reason for d in late for reason in d.reasons)
    scores: tuple[float, ...] = ()
    margin = -1.0
    if fingerprint is not None and nearness:
        scores, margin = _nearness(footage, fingerprint)
    return Trial(
        clip=footage.clip.name,
        view=shown.clip.name if shown is not None else "",
        frames=len(passed),
        passed=sum(passed),
        due=len(late),
        due_passed=sum(d.verdict is FrameOutcome.PASS for d in late),
        reasons=dict(counted),
        due_reasons=dict(due_counted),
        scores=scores,
        margin=margin,
        decisions=tuple(passed),
        availability=account(outcome.decisions, after_ns, true),
    )


def _nearness(footage: Footage, fingerprint: Fingerprint) -> tuple[tuple[float, ...], float]:
    """The score of every frame, and how near the best reading came to passing."""
    sentinel, check = Sentinel(fingerprint), view.ViewCheck(fingerprint)
    needed = max(view.MIN_SEEN, fingerprint.blocks.bit_count() / 2)
    scores, best, last_ns = [], -1.0, -S
    for shot in footage.shots:
        scores.append(sentinel.look(shot.frame, ALL_BLOCKS).view_score)
        if shot.captured_ns - last_ns < VIEW_NS:
            continue
        last_ns = shot.captured_ns
        reading = check.read(shot.frame, shot.captured_ns, footage.detect(shot.frame))
        seen = reading.seen_blocks.bit_count()
        distances = (
            reading.sign - view.MIN_SIGN,
            reading.gradient - view.MIN_GRADIENT,
            (seen - needed) / fingerprint.blocks.bit_count(),
        )
        best = max(best, min(distances))
    return tuple(scores), best
