"""Enrolment: from frames of the empty view to its fingerprint, or a refusal.

Kept are pairs and directions that survive what a fixed camera meets: a few
pixels of shift, a little roll, uneven lamps, and time. Under several lights only
what holds under each is kept. People are left out by their silhouettes. A view
too plain, too unsteady or peopled is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import EnrolmentError
from edge.view import gradients, signs
from edge.view.box import Box
from edge.view.fingerprint import Enrolment, Fingerprint, SceneCheck
from edge.view.signs import Pixels
from edge.view.silhouette import silhouettes

MIN_FRAMES = 5
MIN_PAIRS, MIN_BLOCKS = 500, 32  # fewer match foreign pictures too often
MIN_PAIRS_UNENFORCED, MIN_BLOCKS_UNENFORCED = 150, 14
MIN_CONTRAST = 6  # grey levels between the two pixels of a pair
HELD = 0.95  # share of the altered copies on which a pair's sign stays
PER_BLOCK = 12  # pairs kept in a block and direction
MAX_ONE_WAY = 0.9  # share of a direction's pairs that fall the same way: a ramp is no place
MIN_PER_BLOCK = 6  # a block with fewer pairs is not enrolled
MAX_UNSTEADY = 0.3  # share of contrasting pairs that do not hold over the plain frames
MAX_TURNED = 0.3  # share of lasting contrasts that two lights show the other way; 0.5 is chance
MARGIN = 3  # thumbnail pixels left out around a person
COPIES = 8  # frames that are altered
PLAIN = 40  # frames that are compared as they are
_REFERENCE_WIDTH = 640  # shifts are in pixels of a picture this wide
_SHIFTS_PX = ((3, 0), (-3, 0), (0, 3), (0, -3))
_ROLLS_DEG = (0.7, -0.7)
_LAMPS = ((0.7, 1.3, 0), (1.3, 0.7, 0), (0.7, 1.3, 1), (1.3, 0.7, 1))  # from, to, axis
_STRONG = 0.5  # length of a softened gradient from which a direction is enrolled


def enrol(
    frames: Sequence[np.ndarray],
    boxes: Sequence[Sequence[Box]],
    *,
    camera: bytes,
    enforce: bool,
    mask_people: bool = True,
    scene: SceneCheck = SceneCheck.UNCHECKED,
    lights: Sequence[int] | None = None,
    enrolled_s: int = 0,
) -> Fingerprint:
    """Make the fingerprint of the view these frames show.

    Args:
        frames: BGR uint8, all of one size, in order, spread over a second or more.
        boxes: the faces found in each frame.
        camera: 16-byte digest of the camera identity.
        enforce: apply the limits for a real site; otherwise those for a trial.
        mask_people: leave the places of people out; otherwise people are refused.
        scene: what the scene model said of the view.
        lights: which light each frame was taken under, as a number; one if not given.
            Steadiness is judged under each by itself.
        enrolled_s: when, in seconds since 1970 UTC; 0 if that is not known.

    Raises:
        EnrolmentError: the view cannot be enrolled; says why and by how much.
    """
    height, width = _check_frames(frames, boxes)
    peopled = sum(bool(found) for found in boxes)
    if peopled and not mask_people:
        raise EnrolmentError(
            f"people in {peopled} of {len(frames)} frames: enrol the empty view, or mask them"
        )
    people = (box for found in boxes for box in found)
    away = silhouettes(people, width, height, margin=MARGIN) == 0
    takes = _by_light(frames, lights)
    free = _pairs_where(away)
    found = [_under_one_light(take, free, enforce=enforce) for take in takes]
    _check_one_place(found)
    bits = found[0].bits
    contrast = np.min([one.contrast for one in found], axis=0)
    held = np.min([one.held for one in found], axis=0)
    robust = np.all([one.robust & (one.bits == bits) for one in found], axis=0)
    worth = np.where(robust, held * 1000 + np.minimum(contrast, 60), 0)
    mask = _enough_in_each_block(_balanced(_best_of_each_block(worth), bits, worth))
    _check_rich(mask, found, away, enforce=enforce)
    directions, gradient_mask = _directions([f for t in takes for f in _spread(t, COPIES)], away)
    return Fingerprint(
        camera=camera,
        width=width,
        height=height,
        enrolment=Enrolment.ENFORCED if enforce else Enrolment.UNENFORCED,
        scene=scene,
        bits=bits & mask,
        mask=mask,
        directions=directions,
        gradient_mask=gradient_mask,
        enrolled_s=enrolled_s,
    )


@dataclass(frozen=True)
class _Light:
    """What the frames of one light say of each pair; arrays of the sign shape."""

    bits: Pixels
    contrast: Pixels  # grey levels
    held: NDArray[np.float64]  # share of the plain and altered copies on which the sign stays
    steady: NDArray[np.float64]  # share of the plain frames on which the sign stays
    robust: NDArray[np.bool_]


def _by_light(frames: Sequence[np.ndarray], lights: Sequence[int] | None) -> list[list[np.ndarray]]:
    """The frames of each light, in the order in which the lights came."""
    if lights is None:
        return [list(frames)]
    if len(lights) != len(frames):
        raise EnrolmentError(f"{len(frames)} frames but lights named for {len(lights)}")
    takes: dict[int, list[np.ndarray]] = {}
    for frame, light in zip(frames, lights, strict=True):
        takes.setdefault(light, []).append(frame)
    for take in takes.values():
        if len(take) < MIN_FRAMES:
            raise EnrolmentError(f"each light needs at least {MIN_FRAMES} frames, got {len(take)}")
    return list(takes.values())


def _under_one_light(
    frames: Sequence[np.ndarray], free: NDArray[np.bool_], *, enforce: bool
) -> _Light:
    plain = [signs.thumbnail(f) for f in _spread(frames, PLAIN)]
    bits, contrast = _typical(plain)
    candidates = (contrast >= MIN_CONTRAST) & free
    steady = np.mean([signs.signs(thumb) == bits for thumb in plain], axis=0)
    _check_steady(steady, candidates, enforce=enforce)
    copies = plain + [c for f in _spread(frames, COPIES) for c in _altered(f)]
    held = np.mean([signs.signs(copy) == bits for copy in copies], axis=0)
    return _Light(bits, contrast, held, steady, candidates & (held >= HELD) & (steady >= HELD))


def _check_one_place(found: Sequence[_Light]) -> None:
    """Refuse lights that show different places: a view of what these share matches both."""
    for number, one in enumerate(found):
        for other in range(number):
            both = one.robust & found[other].robust
            differ = float((one.bits != found[other].bits)[both].mean()) if both.any() else 1.0
            if differ > MAX_TURNED:
                raise EnrolmentError(
                    f"lights {other + 1} and {number + 1} do not show one place: {differ:.0%} of "
                    f"their lasting contrasts are turned round, at most {MAX_TURNED:.0%} may be"
                )


def _check_frames(frames: Sequence[np.ndarray], boxes: Sequence[Sequence[Box]]) -> tuple[int, int]:
    if len(frames) < MIN_FRAMES:
        raise EnrolmentError(f"enrolment needs at least {MIN_FRAMES} frames, got {len(frames)}")
    if len(boxes) != len(frames):
        raise EnrolmentError(f"{len(frames)} frames but people looked for in {len(boxes)}")
    for number, frame in enumerate(frames):
        if signs.malformed(frame) or frame.shape != frames[0].shape:
            raise EnrolmentError(f"frame {number} is not a picture of the same size as the first")
    return int(frames[0].shape[0]), int(frames[0].shape[1])


def _spread(frames: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """At most `count` frames, evenly spread."""
    if len(frames) <= count:
        return list(frames)
    return [frames[i] for i in np.linspace(0, len(frames) - 1, count).round().astype(int)]


def _typical(thumbs: Sequence[Pixels]) -> tuple[Pixels, Pixels]:
    """The signs of the median thumbnail, and the contrast of each pair in it."""
    middle = np.median(np.stack(thumbs), axis=0).astype(np.uint8)
    return signs.signs(middle), signs.contrasts(middle)


def _pairs_where(away: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pairs of which both pixels are away from people."""
    pairs = np.zeros(signs.SIGN_SHAPE, bool)
    pairs[: signs.HEIGHT, : signs.WIDTH - signs.STEP] = (
        away[:, : -signs.STEP] & away[:, signs.STEP :]
    )
    pairs[signs.HEIGHT : 2 * signs.HEIGHT - signs.STEP] = away[: -signs.STEP] & away[signs.STEP :]
    return pairs


def _altered(frame: np.ndarray) -> list[Pixels]:
    """Thumbnails of the frame shifted, rolled and unevenly lit."""
    green = np.ascontiguousarray(frame[:, :, 1])
    height, width = green.shape
    scale = width / _REFERENCE_WIDTH
    moves = [np.array([[1, 0, x * scale], [0, 1, y * scale]]) for x, y in _SHIFTS_PX]
    centre = (width / 2, height / 2)
    moves += [cv2.getRotationMatrix2D(centre, angle, 1.0) for angle in _ROLLS_DEG]
    copies = [
        signs.thumbnail(
            cv2.warpAffine(
                green,
                move,
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )
        for move in moves
    ]
    thumb = signs.thumbnail(green)
    for start, end, axis in _LAMPS:
        shape = (-1, 1) if axis == 0 else (1, -1)
        ramp = np.linspace(start, end, thumb.shape[axis]).reshape(shape)
        copies.append(np.clip(thumb * ramp, 0, 255).astype(np.uint8))
    return copies


def _check_steady(
    steady: NDArray[np.float64], candidates: NDArray[np.bool_], *, enforce: bool
) -> None:
    if not candidates.any():
        return  # too plain: said with its numbers below
    lost = float((steady[candidates] < HELD).mean())
    if lost > MAX_UNSTEADY and enforce:
        raise EnrolmentError(
            f"the view is not steady: {lost:.0%} of its contrasts come and go, "
            f"at most {MAX_UNSTEADY:.0%} may"
        )


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


def _check_rich(
    mask: Pixels, found: Sequence[_Light], away: NDArray[np.bool_], *, enforce: bool
) -> None:
    counts = signs.per_block(mask)
    pairs, blocks = int(counts.sum()), int((counts > 0).sum())
    least_pairs = MIN_PAIRS if enforce else MIN_PAIRS_UNENFORCED
    least_blocks = MIN_BLOCKS if enforce else MIN_BLOCKS_UNENFORCED
    if pairs >= least_pairs and blocks >= least_blocks:
        return
    people, unsteady, plain = _lost_blocks(counts > 0, found, away)
    cause, step = max(
        (plain, ("plain", "show more of the room")),
        (people, ("much hidden by people", "enrol while nobody is in the picture")),
        (unsteady, ("unsteady", "fix the camera, switch off what moves, and wait for the light")),
    )[1]
    raise EnrolmentError(
        f"the view is too {cause}: {pairs} lasting contrasts in {blocks} of {signs.BLOCKS} "
        f"blocks, needs {least_pairs} in {least_blocks}; of the other blocks people took {people}, "
        f"{unsteady} do not hold still, {plain} are plain: {step}"
    )


def _lost_blocks(
    kept: NDArray[np.bool_], found: Sequence[_Light], away: NDArray[np.bool_]
) -> tuple[int, int, int]:
    """How many blocks are not enrolled for people, for unsteadiness, and for being plain."""
    hidden = (~away).reshape(signs.ROWS, signs.BLOCK, signs.COLUMNS, signs.BLOCK)
    people = ~kept & (hidden.mean(axis=(1, 3)).ravel() > 0.5)
    contrasting = np.all([one.contrast >= MIN_CONTRAST for one in found], axis=0)
    steady = contrasting & np.all([one.steady >= HELD for one in found], axis=0)
    unsteady = ~kept & ~people & (signs.per_block(contrasting) >= MIN_PER_BLOCK)
    unsteady &= signs.per_block(steady) < MIN_PER_BLOCK
    plain = ~kept & ~people & ~unsteady
    return int(people.sum()), int(unsteady.sum()), int(plain.sum())


def _directions(frames: Sequence[np.ndarray], away: NDArray[np.bool_]) -> tuple[Pixels, Pixels]:
    """The enrolled gradient directions and where they are."""
    found = np.stack([gradients.vectors(frame) for frame in frames])
    mean = found.mean(axis=0)
    on = (np.abs(mean) >= _STRONG) & away
    directions = np.where(on, gradients.quantise(mean), 0).astype(np.uint8)
    return directions, np.where(on, 255, 0).astype(np.uint8)
