"""Enrolment: from frames of the empty view to its fingerprint, or every reason against it.

Kept are pairs and directions that survive what a fixed camera meets: a few
pixels of shift, a little roll, uneven lamps, and time. Under several lights only
what holds under each that shows it is kept, so a second take adds what somebody hid
in the first. People are left out (`edge.view.enrolment.takes`). A view too plain, too unsteady
or peopled is refused, with all that speaks against it at once, in the order in which
the user can mend it, and with what took each block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import EnrolmentError
from edge.view import gradients, signs
from edge.view.bodies import MAYBE, SURELY
from edge.view.box import Box
from edge.view.check import MIN_QUADRANTS
from edge.view.enrolment.coverage import Cover, Coverage, count
from edge.view.enrolment.takes import HELD, MIN_CONTRAST, MIN_FRAMES, Places, Take, take_of
from edge.view.fingerprint import Fingerprint, packed
from edge.view.signs import Pixels
from edge.view.silhouette import silhouettes
from edge.view.view_file import Enrolment, SceneCheck, ViewFile

MIN_PAIRS, MIN_BLOCKS = 500, 32  # fewer match foreign pictures too often
MIN_PAIRS_UNENFORCED, MIN_BLOCKS_UNENFORCED = 150, 14
PER_BLOCK = 12  # pairs kept in a block and direction
MAX_ONE_WAY = 0.9  # share of a direction's pairs that fall the same way: a ramp is no place
MIN_PER_BLOCK = 6  # a block with fewer pairs is not enrolled
MAX_UNSTEADY = 0.3  # share of contrasting pairs that do not hold over the plain frames
MAX_TURNED = 0.3  # share of lasting contrasts that two lights show the other way; 0.5 is chance
MARGIN = 3  # thumbnail pixels left out around a person
EMPTY = "enrol while nobody is in the picture"  # what helps against people
_STRONG = 0.5  # length of a softened gradient from which a direction is enrolled


@dataclass(frozen=True)
class Survey:
    """The result of one enrolment: the fingerprint, or every cause why there is none."""

    fingerprint: Fingerprint | None
    causes: tuple[str, ...]  # what the user can mend first ahead
    coverage: Coverage
    peopled: bool  # somebody was there
    maskable: bool  # refused for the people alone: enough is left without them
    away: tuple[Places, ...]  # for each frame, the places certainly without people

    def enrolled(self) -> Fingerprint:
        """The fingerprint.

        Raises:
            EnrolmentError: there is none; says everything that speaks against the view.
        """
        if self.fingerprint is None:
            raise EnrolmentError("; ".join(self.causes))
        return self.fingerprint


def survey(
    frames: Sequence[np.ndarray],
    boxes: Sequence[Sequence[Box]],
    *,
    camera: bytes,
    enforce: bool,
    mask_people: bool = True,
    lights: Sequence[int] | None = None,
    enrolled_s: int = 0,
    bodies: Sequence[Pixels] | None = None,
) -> Survey:
    """Collect all reasons for and against enrolling the view of these frames.

    Args:
        frames: BGR uint8, all of one size, in order, spread over a second or more.
        boxes: the faces found in each frame.
        camera: 16-byte digest of the camera identity.
        enforce: apply the limits for a real site; otherwise those for a trial.
        mask_people: leave the places of people out; otherwise people are refused.
        lights: which light each frame was taken under, as a number; one if not given.
            Each is a take: steadiness is judged in each by itself.
        enrolled_s: when, in seconds since 1970 UTC; 0 if that is not known.
        bodies: for each frame, where `edge.view.bodies` finds one; nowhere if not given.

    Raises:
        EnrolmentError: these are no frames that anything can be said of.
    """
    height, width = _check_frames(frames, boxes)
    if bodies is None:
        bodies = [np.zeros((signs.HEIGHT, signs.WIDTH), np.uint8)] * len(frames)
    people = [
        (silhouettes(found, width, height, margin=MARGIN) != 0) | (body == SURELY)
        for found, body in zip(boxes, bodies, strict=True)
    ]
    numbers = _by_light(len(frames), lights)
    takes = [
        take_of(
            [frames[i] for i in take],
            [people[i] for i in take],
            [bodies[i] == MAYBE for i in take],
            enforce=enforce,
        )
        for take in numbers
    ]
    mask, bits = _chosen(takes)
    coverage = _coverage(signs.per_block(mask) > 0, takes)
    faces = sum(bool(found) for found in boxes)
    peopled = bool(faces) or any(take.lively.any() for take in takes)
    causes = _unsteady(takes, enforce=enforce, peopled=peopled) or _two_places(takes)
    poor = [] if causes else _poor(mask, coverage, enforce=enforce, peopled=peopled)
    maskable = peopled and not mask_people and not causes and not poor
    if peopled and not mask_people:
        causes.insert(0, _peopled(faces, len(frames), takes))
        poor = [] if count(coverage, Cover.PERSON) else poor
    causes += poor
    found = None
    if not causes:
        directions, gradient_mask = _directions(takes)
        file = ViewFile(
            camera=camera,
            width=width,
            height=height,
            enrolment=Enrolment.ENFORCED if enforce else Enrolment.UNENFORCED,
            scene=SceneCheck.UNCHECKED,
            bits=packed(bits & mask),
            mask=packed(mask),
            directions=tuple(packed((directions >> bit) & 1) for bit in range(3)),
            gradient_mask=packed(gradient_mask),
            enrolled_s=enrolled_s,
        )
        found = Fingerprint(file)
    away = tuple(~one for one in people)
    return Survey(found, tuple(causes), coverage, peopled, maskable, away)


def _by_light(length: int, lights: Sequence[int] | None) -> list[list[int]]:
    """The numbers of the frames of each light, in the order in which the lights came."""
    if lights is None:
        return [list(range(length))]
    if len(lights) != length:
        raise EnrolmentError(f"{length} frames but lights named for {len(lights)}")
    takes: dict[int, list[int]] = {}
    for number, light in enumerate(lights):
        takes.setdefault(light, []).append(number)
    for take in takes.values():
        if len(take) < MIN_FRAMES:
            raise EnrolmentError(f"each light needs at least {MIN_FRAMES} frames, got {len(take)}")
    return list(takes.values())


def _chosen(takes: Sequence[Take]) -> tuple[Pixels, Pixels]:
    """The pairs that hold in every take that shows them, and their signs."""
    shown = np.stack([take.shown for take in takes])
    every = np.stack([take.bits for take in takes])
    bits = np.take_along_axis(every, shown.argmax(axis=0)[None], axis=0)[0]
    robust = shown.any(axis=0)
    for take in takes:
        robust &= ~take.shown | (take.robust & (take.bits == bits))
    contrast = np.min([np.where(take.shown, take.contrast, 255) for take in takes], axis=0)
    held = np.min([np.where(take.shown, take.held, 1.0) for take in takes], axis=0)
    worth = np.where(robust, held * 1000 + np.minimum(contrast, 60), 0)
    mask = _enough_in_each_block(_balanced(_best_of_each_block(worth), bits, worth))
    return mask, np.asarray(bits, np.uint8)


def _two_places(takes: Sequence[Take]) -> list[str]:
    """Lights that show different places: a view of what these share would match both."""
    causes = []
    for number, one in enumerate(takes):
        for other in range(number):
            both = one.robust & takes[other].robust
            differ = float((one.bits != takes[other].bits)[both].mean()) if both.any() else 1.0
            if differ > MAX_TURNED:
                causes.append(
                    f"lights {other + 1} and {number + 1} do not show one place: {differ:.0%} of "
                    f"their lasting contrasts are turned round, at most {MAX_TURNED:.0%} may be"
                )
    return causes


def _check_frames(frames: Sequence[np.ndarray], boxes: Sequence[Sequence[Box]]) -> tuple[int, int]:
    if len(frames) < MIN_FRAMES:
        raise EnrolmentError(f"enrolment needs at least {MIN_FRAMES} frames, got {len(frames)}")
    if len(boxes) != len(frames):
        raise EnrolmentError(f"{len(frames)} frames but people looked for in {len(boxes)}")
    for number, frame in enumerate(frames):
        if signs.malformed(frame) or frame.shape != frames[0].shape:
            raise EnrolmentError(f"frame {number} is not a picture of the same size as the first")
    return int(frames[0].shape[0]), int(frames[0].shape[1])


def _best_of_each_block(worth: NDArray[np.float64]) -> Pixels:
    """The most robust pairs of each block and direction, as a mask."""
    mask = np.zeros(signs.SIGN_SHAPE, np.uint8)
    half = np.arange(signs.SIGN_SHAPE[0])[:, None] >= signs.HEIGHT
    group = (signs.BLOCK_OF_PAIR + np.where(half, signs.BLOCKS, 0)).ravel()
    flat = worth.ravel()
    for number in range(2 * signs.BLOCKS):
        members = np.flatnonzero((group == number) & (flat > 0))
        best = members[np.argsort(-flat[members], kind="stable")[:PER_BLOCK]]
        mask.ravel()[best] = 255
    return mask


def _balanced(mask: Pixels, bits: Pixels, worth: NDArray[np.float64]) -> Pixels:
    """Drop the least robust pairs of the commoner sign in each direction.

    Light that falls off to one side gives every pair the same sign, and so
    does any other picture with such light.
    """
    kept: Pixels = mask.copy()
    for rows in (slice(0, signs.HEIGHT), slice(signs.HEIGHT, 2 * signs.HEIGHT)):
        chosen = np.zeros(mask.shape, bool)
        chosen[rows] = mask[rows] != 0
        ways = [np.flatnonzero(chosen & (bits == value)) for value in (0, 255)]
        fewer, more = sorted(ways, key=len)
        room = int(len(fewer) * MAX_ONE_WAY / (1 - MAX_ONE_WAY))
        ranked = more[np.argsort(-worth.ravel()[more], kind="stable")]
        kept.ravel()[ranked[room:]] = 0
    return kept


def _enough_in_each_block(mask: Pixels) -> Pixels:
    """Leave blocks with hardly any pair out."""
    thin = signs.per_block(mask) < MIN_PER_BLOCK
    kept: Pixels = np.where(thin[signs.BLOCK_OF_PAIR], 0, mask).astype(np.uint8)
    return kept


def _unsteady(takes: Sequence[Take], *, enforce: bool, peopled: bool) -> list[str]:
    """Whether too much of a take changes where no person was found."""
    lost = max(take.lost for take in takes)
    if not enforce or lost <= MAX_UNSTEADY:
        return []
    step = "fix the camera, switch off what moves, and wait for the light"
    if peopled:  # more of them than was found may have moved
        step = f"{EMPTY}; if that is not enough, {step}"
    return [
        f"the view is not steady: {lost:.0%} of its contrasts come and go, "
        f"at most {MAX_UNSTEADY:.0%} may: {step}"
    ]


def _peopled(faces: int, frames: int, takes: Sequence[Take]) -> str:
    """Somebody is there, and what helps for sure."""
    if faces:
        what = f"people in {faces} of {frames} frames"
    else:
        blocks = int(np.any([take.lively for take in takes], axis=0).sum())
        what = f"somebody, or what looks like it, moves in {blocks} of {signs.BLOCKS} blocks"
    return f"{what}: {EMPTY}"


def _poor(mask: Pixels, coverage: Coverage, *, enforce: bool, peopled: bool) -> list[str]:
    """Whether too little is left, what took most of it, and the step that helps.

    Where somebody was, what moves there and below is theirs.
    """
    counts = signs.per_block(mask)
    pairs, blocks = int(counts.sum()), int((counts > 0).sum())
    quarters = signs.quadrants(signs.as_bits(counts > 0))
    least_pairs = MIN_PAIRS if enforce else MIN_PAIRS_UNENFORCED
    least_blocks = MIN_BLOCKS if enforce else MIN_BLOCKS_UNENFORCED
    enough = pairs >= least_pairs and blocks >= least_blocks
    if enough and quarters >= MIN_QUADRANTS:
        return []
    people, moving, unsteady, glare, plain = (
        count(coverage, cover)
        for cover in (Cover.PERSON, Cover.MOVED, Cover.UNSTEADY, Cover.GLARE, Cover.PLAIN)
    )
    cause, step = max(
        (plain, ("plain", "show more of the room")),
        (glare, ("bright", "turn the camera from the light or close the blind")),
        (people + moving * peopled, ("much hidden by people", EMPTY)),
        (
            moving * (not peopled),
            (
                "lively: something moved that may have been somebody",
                f"{EMPTY} and nothing moves, or add a take with --source: a block counts if "
                "one take shows it still",
            ),
        ),
        (unsteady, ("unsteady", "fix the camera, switch off what moves, and wait for the light")),
    )[1]
    needs = f"{least_pairs} in {least_blocks}"
    if enough:  # but all on one side: such a view would never open
        needs = f"some in {MIN_QUADRANTS} quarters of the picture and has them in {quarters}"
    return [
        f"the view is too {cause}: {pairs} lasting contrasts in {blocks} of {signs.BLOCKS} "
        f"blocks, needs {needs}; of the other blocks people took {people}, "
        f"something moved in {moving}, {unsteady} do not hold still, {glare} are glare, "
        f"{plain} are plain: {step}"
    ]


def _coverage(kept: NDArray[np.bool_], takes: Sequence[Take]) -> Coverage:
    """What took each block: the first of these causes that holds in every take."""
    contrasting = np.all([take.contrast >= MIN_CONTRAST for take in takes], axis=0)
    steady = contrasting & np.all([take.steady >= HELD for take in takes], axis=0)
    unsteady = signs.per_block(contrasting) >= MIN_PER_BLOCK
    unsteady &= signs.per_block(steady) < MIN_PER_BLOCK
    planes = (
        (Cover.ENROLLED, kept),
        (Cover.PERSON, np.all([take.people for take in takes], axis=0)),
        (Cover.MOVED, np.all([take.moving | take.people for take in takes], axis=0)),
        (Cover.GLARE, np.any([take.glare for take in takes], axis=0)),
        (Cover.UNSTEADY, unsteady),
        (Cover.PLAIN, np.ones(signs.BLOCKS, np.bool_)),
    )
    return tuple(
        next(cover for cover, plane in planes if plane[block]) for block in range(signs.BLOCKS)
    )


def _directions(takes: Sequence[Take]) -> tuple[Pixels, Pixels]:
    """The enrolled gradient directions and where they are."""
    found = np.stack([gradients.vectors(frame) for take in takes for frame in take.frames])
    free = np.stack([places for take in takes for places in take.free])
    mean = (found * free).sum(axis=0) / np.maximum(free.sum(axis=0), 1)
    on = (np.abs(mean) >= _STRONG) & free.any(axis=0)
    directions = np.where(on, gradients.quantise(mean), 0).astype(np.uint8)
    return directions, np.where(on, 255, 0).astype(np.uint8)
