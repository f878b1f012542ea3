"""Vision: everything the slow loop reads from one evidence frame, in two steps.

`Observer` sees a frame: it alone looks at pixels, and knows no rule of the session and
nothing of what was decided. What it saw is a `Sighting`. `Vision` makes readings of it, by
the record's rules and the judge's state; an archive keeps sightings and is judged without video.

View, ego-motion and freshness are read in every evidence frame, people a little less
often because the detector is dearer (and only where something changed since), and the
scene once a second because it can only veto; the last frame of a stream gets a reading
of every class. Of a frame only small grey copies stay in memory, until the next ones
are compared with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from edge.clock import MS, S
from edge.errors import ModelError
from edge.evidence.freshness import Freshness
from edge.evidence.motion import EgoMotion
from edge.evidence.people import PeopleRules, PeopleWatch
from edge.evidence.readings import Reading, Source
from edge.evidence.residual import WHOLE, Changes, Window
from edge.evidence.scene import SceneReading
from edge.masking.people import Look
from edge.reasons import Reason
from edge.view.body_watch import NOBODY, BodyFinder, BodyWatch
from edge.view.box import Box
from edge.view.check import ViewCheck
from edge.view.fingerprint import Fingerprint
from edge.view.signs import ALL_BLOCKS, Pixels
from edge.view.silhouette import silhouettes
from edge.view.view_file import Enrolment

T = TypeVar("T")
VIEW_NS = 100 * MS  # evidence period of view and ego-motion
DUE_NS = VIEW_NS * 9 // 10  # 10 % early is on time
PEOPLE_NS = 200 * MS  # evidence period of people
USUAL_HZ = 30.0  # what a camera that does not tell its rate is taken to have
SCENE_NS = 1 * S  # evidence period of the scene; its veto can come as late, and SPREAD_NS later
SPREAD_NS = PEOPLE_NS  # the scene waits so long for a frame that is not looked through for people
MOSTLY_PERSON = 0.35  # of the picture: what is left of the scene is no ground for a veto. A face
# near the camera looks like somebody at the wheel to the scene model
UNKNOWN = frozenset({Reason.VIEW_FOREIGN, Reason.VIEW_FADED, Reason.VIEW_PARTIAL})
LAMP_NS = 10 * S  # between two lamps that may go out without ending a permit
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
    between_ns = max(PEOPLE_NS, spent_ns + VIEW_NS)  # see `Observer.see`, `late`
    waiting = math.floor((between_ns + spent_ns) / S * (rate_hz or USUAL_HZ)) + 1
    if waiting * frame_bytes > room_bytes:
        raise ModelError(
            f"{waiting} frames of {frame_bytes / 2**20:.1f} MiB wait for their evidence, and "
            f"{room_bytes / 2**20:.0f} MiB is all that may wait: use a smaller picture, "
            "fewer frames a second, or release = immediate"
        )


class Run(Protocol):
    """Makes a look and returns what it found."""

    def __call__(self, look: Callable[[], T]) -> T: ...


def at_once(look: Callable[[], T]) -> T:
    """Make it and nothing else."""
    return look()


class FaceFinder(Protocol):
    """Finds faces; see `edge.evidence.faces.FaceBoxes`."""

    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        """The faces in a BGR frame."""


@runtime_checkable
class WindowFinder(FaceFinder, Protocol):
    """Finds faces in a part of a frame, too, as well as in all of it."""

    def detect_within(self, frame: np.ndarray, window: Window) -> tuple[Box, ...]:
        """The faces in that part of a BGR frame, in pixels of the frame."""


class SceneFinder(Protocol):
    """Judges what kind of place a frame shows; see `edge.evidence.scene.SceneModel`."""

    def read(self, frame: np.ndarray, captured_ns: int) -> SceneReading:
        """A veto or nothing."""


@dataclass(frozen=True, slots=True)
class Models:
    """What looks at evidence frames."""

    faces: FaceFinder
    scene: SceneFinder | None = None  # without it no veto
    bodies: BodyFinder | None = None  # without it only faces are people


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one evidence frame shows, whatever the rules."""

    captured_ns: int
    height: int  # of the picture, pixels
    width: int
    people: bool  # whether people were looked for in this very frame
    boxes: tuple[Box, ...]  # faces, of the last look
    faceless: int  # people without a face, of the last frame in which people were looked for
    view_open: tuple[Reason, ...]  # why this is not the enrolled view, to begin a permit
    view_continue: tuple[Reason, ...]  # and to go on with one
    seen_blocks: int  # to compare the next frames over; all where the view is not recognised
    unsettled: bool  # something came in since people were last looked for
    moving: tuple[Reason, ...]
    shift: float | None  # widths that the camera moved since the last frame; None: unknown
    freshness: tuple[Reason, ...]
    scene: tuple[Reason, ...] | None  # None: the scene was not asked for


@dataclass(frozen=True, slots=True)
class VisionResult:
    """The readings of one evidence frame."""

    readings: tuple[Reading, ...]
    seen_blocks: int  # to compare the next frames over; all where the view is not recognised
    unsettled: bool = False  # something came in since people were last looked for
    look: Look | None = None  # for people masks; None if people were not looked for


class Vision:
    """Makes readings of what is seen, in order, by the rules of the record."""

    def __init__(self, rules: PeopleRules) -> None:
        self._people_rules = PeopleWatch(rules)
        self._dimmed_ns: int | None = None  # when a lamp last seemed to go out

    def read(self, seen: Sighting, *, opening: bool, still: bool) -> VisionResult:
        """The readings of one sighting; sightings come in order.

        Args:
            opening: apply the stricter rules for beginning a permit.
            still: the board says that the camera does not move.
        """
        at_ns = seen.captured_ns
        readings = []
        if seen.people:
            reasons = self._people_rules.read(
                seen.boxes, at_ns, seen.height, seen.width, seen.faceless
            )
            readings.append(Reading(Source.PEOPLE, at_ns, reasons))
        view = seen.view_open if opening else seen.view_continue
        held = self._held(view, at_ns)
        if not held:
            readings.append(Reading(Source.VIEW, at_ns, view))
        moving = seen.moving
        if Reason.CAM_MOVING in moving and still:
            moving = (*moving, Reason.SENSOR_VISION_DISAGREE)
        readings.append(Reading(Source.EGO_MOTION, at_ns, moving))
        readings.append(Reading(Source.FRESHNESS, at_ns, seen.freshness))
        if seen.scene is not None:
            readings.append(Reading(Source.SCENE, at_ns, seen.scene))
        look = Look(at_ns, seen.boxes, seen.shift) if seen.people else None
        return VisionResult(tuple(readings), seen.seen_blocks, seen.unsettled or held, look)

    def _held(self, view: tuple[Reason, ...], at_ns: int) -> bool:
        """Whether a lamp went out as it seems, and the next reading tells.

        Until then there is no reading: frames wait for one that is good. If it is not, this
        frame's was not good either, and nothing since the last good one leaves.
        """
        if Reason.VIEW_DIMMED not in view:
            return False
        last_ns, self._dimmed_ns = self._dimmed_ns, at_ns
        return len(view) == 1 and (last_ns is None or at_ns - last_ns >= LAMP_NS)


class Observer:
    """Looks at evidence frames in order."""

    def __init__(
        self,
        fingerprint: Fingerprint | None,
        faces: FaceFinder,
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
        self._faces = faces
        self._scene = scene
        self._often = often
        self._changes = Changes()  # since people were looked for
        self._people_period_ns = 0 if often else PEOPLE_NS * 9 // 10
        self._scene_ns: int | None = None
        self._before_ns = 0  # the evidence frame before
        self._scene_doubted = False  # the last reading of the scene was a veto
        self._motion = EgoMotion()
        self._freshness = Freshness()
        self._boxes: tuple[Box, ...] = ()
        self._people_ns: int | None = None
        self._looked = False  # for people, in the last evidence frame of a lane without masks
        self._seen_blocks = 0  # of the last view reading

    @classmethod
    def of_lane(cls, fingerprint: Fingerprint | None, models: Models, *, masked: bool) -> Observer:
        """The observer of a masked lane, which asks for no veto and every face, or of another."""
        # enrolment counts as a sighting of the whole view in a trial only: that begins with one
        fresh = fingerprint is None or fingerprint.file.enrolment is Enrolment.UNENFORCED
        scene = None if masked else models.scene
        faces, bodies = models.faces, models.bodies
        return cls(fingerprint, faces, scene, fresh=fresh, often=masked, bodies=bodies)

    def see(
        self,
        frame: np.ndarray,
        captured_ns: int,
        *,
        final: bool = False,
        late: bool = False,
        run: Run = at_once,
    ) -> Sighting:
        """Look at one frame.

        Args:
            frame: BGR uint8, shape (H, W, 3).
            captured_ns: when it was captured; frames come in order.
            final: the last frame of the stream: everything is looked at.
            late: the frame before took so long that this one waited. If people were looked for
                in that, they are not in this one, or the view's readings would come too seldom.
            run: makes each dear look; what else it does sees nothing of this frame.

        Raises:
            ModelError: a model failed or answered what it cannot mean.
        """
        since_ns = None if self._people_ns is None else captured_ns - self._people_ns
        due = since_ns is None or since_ns >= self._people_period_ns
        due = final or (due and not (late and self._looked))
        self._looked = False  # also where a look fails
        whole = False
        if due:
            whole = run(partial(self.look_for_people, frame, captured_ns))
        people = self._people_ns == captured_ns
        self._looked = people and not self._often
        view_open: tuple[Reason, ...] = (Reason.NO_VIEW,)
        view_continue = view_open
        seen_blocks, unsettled = ALL_BLOCKS, False
        if self._view is not None:
            who = None if self._bodies is None else partial(self._hides, frame, captured_ns)
            view = self._view.read(frame, captured_ns, self._boxes, who)
            view_open, view_continue = view.reasons_open, view.reasons_continue
            gone = self._seen_blocks & ~view.seen_blocks
            self._seen_blocks = view.seen_blocks
            unsettled = gone.bit_count() >= UNSETTLED and not people
            if not UNKNOWN.intersection(view_continue):
                seen_blocks = view.seen_blocks
        known = self._view is not None and not UNKNOWN.intersection(view_continue)
        motion = self._motion.read(frame, captured_ns, self._boxes, known=known)
        fresh = self._freshness.read(frame, captured_ns, self._boxes)
        veto = None
        if self._scene is not None and self._scene_due(captured_ns, whole=whole):
            veto = run(partial(self._veto, self._scene, frame, captured_ns))
        height, width = frame.shape[:2]
        return Sighting(
            captured_ns,
            height,
            width,
            people,
            self._boxes,
            self._hiding.faceless,
            view_open,
            view_continue,
            seen_blocks,
            unsettled,
            motion.reasons,
            motion.step if motion.valid else None,
            fresh,
            veto,
        )

    def _scene_due(self, captured_ns: int, *, whole: bool) -> bool:
        """Whether to ask for the scene; not where people were looked for in the whole picture.

        Where the next frame does not come soon, that frame must do.
        """
        before_ns, self._before_ns = self._before_ns, captured_ns
        if self._scene_ns is None:
            return True
        since_ns = captured_ns - self._scene_ns
        soon = whole and captured_ns - before_ns <= SPREAD_NS
        return since_ns >= SCENE_NS + (SPREAD_NS if soon else 0)

    def _hides(self, frame: np.ndarray, captured_ns: int, hidden_blocks: int) -> Pixels | None:
        """Where bodies are, in a frame in which no face explains what is hidden."""
        assert self._bodies is not None
        looked = self._people_ns == captured_ns
        self._hiding = self._bodies.read(
            frame, captured_ns, hidden_blocks, self._boxes, looked=looked
        )
        return self._hiding.places

    def _veto(self, scene: SceneFinder, frame: np.ndarray, captured_ns: int) -> tuple[Reason, ...]:
        """A veto that lasts for two readings, of pictures that show more than a person."""
        veto = scene.read(frame, captured_ns).reasons
        self._scene_ns = captured_ns  # after it answered: a model that fails is asked again
        height, width = frame.shape[:2]
        person = float((silhouettes(self._boxes, width, height, margin=0) != 0).mean())
        doubted = bool(veto) and person < MOSTLY_PERSON
        lasting, self._scene_doubted = doubted and self._scene_doubted, doubted
        return veto if lasting else ()

    def look_for_people(self, frame: np.ndarray, captured_ns: int) -> bool:
        """Look for faces where something changed; whether that was all of the picture."""
        window: Window | None = WHOLE
        if not self._often:
            window = self._changes.where(frame, captured_ns, self._boxes)
        if window is not None:
            self._boxes, window = self._find(frame, window)
            if not self._often:
                self._changes.looked(window, captured_ns)
        self._people_ns = captured_ns
        return window == WHOLE

    def _find(self, frame: np.ndarray, window: Window) -> tuple[tuple[Box, ...], Window]:
        """The faces in a frame of which `window` changed, and the part that was looked at."""
        if window != WHOLE and isinstance(self._faces, WindowFinder):
            height, width = frame.shape[:2]
            found = self._faces.detect_within(frame, window)
            if all(window.holds(box, width, height) for box in found):
                others = [box for box in self._boxes if not window.touches(box, width, height)]
                best_first = sorted([*found, *others], key=lambda box: -box.score)
                return tuple(best_first), window
        return self._faces.detect(frame), WHOLE
