"""Splices: what a matcher receives while the enrolled place turns into another one.

Each splice plays the view's own recording until frames flow, then a transition
into another recording, with every record and sensor forged. Frames carry their
number as a watermark; the real gate and releaser put them into a real release
ring, and what is counted is what a reader of that ring finds in the pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.audit.schema import Release
from edge.cameras.opencv import Shot
from edge.clock import S
from edge.evaluation import watermark
from edge.evaluation.forge import PERFECT_DEVICE, PERFECT_SESSION, still_board
from edge.evaluation.transitions import FORBIDDEN, Kind, Person, Step, transition
from edge.evaluation.trials import Footage
from edge.evidence.vision import FaceFinder
from edge.frames.ring import Ring
from edge.masking.mask import Mask
from edge.policy.engine import Policy
from edge.replay.engine import Replay
from edge.view.body_watch import BodyFinder
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint
from framegate_client.ring import RingReader

LATEST_NS = 5 * S // 2  # a splice begins no later, so that a trial stays short
KEPT_NS = 7 * S // 2  # of the own recording


@dataclass(frozen=True, slots=True)
class Scenery:
    """The own recording of an enrolled view, as far as splices need it."""

    name: str
    fingerprint: Fingerprint
    shots: tuple[Shot, ...]  # marked with their numbers
    flowing: tuple[int, ...]  # the frames that pass when nothing is spliced in
    faces: dict[int, tuple[Box, ...]]  # by the id of each shot's frame
    peopled: bool  # a person is in it, so another one is too many


@dataclass(frozen=True, slots=True)
class Splice:
    """The result of one splice in one mode of release."""

    kind: Kind
    view: str
    foreign: str
    release: Release
    begins: int  # the number of the first altered frame
    received: int  # frames
    lively: bool  # the frames just before the splice were received
    altered: int  # received with any foreign share
    forbidden: int  # received with a foreign share of one half or more
    share: float  # the largest foreign share received, 0 to 1


def scenery(
    footage: Footage, fingerprint: Fingerprint, passed: Sequence[bool], *, peopled: bool
) -> Scenery:
    """Mark the own recording's frames; `passed` tells which ones flow by themselves."""
    kept = [shot for shot in footage.shots if shot.captured_ns <= KEPT_NS]
    marked = tuple(
        Shot(watermark.mark(shot.frame, number), shot.captured_ns)
        for number, shot in enumerate(kept)
    )
    faces = {
        id(copy.frame): footage.detect(shot.frame) for copy, shot in zip(marked, kept, strict=True)
    }
    flowing = tuple(
        number
        for number, shot in enumerate(kept)
        if 0 < number < len(kept) - 1
        and shot.captured_ns <= LATEST_NS
        and passed[number]
        and passed[number - 1]
    )
    return Scenery(footage.clip.name, fingerprint, marked, flowing, faces, peopled)


def splice(
    kind: Kind,
    place: Scenery,
    foreign: tuple[str, Sequence[np.ndarray]],
    person: np.ndarray,
    people: FaceFinder,
    policy: Policy,
    rng: np.random.Generator,
    bodies: BodyFinder | None = None,
) -> list[Splice]:
    """Play one splice in both modes of release; `place` must have flowing frames.

    `person` is a picture of whoever walks in, of any size; other kinds do not use it.
    """
    begins = int(rng.choice(place.flowing))
    height, width = place.shots[0].frame.shape[:2]
    name, frames = foreign
    others = [cv2.resize(frame, (width, height)) for frame in frames]
    visitor = cv2.resize(person, (width, height))
    walker: Person = (visitor, people.detect(visitor) if kind is Kind.WALK_IN else ())
    own = [shot.frame for shot in place.shots[begins:]]
    steps = transition(kind, own, others, walker, rng)
    shots, shares = _joined(place, begins, steps)
    faces = _Remembered(people, place.faces)
    return [
        _play(kind, place, name, begins, shots, shares, faces, policy, release, bodies)
        for release in (Release.BRACKETED, Release.IMMEDIATE)
    ]


def _joined(
    place: Scenery, begins: int, steps: Sequence[Step]
) -> tuple[list[Shot], dict[int, float]]:
    """The recording with the transition in it, and the foreign share by frame number."""
    shots = list(place.shots[:begins])
    period_ns = shots[-1].captured_ns // (begins - 1) if begins > 1 else S // 30
    shares = {}
    for offset, (picture, share) in enumerate(steps):
        number = begins + offset
        at_ns = shots[-1].captured_ns + period_ns
        shots.append(Shot(watermark.mark(picture, number), at_ns))
        shares[number] = share
    return shots, shares


def _play(
    kind: Kind,
    place: Scenery,
    foreign: str,
    begins: int,
    shots: Sequence[Shot],
    shares: dict[int, float],
    faces: FaceFinder,
    policy: Policy,
    release: Release,
    bodies: BodyFinder | None,
) -> Splice:
    matcher = _Matcher(shots[0].frame.nbytes)
    guard = Replay(
        PERFECT_DEVICE,
        PERFECT_SESSION,
        policy,
        place.fingerprint,
        faces,
        release=release,
        bodies=bodies,
        endpoint=matcher,
    )
    guard.run(shots, still_board(shots[-1].captured_ns))
    found = [shares.get(number, 0.0) for number in matcher.received]
    return Splice(
        kind=kind,
        view=place.name,
        foreign=foreign,
        release=release,
        begins=begins,
        received=len(matcher.received),
        lively=any(begins - 8 <= number < begins for number in matcher.received),
        altered=sum(share > 0 for share in found),
        forbidden=sum(share >= FORBIDDEN for share in found),
        share=max(found, default=0.0),
    )


class _Matcher:
    """A release ring and its reader, which notes the number in every frame it gets."""

    listening = True

    def __init__(self, frame_bytes: int) -> None:
        self._ring = Ring.create(frame_bytes, slots=2)
        self._ring.seal()
        self._reader = RingReader(self._ring.fd)
        self.received: list[int] = []

    def stage(self, frame: np.ndarray, mask: Mask) -> int:
        return self._ring.stage(frame)

    def publish(self, slot: int, frame: np.ndarray, captured_ns: int, epoch: int) -> int:
        sequence = self._ring.publish(slot, frame, captured_ns, epoch)
        while (found := self._reader.next()) is not None:
            self.received.append(watermark.read(found[1]))
        return sequence

    def wipe(self) -> None:
        self._ring.wipe()


class _Remembered:
    """A face finder that looks at each picture once, though it is played twice."""

    def __init__(self, people: FaceFinder, known: Mapping[int, tuple[Box, ...]]) -> None:
        """`known` are faces by the id of a frame that lives as long as this does."""
        self._people = people
        self._known = dict(known)
        self._kept: list[np.ndarray] = []  # so that no other frame gets the id of one seen

    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        if id(frame) not in self._known:
            self._known[id(frame)] = self._people.detect(frame)
            self._kept.append(frame)
        return self._known[id(frame)]
