"""Every change of a day, played through the whole guard: does the place stay known?

A view's own recording runs to `BEGINS_NS` as it is; then the change begins, or it was
there from the first frame, at enrolment, too. All time after the dwell is accounted for.
What hides the view in the recording as it is (a bottle is taken away that was enrolled) is
the recording's own: a change that ends a permit meets it, and is not charged with it.
The recording goes straight on: one that is played there and back is a loop to the guard,
and a still with noise is a still.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

from edge.cameras.opencv import FileCamera, Shot
from edge.clock import MS, S
from edge.commissioning.records import DEFAULT_DWELL_S
from edge.errors import CameraError
from edge.evaluation.availability import Availability, account
from edge.evaluation.day.changes import CHANGES, Change
from edge.evaluation.forge import PERFECT_DEVICE, PERFECT_SESSION, still_board
from edge.evaluation.trials import SETTLE_NS, VIEW_NS, Footage, View, enrol_view
from edge.evidence.vision import Observer
from edge.policy.engine import Policy
from edge.reasons import Reason
from edge.replay.engine import Replay
from edge.view.bodies import Bodies
from edge.view.box import Box

BEGINS_NS = 5 * S
LEAST_NS = 8 * S  # a shorter recording shows too little of a change
HIDES = frozenset({Reason.VIEW_COVERED, Reason.VIEW_CHANGED})
_APART_NS = 60 * MS  # between two frames: fifteen a second are enough


@dataclass(frozen=True, slots=True)
class Lived:
    """One change before one view; data alone, so that it can leave its process."""

    view: str
    change: str  # its name
    causes: frozenset[Reason]  # what may be said of it
    availability: Availability


def day(footage: Footage, shown: View, bodies: Bodies, policy: Policy) -> list[Lived]:
    """Every change before one view; none where its recording is too short."""
    if footage.last_ns < LEAST_NS:
        return []
    name = shown.clip.name
    own = hidden_anyway(footage, shown)
    return [
        Lived(name, change.name, change.causes, lived(change, footage, shown, bodies, policy, own))
        for change in CHANGES
    ]


def hidden_anyway(footage: Footage, shown: View) -> dict[int, frozenset[Reason]]:
    """By second, what in the recording as it is hides the view from a guard that starts then."""
    assert shown.fingerprint is not None
    found: dict[int, frozenset[Reason]] = {}
    observer = Observer(shown.fingerprint, footage, bodies=footage)
    last_ns = -S
    for shot in _thinned(footage.shots, footage.last_ns):
        if shot.captured_ns - last_ns >= VIEW_NS:
            last_ns = shot.captured_ns
            hides = HIDES.intersection(observer.see(shot.frame, last_ns).view_open)
            found[last_ns // S] = found.get(last_ns // S, frozenset()) | hides
    return found


def lived(
    change: Change,
    footage: Footage,
    shown: View,
    bodies: Bodies,
    policy: Policy,
    own: Mapping[int, frozenset[Reason]] = MappingProxyType({}),
) -> Availability:
    """One change before one view, at the default dwell.

    Args:
        shown: the view as it is; what is always there is enrolled with the place.
        own: by second, what hides the view in the recording as it is.
    """
    played = changed(footage, change)
    if change.always:
        shown = enrol_view(played, bodies)
    device = replace(PERFECT_DEVICE, dwell_s=DEFAULT_DWELL_S)
    guard = Replay(device, PERFECT_SESSION, policy, shown.fingerprint, played, bodies=played)
    decisions = guard.run(played.shots, still_board(played.last_ns)).decisions
    after_ns, true = round(DEFAULT_DWELL_S * S) + SETTLE_NS, footage.clip.true_causes
    return account(decisions, after_ns, true, own)


def changed(footage: Footage, change: Change) -> Footage:
    """The recording with the change; its faces stay where they were."""
    begins_ns = 0 if change.always else BEGINS_NS
    shots: list[Shot] = []
    found: list[tuple[Box, ...]] = []
    for shot in _thinned(footage.shots, BEGINS_NS + round(change.lasts_s * S)):
        at_ns = shot.captured_ns - begins_ns
        if 0 <= at_ns < change.gap_s * S:
            continue
        frame = np.array(shot.frame if at_ns < 0 else change.apply(shot.frame, at_ns / S))
        shots.append(Shot(frame, shot.captured_ns))
        found.append(footage.detect(shot.frame))
    if change.coded:
        before = sum(shot.captured_ns < begins_ns for shot in shots)
        shots[before:] = _coded(shots[before:])
    faces = {id(shot.frame): boxes for shot, boxes in zip(shots, found, strict=True)}
    return Footage(footage.clip, tuple(shots), faces, footage.finder)


def _coded(shots: Sequence[Shot]) -> list[Shot]:
    """The same frames as a camera's encoder leaves them, each coded from the one before.

    That makes of even noise an uneven one: its changes differ by 12 % and more of their mean in six
    rooms at night, where frames coded one by one differ by 3 %, and look like a still with noise.

    Raises:
        CameraError: this OpenCV writes no MPEG-4 video.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coded.mp4"
        height, width = shots[0].frame.shape[:2]
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(path), code, S / _APART_NS, (width, height))
        for shot in shots:
            writer.write(shot.frame)
        writer.release()
        camera = FileCamera(path)
        frames = [shot.frame for shot in camera.shots()]
        camera.close()
    if len(frames) != len(shots):
        raise CameraError(f"expected {len(shots)} coded frames, got {len(frames)}")
    return [Shot(frame, shot.captured_ns) for frame, shot in zip(frames, shots, strict=True)]


def _thinned(shots: Sequence[Shot], until_ns: int) -> list[Shot]:
    kept: list[Shot] = []
    for shot in shots:
        if shot.captured_ns <= until_ns and (
            not kept or shot.captured_ns - kept[-1].captured_ns >= _APART_NS
        ):
            kept.append(shot)
    return kept
