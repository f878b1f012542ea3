"""Extraction: a recording is looked at once, and what was seen becomes an evidence tape.

The same sentinel and the same observer as in a replay, at the same frames; no policy, no
board and no session but for the question whether it is the masked lane.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edge.archive.columns import coded
from edge.archive.tape import Tape
from edge.cameras.opencv import FileCamera, Shot
from edge.errors import RecordError
from edge.evidence.liveness import Liveness
from edge.evidence.vision import FaceFinder, Models, Observer, SceneFinder, Sighting
from edge.frames.sentinel import Sentinel
from edge.reasons import Reason
from edge.replay.engine import START_NS, evidence_due
from edge.view import signs
from edge.view.body_watch import BodyFinder
from edge.view.fingerprint import Fingerprint
from edge.view.look import Look


def extract(
    camera: FileCamera,
    fingerprint: Fingerprint | None,
    faces: FaceFinder,
    *,
    masked: bool,
    scene: SceneFinder | None = None,
    bodies: BodyFinder | None = None,
) -> Tape:
    """Look at every frame of an open recording.

    Raises:
        ModelError: a model failed, so the content of the recording is unknown.
        RecordError: the recording has no frame.
    """
    models = Models(faces, scene, bodies)
    seen = _Frames(fingerprint, Observer.of_lane(fingerprint, models, masked=masked))
    last = seen.all(camera.shots())
    return Tape(
        masked=masked,
        size=(camera.height, camera.width),
        view=b"" if fingerprint is None else fingerprint.to_bytes(),
        not_judged=camera.tally.lost,
        recording=str(camera.tally),
        captured_ns=np.array(seen.captured_ns, np.int64),
        looks=np.array([look[1:5] for look in seen.looks], np.float64),
        digests=np.array([look.digest for look in seen.looks], np.uint32),
        malformed=np.array([look.malformed for look in seen.looks], np.bool_),
        wrong=np.array(seen.wrong, np.uint8),
        liveness=coded(seen.liveness),
        sightings=tuple(seen.sightings),
        last=last,
    )


class _Frames:
    """What was seen so far."""

    def __init__(self, fingerprint: Fingerprint | None, observer: Observer) -> None:
        self._fingerprint, self._observer = fingerprint, observer
        self._sentinel, self._live = Sentinel(fingerprint), Liveness()
        self.captured_ns: list[int] = []
        self.looks: list[Look] = []
        self.wrong: list[np.ndarray] = []
        self.liveness: list[tuple[Reason, ...]] = []
        self.sightings: list[Sighting] = []

    def all(self, shots: Iterable[Shot]) -> Sighting:
        """Look at every frame, and at the last one once more, as a replay does."""
        last: Shot | None = None
        for shot in shots:
            self._one(shot)
            last = shot
        if last is None:
            raise RecordError("expected a recording with at least one frame, got none")
        return self._observer.see(last.frame, START_NS + last.captured_ns, final=True)

    def _one(self, shot: Shot) -> None:
        look = self._sentinel.look(shot.frame)
        self.captured_ns.append(shot.captured_ns)
        self.looks.append(look)
        self.wrong.append(wrong_signs(self._fingerprint, shot.frame, look))
        before = self.sightings[-1].captured_ns if self.sightings else None
        at_ns = START_NS + shot.captured_ns
        self.liveness.append(self._live.see(look, at_ns))
        if not look.malformed and evidence_due(before, at_ns):
            self.sightings.append(self._observer.see(shot.frame, at_ns))


def wrong_signs(fingerprint: Fingerprint | None, frame: np.ndarray, look: Look) -> np.ndarray:
    """How many enrolled signs of each block do not agree; uint8, 48 of them."""
    if fingerprint is None or look.malformed:
        return np.zeros(signs.BLOCKS, np.uint8)
    found = signs.signs(signs.thumbnail(frame))
    return signs.per_block((found ^ fingerprint.bits) & fingerprint.mask).astype(np.uint8)
