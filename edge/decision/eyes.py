"""The eyes: everything the slow loop reads from one evidence frame.

View and ego-motion are read in every evidence frame, people a little less
often because the detector is dearer, and the scene once a second because it can
only veto; the last frame of a stream gets a reading of every class. Of a frame
only a small grey copy stays in memory, until the next one is compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.clock import MS, S
from edge.decision.evidence import Box, Reading, Source
from edge.decision.fingerprint import Fingerprint
from edge.decision.motion import EgoMotion
from edge.decision.people import PeopleRules, judge
from edge.decision.scene import SceneReading
from edge.decision.view import ViewCheck
from edge.frames.sentinel import ALL
from edge.reasons import Reason

VIEW_NS = 100 * MS  # evidence period of view and ego-motion
PEOPLE_NS = 200 * MS  # evidence period of people
SCENE_NS = 1 * S  # evidence period of the scene: how late its veto can come


class FaceFinder(Protocol):
    """Finds faces; see `edge.decision.people.FaceBoxes`."""

    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        """The faces in a BGR frame."""


class SceneFinder(Protocol):
    """Judges what kind of place a frame shows; see `edge.decision.scene.SceneModel`."""

    def read(self, frame: np.ndarray, captured_ns: int) -> SceneReading:
        """A veto or nothing."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one evidence frame told."""

    readings: tuple[Reading, ...]
    seen_blocks: int  # to compare the next frames over; all where the view is not recognised


class Eyes:
    """Reads evidence frames in order."""

    def __init__(
        self,
        fingerprint: Fingerprint | None,
        faces: FaceFinder,
        rules: PeopleRules,
        scene: SceneFinder | None = None,
    ) -> None:
        """Without a fingerprint the view is never the enrolled one; without `scene` no veto."""
        self._view = ViewCheck(fingerprint) if fingerprint is not None else None
        self._faces = faces
        self._rules = rules
        self._scene = scene
        self._scene_ns: int | None = None
        self._motion = EgoMotion()
        self._boxes: tuple[Box, ...] = ()
        self._people_ns: int | None = None

    def examine(
        self,
        frame: np.ndarray,
        captured_ns: int,
        *,
        opening: bool,
        still: bool,
        final: bool = False,
    ) -> Sight:
        """Read one frame.

        Args:
            frame: BGR uint8, shape (H, W, 3).
            captured_ns: when it was captured; frames come in order.
            opening: apply the stricter rules for beginning a permit.
            still: the board says that the camera does not move.
            final: the last frame of the stream.
        """
        readings = []
        if final or self._people_ns is None or captured_ns - self._people_ns >= PEOPLE_NS * 0.9:
            readings.append(self._people(frame, captured_ns))
        seen_blocks = ALL
        if self._view is None:
            readings.append(Reading(Source.VIEW, captured_ns, (Reason.NO_VIEW,)))
        else:
            view = self._view.read(frame, captured_ns, self._boxes)
            reasons = view.reasons_open if opening else view.reasons_continue
            readings.append(Reading(Source.VIEW, captured_ns, reasons))
            if not {Reason.VIEW_FOREIGN, Reason.VIEW_PARTIAL}.intersection(view.reasons_continue):
                seen_blocks = view.seen_blocks
        motion = self._motion.read(frame, captured_ns, self._boxes)
        moving = list(motion.reasons)
        if Reason.CAM_MOVING in moving and still:
            moving.append(Reason.SENSOR_VISION_DISAGREE)
        readings.append(Reading(Source.EGO_MOTION, captured_ns, tuple(moving)))
        due = self._scene_ns is None or captured_ns - self._scene_ns >= SCENE_NS
        if self._scene is not None and due:
            self._scene_ns = captured_ns
            veto = self._scene.read(frame, captured_ns)
            readings.append(Reading(Source.SCENE, captured_ns, veto.reasons))
        return Sight(tuple(readings), seen_blocks)

    def _people(self, frame: np.ndarray, captured_ns: int) -> Reading:
        self._boxes = self._faces.detect(frame)
        self._people_ns = captured_ns
        height, width = frame.shape[:2]
        reasons = judge(self._boxes, height, self._rules, frame_width=width)
        return Reading(Source.PEOPLE, captured_ns, reasons)
