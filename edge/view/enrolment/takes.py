"""What one take of a view shows: the frames of one light, people in them left out.

Somebody who walks through hides a block for a while. Where the picture changed while
somebody was found there, and was as usual before or after, the place behind is proven
and is judged from the frames that show it. Where somebody is found and nothing
changes, the person may be part of every frame: such a block is left out. And where
something moved and nobody was found, it may have been somebody all the same: under the
limits of a real site that block, its neighbours and what is below are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.view import signs
from edge.view.enrolment import movement
from edge.view.signs import Pixels

MIN_FRAMES = 5
MIN_CONTRAST = 6  # grey levels between the two pixels of a pair
HELD = 0.95  # share of the altered copies on which a pair's sign stays
COPIES = 8  # frames that are altered
PLAIN = 40  # frames that are compared as they are
MIN_SHOWN = 0.5  # share of a take's frames in which a place must be free of people
LEFT = 0.3  # share of the frames with somebody in a block that differ from the usual picture
LASTING = 0.1  # share of the frames in which a block must move: one frame may be damaged
AROUND = 2  # frames before and after one with somebody in it
GLARE = 250  # grey level from which a pixel is clipped
_REFERENCE_WIDTH = 640  # shifts are in pixels of a picture this wide
_SHIFTS_PX = ((3, 0), (-3, 0), (0, 3), (0, -3))
_ROLLS_DEG = (0.7, -0.7)
_LAMPS = ((0.7, 1.3, 0), (1.3, 0.7, 0), (0.7, 1.3, 1), (1.3, 0.7, 1))  # from, to, axis

Places = NDArray[np.bool_]  # of the thumbnail, shape (48, 64)
Blocks = NDArray[np.bool_]  # shape (48,)


@dataclass(frozen=True)
class Take:
    """What the frames of one light say of each pair; arrays of the sign shape."""

    bits: Pixels
    contrast: Pixels  # grey levels
    held: NDArray[np.float64]  # share of the plain and altered copies on which the sign stays
    steady: NDArray[np.float64]  # share of the plain frames on which the sign stays
    shown: NDArray[np.bool_]  # the take shows the pair, without a person in front
    robust: NDArray[np.bool_]
    people: Blocks  # hidden for good, by somebody or what looks like somebody
    moving: Blocks  # hidden by what moved and was not found to be a person
    lively: Blocks  # somebody was found there, and something moved
    glare: Blocks
    lost: float  # share of its contrasts, away from people, that come and go
    frames: tuple[np.ndarray, ...]  # spread over the take
    free: tuple[Places, ...]  # of each of them: places without people


def take_of(
    frames: Sequence[np.ndarray],
    people: Sequence[Places],
    doubtful: Sequence[Places],
    *,
    enforce: bool,
) -> Take:
    """Judge the frames of one light.

    Args:
        frames: BGR uint8 of one size, in order.
        people: for each frame, where somebody is.
        doubtful: where somebody may be; counts together with what moves there or is somebody.
        enforce: what moves may have been somebody.
    """
    chosen = _spread(len(frames), PLAIN)
    frames, people = [frames[i] for i in chosen], [people[i] for i in chosen]
    moves = movement.moved(movement.apparent_motion(frames))
    people = _with_doubtful(people, [doubtful[i] for i in chosen], _lasting(moves))
    found = np.stack([_by_block(one) for one in people])
    near = _around(found)
    proven = _came_and_went(found, moves)
    unknown = _lasting(moves & ~_beside(near))
    moving = _reach(unknown) if enforce else np.zeros(signs.BLOCKS, np.bool_)
    lasting = np.any(people, axis=0) & ~_places(proven)
    free = [
        ~(lasting | _places(moving) | _places((near[i] | moves[i]) & proven))
        for i in range(len(frames))
    ]
    return _judge(frames, people, free, found, proven, moving, moves)


def _judge(
    frames: Sequence[np.ndarray],
    hidden: Sequence[Places],
    free: Sequence[Places],
    found: NDArray[np.bool_],
    proven: Blocks,
    moving: Blocks,
    moves: NDArray[np.bool_],
) -> Take:
    thumbs = [signs.thumbnail(frame) for frame in frames]
    valid = np.stack([pairs_where(one) for one in free])
    count = valid.sum(axis=0)
    shown = count >= max(MIN_FRAMES, MIN_SHOWN * len(frames))
    bits, contrast = _typical(thumbs, free)
    candidates = (contrast >= MIN_CONTRAST) & shown
    agree = np.stack([signs.signs(thumb) == bits for thumb in thumbs]) & valid
    steady = agree.sum(axis=0) / np.maximum(count, 1)
    altered = _spread(len(frames), COPIES)
    right, tried = agree.sum(axis=0), count.copy()
    for i in altered:
        copies = _altered(frames[i])
        right += sum(((signs.signs(copy) == bits) & valid[i]).astype(int) for copy in copies)
        tried += len(copies) * valid[i]
    held = right / np.maximum(tried, 1)
    return Take(
        bits=bits,
        contrast=contrast,
        held=held,
        steady=steady,
        shown=shown,
        robust=candidates & (held >= HELD) & (steady >= HELD),
        people=found.any(axis=0) & ~proven,
        moving=moving,
        lively=_lasting(found & _beside(moves)),
        lost=_lost(thumbs, [~places for places in hidden]),
        glare=_by_block(np.median(thumbs, axis=0) >= GLARE, 0.5),
        frames=tuple(frames[i] for i in altered),
        free=tuple(free[i] for i in altered),
    )


def _lost(thumbs: Sequence[Pixels], free: Sequence[Places]) -> float:
    """The share of the contrasts away from people that come and go; 0 where there are none."""
    bits, contrast = _typical(thumbs, free)
    valid = np.stack([pairs_where(one) for one in free])
    count = valid.sum(axis=0)
    judged = (contrast >= MIN_CONTRAST) & (count >= MIN_FRAMES)
    if not judged.any():
        return 0.0
    agree = np.stack([signs.signs(thumb) == bits for thumb in thumbs]) & valid
    return float((agree.sum(axis=0)[judged] / count[judged] < HELD).mean())


def pairs_where(away: Places) -> NDArray[np.bool_]:
    """The pairs of which both pixels are such places."""
    pairs = np.zeros(signs.SIGN_SHAPE, bool)
    pairs[: signs.HEIGHT, : signs.WIDTH - signs.STEP] = (
        away[:, : -signs.STEP] & away[:, signs.STEP :]
    )
    pairs[signs.HEIGHT : 2 * signs.HEIGHT - signs.STEP] = away[: -signs.STEP] & away[signs.STEP :]
    return pairs


def _spread(length: int, count: int) -> list[int]:
    """At most `count` of so many, evenly spread."""
    if length <= count:
        return list(range(length))
    return [int(i) for i in np.linspace(0, length - 1, count).round()]


def _typical(thumbs: Sequence[Pixels], free: Sequence[Places]) -> tuple[Pixels, Pixels]:
    """The signs of the median thumbnail, from frames without people there, and their contrasts."""
    stack = np.stack(thumbs)
    middle = np.median(stack, axis=0)
    partly = ~np.all(free, axis=0) & np.any(free, axis=0)
    if partly.any():
        seen = np.where(np.stack(free)[:, partly], stack[:, partly], np.nan)
        middle[partly] = np.nanmedian(seen, axis=0)
    typical = middle.astype(np.uint8)
    return signs.signs(typical), signs.contrasts(typical)


def _lasting(blocks: NDArray[np.bool_]) -> Blocks:
    """The blocks of which that holds in more than a frame or two."""
    return np.asarray(blocks.sum(axis=0) >= max(2, LASTING * len(blocks)), np.bool_)


def _with_doubtful(
    people: Sequence[Places], doubtful: Sequence[Places], moved: Blocks
) -> list[Places]:
    """People, and where somebody may be if anything moves there: a wall taken for one does not."""
    anywhere = np.any(doubtful, axis=0)
    _, label = cv2.connectedComponents(anywhere.astype(np.uint8))
    alive = set(label[anywhere & _places(moved)])
    counts = np.isin(label, list(alive)) & anywhere
    return [one | (other & counts) for one, other in zip(people, doubtful, strict=True)]


def _came_and_went(found: NDArray[np.bool_], moves: NDArray[np.bool_]) -> Blocks:
    """The blocks where somebody was found, the picture differed then, and it was free otherwise."""
    often = found.sum(axis=0)
    differed = (found & moves).sum(axis=0) >= LEFT * np.maximum(often, 1)
    proven: Blocks = (often > 0) & differed & (often <= (1 - MIN_SHOWN) * len(found))
    return proven


def _around(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Also a little before and after: a detector misses who is half in the picture."""
    near = found.copy()
    for step in range(1, AROUND + 1):
        near[step:] |= found[:-step]
        near[:-step] |= found[step:]
    return np.asarray(near, np.bool_)


def _beside(blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """These blocks of each frame and the eight around each."""
    planes = blocks.reshape(-1, signs.ROWS, signs.COLUMNS).astype(np.uint8)
    grown = [cv2.dilate(plane, np.ones((3, 3), np.uint8)) for plane in planes]
    return np.asarray(np.stack(grown).reshape(blocks.shape) != 0, np.bool_)


def _reach(moved: Blocks) -> Blocks:
    """Where somebody may be of whom only this moved: around it, and down to the floor."""
    plane = _beside(moved[None])[0].reshape(signs.ROWS, signs.COLUMNS)
    return np.asarray(np.logical_or.accumulate(plane, axis=0).ravel(), np.bool_)


def _by_block(places: Places, share: float = 0.1) -> Blocks:
    split = places.reshape(signs.ROWS, signs.BLOCK, signs.COLUMNS, signs.BLOCK)
    return np.asarray(split.mean(axis=(1, 3)).ravel() > share, np.bool_)


def _places(blocks: Blocks) -> Places:
    """Every place of the thumbnail in these blocks."""
    plane = blocks.reshape(signs.ROWS, signs.COLUMNS)
    return np.repeat(np.repeat(plane, signs.BLOCK, axis=0), signs.BLOCK, axis=1)


def _altered(frame: np.ndarray) -> list[Pixels]:
    """Thumbnails of the frame shifted, rolled and unevenly lit."""
    green = np.ascontiguousarray(frame[:, :, 1])
    height, width = green.shape
    scale = width / _REFERENCE_WIDTH
    moves = [np.array([[1, 0, x * scale], [0, 1, y * scale]]) for x, y in _SHIFTS_PX]
    centre = (width / 2, height / 2)
    moves += [cv2.getRotationMatrix2D(centre, angle, 1.0) for angle in _ROLLS_DEG]
    size, edge = (width, height), cv2.BORDER_REPLICATE
    copies = [signs.thumbnail(cv2.warpAffine(green, move, size, borderMode=edge)) for move in moves]
    thumb = signs.thumbnail(green)
    for start, end, axis in _LAMPS:
        shape = (-1, 1) if axis == 0 else (1, -1)
        ramp = np.linspace(start, end, thumb.shape[axis]).reshape(shape)
        copies.append(np.clip(thumb * ramp, 0, 255).astype(np.uint8))
    return copies
