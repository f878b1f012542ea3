"""Vision: everything the slow loop reads from one evidence frame.

View, ego-motion and freshness are read in every evidence frame, people a little less
often because the detector is dearer (and not again where nothing changed), and the
scene once a second because it can only veto; the last frame of a stream gets a reading
of every class. Of a frame only small grey copies stay in memory, until the next ones
are compared with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.clock import MS, S
from edge.errors import ModelError
from edge.evidence.freshness import Freshness
from edge.evidence.motion import EgoMotion
from edge.evidence.people import PeopleRules, PeopleWatch
from edge.evidence.readings import Reading, Source
from edge.evidence.residual import Unchanged
from edge.evidence.scene import SceneReading
from edge.masking.people import Look
from edge.reasons import Reason
from edge.view.body_watch import NOBODY, BodyFinder, BodyWatch
from edge.view.box import Box
from edge.view.check import ViewCheck
from edge.view.fingerprint import Fingerprint
from edge.view.signs import ALL_BLOCKS
from edge.view.silhouette import silhouettes

VIEW_NS = 100 * MS  # evidence period of view and ego-motion
PEOPLE_NS = 200 * MS  # evidence period of people
USUAL_HZ = 30.0  # what a camera that does not tell its rate is taken to have
SCENE_NS = 1 * S  # evidence period of the scene: how late its veto can come
MOSTLY_PERSON = 0.35  # of the picture: what is left of the scene is no ground for a veto. A face
# near the camera looks like somebody at the wheel to the scene model
UNSETTLED = 2  # blocks that turn bad from one view reading to the next: somebody may come in


def check_rate(spent_ns: int, patience_ns: int) -> None:
    """See that a frame's bracket closes before the frame is given up.

    Args:
        spent_ns: what one look for faces costs on this device.
        patience_ns: how long a frame may wait for its release.

    Raises:
        ModelError: the detector is too slow; the guard must not start.
    """
    if PEOPLE_NS + spent_ns > patience_ns:
        raise ModelError(
            f"looking for faces takes {spent_ns / MS:.0f} ms here and is due every "
            f"{PEOPLE_NS // MS} ms, but a frame waits {patience_ns // MS} ms at most: "
            "use a faster device, or release = immediate"
        )


def check_room(spent_ns: int, frame_bytes: int, rate_hz: float, room_bytes: int) -> None:
    """See that the frames of one bracket fit where they wait.

    Args:
        spent_ns: what one look for faces costs on this device.
        frame_bytes: of one picture, as the camera gives it.
        rate_hz: frames a second; 0 if the camera does not tell, then `USUAL_HZ`.
        room_bytes: that may wait.

    Raises:
        ModelError: frames would be given up before their bracket closes; nothing would flow.
    """
    waiting = math.floor((PEOPLE_NS + spent_ns) / S * (rate_hz or USUAL_HZ)) + 1
    if waiting * frame_bytes > room_bytes:
        raise ModelError(
            f"{waiting} frames of {frame_bytes / 2**20:.1f} MiB wait for their evidence, and "
            f"{room_bytes / 2**20:.0f} MiB is all that may wait: use a smaller picture, "
            "fewer frames a second, or release = immediate"
        )


class FaceFinder(Protocol):
    """Finds faces; see `edge.evidence.faces.FaceBoxes`."""

    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        """The faces in a BGR frame."""


class SceneFinder(Protocol):
    """Judges what kind of place a frame shows; see `edge.evidence.scene.SceneModel`."""

    def read(self, frame: np.ndarray, captured_ns: int) -> SceneReading:
        """A veto or nothing."""


@dataclass(frozen=True, slots=True)
class VisionResult:
    """The readings of one evidence frame."""

    readings: tuple[Reading, ...]
    seen_blocks: int  # to compare the next frames over; all where the view is not recognised
    unsettled: bool = False  # something came in since people were last looked for
    look: Look | None = None  # for people masks; None if people were not looked for


class Vision:
    """Reads evidence frames in order."""

    def __init__(
        self,
        fingerprint: Fingerprint | None,
        faces: FaceFinder,
        rules: PeopleRules,
        scene: SceneFinder | None = None,
        *,
        fresh: bool = True,
        often: bool = False,
        bodies: BodyFinder | None = None,
    ) -> None:
        """Without a fingerprint the view is never the enrolled one; without `scene` no veto.

        `fresh` says that the view was enrolled just now. After a restart it was not, and
        nearly every block must be seen again before the first opening. `often` looks for people
        in every evidence frame. Without `bodies` only faces are people.
        """
        self._view = ViewCheck(fingerprint, fresh=fresh) if fingerprint is not None else None
        self._bodies = BodyWatch(bodies) if bodies is not None else None
        self._hiding = NOBODY
        self._faceless_blocks = 0  # hidden, and no face explained them in the last reading
        self._faces = faces
        self._people_rules = PeopleWatch(rules)
        self._scene = scene
        self._often = often
        self._unchanged = Unchanged()  # since people were looked for
        self._people_period_ns = 0 if often else PEOPLE_NS * 9 // 10
        self._scene_ns: int | None = None
        self._scene_doubted = False  # the last reading of the scene was a veto
        self._motion = EgoMotion()
        self._freshness = Freshness()
        self._boxes: tuple[Box, ...] = ()
        self._people_ns: int | None = None
        self._seen_blocks = 0  # of the last view reading

    @property
    def faces(self) -> int:
        """How many faces the last reading of people found."""
        return len(self._boxes)

    def examine(
        self,
        frame: np.ndarray,
        captured_ns: int,
        *,
        opening: bool,
        still: bool,
        final: bool = False,
    ) -> VisionResult:
        """Read one frame.

        Args:
            frame: BGR uint8, shape (H, W, 3).
            captured_ns: when it was captured; frames come in order.
            opening: apply the stricter rules for beginning a permit.
            still: the board says that the camera does not move.
            final: the last frame of the stream.
        """
        readings = []
        if (
            final
            or self._people_ns is None
            or captured_ns - self._people_ns >= self._people_period_ns
        ):
            readings.append(self._people(frame, captured_ns))
        seen_blocks, unsettled = ALL_BLOCKS, False
        if self._view is None:
            readings.append(Reading(Source.VIEW, captured_ns, (Reason.NO_VIEW,)))
        else:
            if self._bodies is not None:
                hidden = self._faceless_blocks
                self._hiding = self._bodies.read(frame, captured_ns, hidden, self._boxes)
            view = self._view.read(frame, captured_ns, self._boxes, self._hiding.places)
            self._faceless_blocks = view.faceless_blocks
            reasons = view.reasons_open if opening else view.reasons_continue
            readings.append(Reading(Source.VIEW, captured_ns, reasons))
            gone = self._seen_blocks & ~view.seen_blocks
            self._seen_blocks = view.seen_blocks
            unsettled = gone.bit_count() >= UNSETTLED and self._people_ns != captured_ns
            if not {Reason.VIEW_FOREIGN, Reason.VIEW_PARTIAL}.intersection(view.reasons_continue):
                seen_blocks = view.seen_blocks
        motion = self._motion.read(frame, captured_ns, self._boxes)
        moving = list(motion.reasons)
        if Reason.CAM_MOVING in moving and still:
            moving.append(Reason.SENSOR_VISION_DISAGREE)
        readings.append(Reading(Source.EGO_MOTION, captured_ns, tuple(moving)))
        fresh = self._freshness.read(frame, captured_ns, self._boxes)
        readings.append(Reading(Source.FRESHNESS, captured_ns, fresh))
        due = self._scene_ns is None or captured_ns - self._scene_ns >= SCENE_NS
        if self._scene is not None and due:
            readings.append(self._veto(self._scene, frame, captured_ns))
        look = None
        if self._people_ns == captured_ns:
            look = Look(captured_ns, self._boxes, motion.step if motion.valid else None)
        return VisionResult(tuple(readings), seen_blocks, unsettled, look)

    def _veto(self, scene: SceneFinder, frame: np.ndarray, captured_ns: int) -> Reading:
        """A veto that lasts for two readings, of pictures that show more than a person."""
        veto = scene.read(frame, captured_ns).reasons
        self._scene_ns = captured_ns  # after it answered: a model that fails is asked again
        height, width = frame.shape[:2]
        person = float((silhouettes(self._boxes, width, height, margin=0) != 0).mean())
        doubted = bool(veto) and person < MOSTLY_PERSON
        lasting, self._scene_doubted = doubted and self._scene_doubted, doubted
        return Reading(Source.SCENE, captured_ns, veto if lasting else ())

    def _people(self, frame: np.ndarray, captured_ns: int) -> Reading:
        if self._often or not self._unchanged.same(frame, captured_ns):
            self._boxes = self._faces.detect(frame)
            self._unchanged.looked(captured_ns)
        self._people_ns = captured_ns
        height, width = frame.shape[:2]
        faceless = self._hiding.faceless
        reasons = self._people_rules.read(self._boxes, captured_ns, height, width, faceless)
        return Reading(Source.PEOPLE, captured_ns, reasons)
