"""The scene model: does this look like a private interior, or clearly like something else?

It judges the empty view once, at enrolment. At run time it can only veto, and
only where it is confident: a person filling the picture makes any model of
places unsure, and unsure is no veto. The picture goes in as it is (BGR uint8,
resized exactly alike on every processor); temperature and colour order are part
of the model. Probabilities are calibrated (Guo et al. 2017, arXiv:1706.04599).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import cv2
import numpy as np

from edge.errors import ModelError, failing
from edge.files import read_named
from edge.models import SCENE, runtime
from edge.reasons import Reason, worst_first
from edge.view.exact.area import shrunk

MAX_BYTES = 64 * 1024 * 1024
LOOKS = 5  # the whole empty view and its four corners
MOST_HIGH, MOST_WIDE = 1.15, 2.0  # height over width, width over height; beyond, in squares
_CORNER = 0.72  # of width and height
SUM_TOLERANCE = 1e-3  # probabilities must add up to one


class Scene(Enum):
    """The classes, in the order of the model's output."""

    PRIVATE = "indoor_private"
    PUBLIC = "indoor_public"
    URBAN = "outdoor_urban"
    NATURE = "outdoor_nature"
    VEHICLE = "vehicle"


@dataclass(frozen=True, slots=True)
class Points:
    """Operating points, chosen on validation pictures when the model was trained."""

    private: float  # an empty view at or above is a private interior
    veto: float  # probability of no interior, outdoors or vehicle, from which a frame is vetoed


@dataclass(frozen=True, slots=True)
class Description:
    """What is said of a model beside it."""

    side_px: int  # of the square that it takes
    points: Points
    looks: int = 1  # of an empty view: it as a whole, or `LOOKS`
    sha256: str = ""  # of the model's bytes


@dataclass(frozen=True, slots=True)
class SceneReading:
    """What the model says of one frame."""

    captured_ns: int
    probabilities: tuple[float, ...]  # one a class of `Scene`, adding up to 1
    reasons: tuple[Reason, ...]  # a confident veto, or none


class SceneModel:
    """One loaded model."""

    def __init__(
        self, session: runtime.onnxruntime.InferenceSession, described: Description
    ) -> None:
        """Use `load`, which checks that what it loads is what is described."""
        self._session = session
        self._described = described
        self.points, self.sha256 = described.points, described.sha256

    @classmethod
    def load(cls, path: Path = SCENE) -> SceneModel:
        """The model at `path`, described by the JSON file of the same name.

        Raises:
            ModelError: missing, not the described bytes, or not usable.
        """
        described = _description(path.with_suffix(".json"))
        with failing(f"scene model {path.name} cannot be read", ModelError):
            data = read_named(path, MAX_BYTES + 1)
        digest, expected = hashlib.sha256(data).hexdigest(), described.sha256
        if digest != expected:
            raise ModelError(
                f"scene model {path.name} has SHA-256 {digest[:12]}, expected {expected[:12]}"
            )
        return cls(runtime.load(data, f"scene model {path.name}"), described)

    def probabilities(self, frame: np.ndarray) -> tuple[float, ...]:
        """The five probabilities of a BGR frame; the mean over its `windows`.

        Raises:
            ModelError: the model failed, or its answer cannot be true.
            MemoryError: it could get no memory.
        """
        each = [self._shares(window) for window in windows(frame)]
        return tuple(sum(shares) / len(each) for shares in zip(*each, strict=True))

    def _shares(self, window: np.ndarray) -> tuple[float, ...]:
        side = (self._described.side_px, self._described.side_px)
        small = cv2.resize(window, side, interpolation=cv2.INTER_LINEAR_EXACT)
        (given,) = runtime.ask(self._session, None, {"image": small[None]}, "scene model")
        answer = np.asarray(given, np.float64)
        if answer.shape != (1, len(Scene)):
            raise ModelError(f"scene model gave shape {answer.shape}, expected (1, {len(Scene)})")
        shares = tuple(float(p) for p in answer[0])
        if not all(math.isfinite(p) and -SUM_TOLERANCE <= p <= 1 + SUM_TOLERANCE for p in shares):
            raise ModelError("scene model gave a probability that is not between 0 and 1")
        if abs(sum(shares) - 1.0) > SUM_TOLERANCE:
            raise ModelError(f"scene model's probabilities add up to {sum(shares):.3f}")
        return shares

    def read(self, frame: np.ndarray, captured_ns: int) -> SceneReading:
        """Judge one frame at run time: a veto or nothing."""
        shares = self.probabilities(frame)
        return SceneReading(captured_ns, shares, self._veto(shares))

    def looks_at(self, frame: np.ndarray) -> np.ndarray:
        """The probabilities of a frame and of its parts, shape (looks, 5); the frame is first."""
        return np.array(
            [self.probabilities(part) for part in looks(frame)[: self._described.looks]]
        )

    def judge_empty(self, frames: Sequence[np.ndarray]) -> tuple[Reason, ...]:
        """Why the empty view is no private interior; empty if it looks like one.

        Args:
            frames: a few BGR frames of the view to be enrolled; the mean over them decides,
                and over their corners if the operating point was chosen that way.
        """
        if not frames:
            raise ValueError("an empty view needs at least one frame")
        each = np.concatenate([self.looks_at(frame) for frame in frames])
        mean = tuple(float(p) for p in each.mean(axis=0))
        if mean[0] >= self.points.private:
            return ()
        worst = int(np.argmax(mean[1:]))
        other = {0: Reason.SCENE_PUBLIC, 3: Reason.SCENE_VEHICLE}
        return worst_first([other.get(worst, Reason.SCENE_OUTDOOR)])

    def _veto(self, shares: tuple[float, ...]) -> tuple[Reason, ...]:
        _, _, urban, nature, vehicle = shares
        if urban + nature + vehicle < self.points.veto:
            return ()
        return (Reason.SCENE_VEHICLE if vehicle > urban + nature else Reason.SCENE_OUTDOOR,)


def without_people(frame: np.ndarray, away: np.ndarray) -> np.ndarray:
    """The picture with people blurred into what surrounds them.

    Args:
        frame: BGR uint8.
        away: booleans of any smaller shape, True where nobody is; all True changes nothing.
    """
    if away.all():
        return frame
    height, width = frame.shape[:2]
    small = shrunk(frame, (away.shape[1] * 4, away.shape[0] * 4))
    people, exact = (~away).astype(np.uint8), cv2.INTER_LINEAR_EXACT
    gone = cv2.resize(people, (small.shape[1], small.shape[0]), interpolation=exact)
    filled = cv2.inpaint(small, gone, 3, cv2.INPAINT_TELEA)
    whole = cv2.resize(filled, (width, height), interpolation=exact)
    where = cv2.resize(people, (width, height), interpolation=exact) != 0
    return np.asarray(np.where(where[..., None], whole, frame), np.uint8)


def windows(picture: np.ndarray) -> list[np.ndarray]:
    """What of a picture is resized to the model's square.

    The model learned from photographs up to twice as wide as high, squeezed to a square.
    A picture in portrait or still wider would be squeezed to what it never saw, so such
    a picture is cut into overlapping squares instead.
    """
    height, width = picture.shape[:2]
    if height <= MOST_HIGH * width and width <= MOST_WIDE * height:
        return [picture]
    side, length = min(height, width), max(height, width)
    count = math.ceil(length / side)
    starts = [(length - side) * i // (count - 1) for i in range(count)]
    if height > width:
        return [picture[start : start + side] for start in starts]
    return [picture[:, start : start + side] for start in starts]


def looks(picture: np.ndarray) -> list[np.ndarray]:
    """The picture and its four corners, as views of it: what an empty view is judged by.

    A place that is private as a whole and public in a corner is neither for sure.
    """
    height, width = picture.shape[:2]
    high, wide = max(1, round(height * _CORNER)), max(1, round(width * _CORNER))
    return [picture] + [
        picture[top : top + high, left : left + wide]
        for top in (0, height - high)
        for left in (0, width - wide)
    ]


def shipped_sha256() -> str:
    """The SHA-256, in hex, that the shipped model must have.

    Raises:
        ModelError: its description is missing or is none.
    """
    return _description(SCENE.with_suffix(".json")).sha256


def _description(path: Path) -> Description:
    with failing(f"{path.name} cannot be read", ModelError):
        text = read_named(path, MAX_BYTES)
    try:
        read = json.loads(text)
    except ValueError as err:
        raise ModelError(f"{path.name} is not JSON") from err
    try:
        if read["kind"] != "framegate-scene" or read["version"] != 1:
            raise ModelError(f"{path.name} does not describe a scene model of version 1")
        if read["labels"] != [scene.value for scene in Scene]:
            raise ModelError(f"{path.name} names other classes: {read['labels']}")
        points = Points(*(float(read["points"][name]) for name in ("private", "veto")))
        side_px = int(read["input"]["width"])
        seen = int(read.get("looks", 1))
        sha256 = str(read["sha256"])
    except (KeyError, TypeError, ValueError) as err:
        raise ModelError(f"{path.name} has an odd field: {str(err)[:60]}") from err
    shares = (points.private, points.veto)
    if not all(0.0 < share < 1.0 for share in shares) or not 32 <= side_px <= 1024:
        raise ModelError(f"{path.name} has an operating point or input size out of range")
    if seen not in (1, LOOKS):
        raise ModelError(f"{path.name} asks for {seen} views of a picture, expected 1 or {LOOKS}")
    return Description(side_px, points, seen, sha256)
