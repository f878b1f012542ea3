"""The decision engine: evidence in, actions out.

The running decider and replay drive the same engine, so a replay decides what
the guard would have decided. Pure wiring: looks, pictures and board samples come in and
become readings for the judge. The caller tells `judge` the rest, and carries its actions out.
All times are nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edge.decision.judge import Judge
from edge.decision.model_failures import CircuitBreaker
from edge.decision.session_facts import Setup
from edge.errors import ModelError
from edge.evidence.context import REST_NS
from edge.evidence.liveness import Liveness
from edge.evidence.readings import BoardSample, Reading, Source
from edge.evidence.vision import (
    DUE_NS,
    PEOPLE_NS,
    Models,
    Observer,
    Run,
    Sighting,
    Vision,
    VisionResult,
    at_once,
)
from edge.masking.people import Look, PeopleMask, PeopleMasker
from edge.policy.outcome import Decides
from edge.reasons import Reason
from edge.view import signs
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint
from edge.view.look import Look as Glance
from edge.view.silhouette import covered_blocks, silhouettes

STALE_NS = 2 * PEOPLE_NS  # after a longer pause everything is looked at


@dataclass(frozen=True, slots=True)
class Examined:
    """The result of one evidence frame."""

    readings: tuple[Reading, ...]
    seen_blocks: int | None = None  # to compare the next frames over; None if a model failed
    faces: int | None = None  # None if people were not looked for
    failure: str = ""  # what was wrong with a model
    mask: PeopleMask | None = None  # where people may be since the last look; in masked lanes


class Engine:
    """One session's evidence and decisions; a new engine blocks."""

    def __init__(
        self,
        setup: Setup,
        policy: Decides,
        fingerprint: Fingerprint | None,
        models: Models,
        now_ns: int,
        *,
        reload: Callable[[], Models] | None = None,
        rests: bool = True,
    ) -> None:
        """Begin blocked.

        Args:
            rests: reads pictures now and then only while they decide nothing; see
                `edge.evidence.context`.
            reload: loads the models afresh after bad answers; may raise ModelError.
                Without it the same models are asked again.
        """
        self._setup = setup
        self._fingerprint = fingerprint
        self._reload = reload or (lambda: models)
        self._identifying = setup.binding.lane.identifying
        self._rests = rests
        self.judge = Judge(setup, policy, now_ns)
        self._masked = setup.binding.lane.masked
        self._masker: PeopleMasker | None = None  # made for the size of the first picture
        self._observer: Observer | None = None  # made for the first picture
        self._open(models)
        self._liveness = Liveness()
        self.failures = CircuitBreaker()
        self._still = False  # the board says that the camera does not move
        self._view: tuple[tuple[Reason, ...], Sighting] | None = None  # its last reading
        self._too_little: Reason | None = None  # what that lacked, where it was asked
        self._examined_ns = -REST_NS  # capture of the last evidence frame that was read
        self._frame_ns = self._interval_ns = 0  # capture of the last frame, since the one before

    def saw(self, look: Glance, captured_ns: int) -> tuple[Reading, ...]:
        """Take the sentinel's result for one frame."""
        if not look.malformed:  # that one's time is not the camera's
            self._interval_ns, self._frame_ns = captured_ns - self._frame_ns, captured_ns
        reasons = self._liveness.see(look, captured_ns)
        readings = [Reading(Source.LIVENESS, captured_ns, reasons)]
        if self._identifying:
            against = self.sign_map(look.view_score)
            readings.append(Reading(Source.SIGN_MAP, captured_ns, against))
        return self.observe(readings)

    def sign_map(self, view_score: float) -> tuple[Reason, ...]:
        """Why a frame of this score does not show the enrolled view; empty if it does."""
        if view_score >= self._setup.min_view_score:
            return ()
        if self._view is not None:  # asked of each reading once, and only where it matters
            self._too_little, self._view = too_little(*self._view), None
        return (self._too_little or Reason.VIEW_FOREIGN,)

    def examine(
        self, picture: np.ndarray, captured_ns: int, *, final: bool = False, run: Run = at_once
    ) -> Examined:
        """Read one evidence frame.

        Args:
            picture: BGR uint8, shape (H, W, 3); only read.
            captured_ns: when it was captured; frames come in order.
            final: the last frame of the stream: every class reads it.
            run: makes each dear look; may let this engine act meanwhile on what it knew before.

        Returns nothing read while the picture is rested; see `edge.evidence.context`.
        """
        rested = self._rests and self.judge.resting and not final
        if rested and captured_ns - self._examined_ns < REST_NS:
            return Examined(())
        # the frame before this one was due already, had the last one been read by then
        since_ns = captured_ns - self._examined_ns
        late = since_ns - self._interval_ns >= DUE_NS and since_ns < STALE_NS
        self._examined_ns = captured_ns
        try:
            if self._observer is None:
                models, masked = self._models, self._masked
                self._observer = Observer.of_lane(self._fingerprint, models, masked=masked)
            seen = self._observer.see(picture, captured_ns, final=final, late=late, run=run)
        except ModelError as err:
            bad = Reading(Source.PEOPLE, captured_ns, (Reason.MODEL_OUTPUT,))
            mask = self._mask(Look(captured_ns, None, None), picture.shape[0], picture.shape[1])
            return Examined(self.observe([bad]), failure=self._failed(err), mask=mask)
        self.failures.good()
        return self.receive(seen)

    def receive(self, seen: Sighting) -> Examined:
        """Read what was seen in one evidence frame; sightings come in order."""
        return self.take(seen, self.read(seen))

    def read(self, seen: Sighting) -> VisionResult:
        """The readings of one evidence frame, for `take`."""
        result = self._vision.read(seen, opening=self.judge.opening, still=self._still)
        for reading in result.readings:
            if reading.source is Source.VIEW:
                self._view = reading.reasons, seen
        return result

    def take(self, seen: Sighting, result: VisionResult, *, observed: bool = False) -> Examined:
        """Take what was read; `observed`: the context has the readings already."""
        unsettled_ns = seen.captured_ns if result.unsettled else None
        readings = () if observed else result.readings
        self.judge.observe(readings, result.seen_blocks, unsettled_ns=unsettled_ns)
        faces = len(seen.boxes) if seen.people else None
        mask = None if result.look is None else self._mask(result.look, seen.height, seen.width)
        return Examined(result.readings, result.seen_blocks, faces, mask=mask)

    def observe(self, readings: Iterable[Reading]) -> tuple[Reading, ...]:
        """Take other readings as they are."""
        taken = tuple(readings)
        self.judge.observe(taken)
        self._note_stillness(taken)
        return taken

    def board(self, sample: BoardSample) -> tuple[Reading, ...]:
        """Take a reading of the board's sensors."""
        readings = self.judge.board(sample)
        self._note_stillness(readings)
        return readings

    def _note_stillness(self, readings: tuple[Reading, ...]) -> None:
        for reading in readings:
            if reading.source is Source.STILLNESS:
                self._still = reading.good

    def _mask(self, look: Look, height: int, width: int) -> PeopleMask | None:
        if not self._masked:
            return None
        if self._masker is None:
            self._masker = PeopleMasker(height, width, bodies=self._setup.device.masks.bodies)
        return self._masker.look(look)

    def _open(self, models: Models) -> None:
        self._models, self._observer = models, None
        self._vision = Vision(self._setup.device.people)

    def _failed(self, how: ModelError) -> str:
        """Load the models afresh if it is time; if that fails too, permit nothing any more."""
        if self.failures.out:
            return ""
        if self.failures.bad():
            try:
                self._open(self._reload())
            except ModelError as err:
                self.failures.give_up()
                return f"{how}; loading the models afresh: {err}"
        return str(how)


def too_little(view: tuple[Reason, ...], seen: Sighting) -> Reason | None:
    """What the sentinel says in place of "foreign", while what is visible agrees or is too little.

    It compares all of the view, so what hides a third of it is enough to fail. The reading
    of the view compares what can be seen: if that agrees, the place is the enrolled one.

    Args:
        view: why the last reading of the view did not do, if it did not.
        seen: the frame of that reading.
    """
    if Reason.VIEW_FOREIGN in view or Reason.VIEW_FOREIGN in seen.view_open:
        return None
    near = bool(seen.boxes) and _fill_half(seen.boxes, seen.width, seen.height)
    if near or Reason.VIEW_PARTIAL in view:
        return Reason.VIEW_PARTIAL
    hides = (Reason.VIEW_CHANGED, Reason.VIEW_COVERED)
    return next((reason for reason in hides if reason in seen.view_open), None)


@lru_cache(4)  # people are looked for in every second evidence frame
def _fill_half(boxes: tuple[Box, ...], width: int, height: int) -> bool:
    """Whether people of these faces cover half of the picture's blocks."""
    people = silhouettes(boxes, width, height, margin=0)
    return 2 * covered_blocks(people).bit_count() >= signs.BLOCKS
