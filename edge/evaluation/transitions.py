"""Ways in which a picture of the enrolled place turns into one of another place.

Each transition is a list of frames with the share of the picture that is foreign,
0 to 1: the weight of the other picture in a fade, the part of the area in the
rest. A frame is forbidden from a share of one half. Pictures are BGR uint8, all
of one shape; randomness comes from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

import cv2
import numpy as np

from edge.view.box import Box
from edge.view.silhouette import silhouettes

FORBIDDEN = 0.5  # foreign share from which a frame may not be received
GLIMPSE = (1, 6)  # frames
FADE = (5, 30)
_MOVE = (6, 30)
_LIFT = (3, 12)
_WALK = (8, 30)
_COVER = (4, 24)
_AFTER = 9  # frames of the other place after a slow transition
_RETURN = 12  # frames of the own place after a glimpse

Step = tuple[np.ndarray, float]  # picture and foreign share
Person = tuple[np.ndarray, Sequence[Box]]  # a picture with somebody in it, and the faces


class Kind(Enum):
    """How one picture becomes the other."""

    HARD_CUT = "hard cut"
    GLIMPSE = "glimpse and back"
    CROSS_FADE = "cross-fade"
    PAN_AWAY = "pan away"
    LIFT = "lift"
    WALK_IN = "person walks in"
    COVER = "cover and uncover elsewhere"


def transition(
    kind: Kind,
    own: Sequence[np.ndarray],
    foreign: Sequence[np.ndarray],
    person: Person,
    rng: np.random.Generator,
) -> list[Step]:
    """The frames from the first that is not the own place alone.

    Args:
        own: how the own place goes on; its last frame stands for all later ones.
        foreign: the other place, likewise.
        person: who walks in; of their picture only the silhouette does.
    """
    here, there = _held(own), _held(foreign)
    match kind:
        case Kind.HARD_CUT:
            return [(there(i), 1.0) for i in range(15)]
        case Kind.GLIMPSE:
            long = int(rng.integers(*GLIMPSE, endpoint=True))
            glimpse = [(there(i), 1.0) for i in range(long)]
            return glimpse + [(here(long + i), 0.0) for i in range(_RETURN)]
        case Kind.CROSS_FADE:
            long = int(rng.integers(*FADE, endpoint=True))
            shares = [(i + 1) / (long + 1) for i in range(long)]
            steps = [(_mixed(here(i), there(i), w), w) for i, w in enumerate(shares)]
        case Kind.PAN_AWAY:
            long = int(rng.integers(*_MOVE, endpoint=True))
            shares = [(i + 1) / long for i in range(long)]
            steps = [(_beside(here(i), there(i), w), w) for i, w in enumerate(shares)]
        case Kind.LIFT:
            long = int(rng.integers(*_LIFT, endpoint=True))
            turn = float(rng.uniform(-12, 12))
            shares = [((i + 1) / long) ** 2 for i in range(long)]
            steps = [(_lifted(here(i), there(i), w, turn), w) for i, w in enumerate(shares)]
        case Kind.WALK_IN:
            long = int(rng.integers(*_WALK, endpoint=True))
            return [
                _walking(here(i), person, min(1.0, (i + 1) / long)) for i in range(long + _AFTER)
            ]
        case Kind.COVER:
            long = int(rng.integers(*_COVER, endpoint=True))
            steps = [(_covered(here(i), rng), 1.0) for i in range(long)]
    return steps + [(there(len(steps) + i), 1.0) for i in range(_AFTER)]


def _held(frames: Sequence[np.ndarray]) -> Callable[[int], np.ndarray]:
    return lambda index: frames[min(index, len(frames) - 1)]


def _mixed(own: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(cv2.addWeighted(own, 1 - share, other, share, 0.0), np.uint8)


def _beside(own: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """The camera turns right: the own place leaves on the left, the other comes in."""
    gone = round(share * own.shape[1])
    return np.ascontiguousarray(np.hstack([own[:, gone:], other[:, :gone]]))


def _lifted(own: np.ndarray, other: np.ndarray, share: float, turn: float) -> np.ndarray:
    """The camera is taken off: the picture slides up and turns."""
    gone = round(share * own.shape[0])
    slid = np.vstack([own[gone:], other[:gone]])
    height, width = own.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn * share, 1.0)
    moved = cv2.warpAffine(slid, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8)


def _walking(own: np.ndarray, person: Person, done: float) -> Step:
    """Somebody comes in from the right until they stand in the middle."""
    picture, faces = person
    height, width = own.shape[:2]
    outline = cv2.resize(silhouettes(faces, width, height, margin=0), (width, height))
    shift = np.array([[1.0, 0.0, (1 - done) * width], [0.0, 1.0, 0.0]])
    mask = cv2.warpAffine(outline, shift, (width, height)) > 127
    moved = cv2.warpAffine(picture, shift, (width, height))
    return np.where(mask[:, :, None], moved, own).astype(np.uint8), float(mask.mean())


def _covered(own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A hand before the lens: next to no light, and the sensor's noise."""
    noise = rng.integers(0, 5, own.shape[:2], np.uint8)
    return np.asarray(cv2.convertScaleAbs(own, alpha=0.03) + noise[:, :, None], np.uint8)
