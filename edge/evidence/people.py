"""People: how many faces, how large, where. Boxes only, never a vector.

`FaceBoxes` runs the CenterFace detector (Xu et al. 2019, arXiv:1911.03599; MIT)
through OpenCV. Its landmark output exists but is never read. `judge` turns boxes
into reasons by the rules of the signed record; nobody in view is controlled too.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.clock import S
from edge.errors import ModelError
from edge.reasons import Reason, worst_first
from edge.view.box import Box

SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
MIN_SCORE = 0.5  # the detector's confidence
MAX_OVERLAP = 0.3  # intersection over union above which two boxes are one face
SURE_SCORE = 0.7  # of the detector; a face at its edge has 0.5 to 0.6
SMALL_GONE_NS = 1 * S  # without a small face, until it no longer counts
_SMALL_IN, _SMALL_OF = 2, 3  # readings
_STRIDE = 4  # input pixels per cell of the outputs
_OUTPUTS = ("537", "538", "539", "540")  # heat, scale, offset, landmarks: all or none


class FaceBoxes:
    """Finds faces in a frame."""

    def __init__(self, model_path: Path, input_size: tuple[int, int] = (320, 192)) -> None:
        """Load the detector.

        Args:
            model_path: the pinned `centerface.onnx`.
            input_size: width and height in pixels, multiples of 32; small faces need more.
                Turned for a picture of the other orientation.

        Raises:
            ModelError: missing, not the pinned file, or not loadable.
        """
        try:
            data = model_path.read_bytes()
        except OSError as err:
            raise ModelError(
                f"no readable face model {model_path.name}: run `framegate models pull`"
            ) from err
        digest = hashlib.sha256(data).hexdigest()
        if digest != SHA256:
            raise ModelError(
                f"face model {model_path.name} has SHA-256 {digest[:12]}, expected {SHA256[:12]}"
            )
        if any(side <= 0 or side % 32 for side in input_size):
            raise ModelError(f"face model input {input_size}, expected multiples of 32")
        try:
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
        except cv2.error as err:
            raise ModelError(f"face model cannot be loaded: {err.err}") from err
        self._size = input_size

    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        """The faces in a BGR frame, best first, in its own pixels.

        Raises:
            ModelError: the detector failed, or its output cannot be true.
            MemoryError: it could get no memory.
        """
        width, height = self._size
        if (frame.shape[0] > frame.shape[1]) is not (height > width):
            width, height = height, width  # a portrait picture must not be squashed
        try:
            blob = cv2.dnn.blobFromImage(frame, 1.0, (width, height), (0, 0, 0), True, False)
            self._net.setInput(blob)
            heat, scale, offset, _ = self._net.forward(_OUTPUTS)
        except cv2.error as err:
            if err.code == cv2.Error.STS_NO_MEM:
                raise MemoryError(f"face model: {err.err}") from err
            raise ModelError(f"face model failed: {err.err}") from err
        cells = (height // _STRIDE, width // _STRIDE)
        for name, output, channels in (
            ("heat", heat, 1),
            ("scale", scale, 2),
            ("offset", offset, 2),
        ):
            if output.shape != (1, channels, *cells):
                raise ModelError(f"face model gave {name} of shape {output.shape}")
            if not np.isfinite(output).all():
                raise ModelError(f"face model gave a {name} that is not finite")
        sizes = (frame.shape[1] / width, frame.shape[0] / height)
        return _decode(heat[0, 0], scale[0], offset[0], sizes)


def _decode(
    heat: np.ndarray, scale: np.ndarray, offset: np.ndarray, pixels: tuple[float, float]
) -> tuple[Box, ...]:
    """Boxes from the output maps; `pixels` are frame pixels per input pixel, x and y."""
    rows, columns = np.nonzero(heat > MIN_SCORE)
    order = np.argsort(-heat[rows, columns], kind="stable")
    kept: list[Box] = []
    for row, column in zip(rows[order], columns[order], strict=True):
        high, wide = np.exp(np.clip(scale[:, row, column], -8, 8)) * _STRIDE
        left = (column + offset[1, row, column] + 0.5) * _STRIDE - wide / 2
        top = (row + offset[0, row, column] + 0.5) * _STRIDE - high / 2
        box = Box(
            float(left * pixels[0]),
            float(top * pixels[1]),
            float((left + wide) * pixels[0]),
            float((top + high) * pixels[1]),
            float(heat[row, column]),
        )
        if all(_overlap(box, other) <= MAX_OVERLAP for other in kept):
            kept.append(box)
    return tuple(kept)


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    wide = min(a.right, b.right) - max(a.left, b.left)
    high = min(a.bottom, b.bottom) - max(a.top, b.top)
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    areas = (a.right - a.left) * a.height + (b.right - b.left) * b.height
    return both / (areas - both)


@dataclass(frozen=True, slots=True)
class PeopleRules:
    """The `[people]` table of the device record."""

    max: int = 1
    min_height: float = 0.1  # of the picture's shorter side
    zone: tuple[float, float, float, float] | None = None  # left, top, right, bottom; 0 to 1


def judge(
    boxes: Sequence[Box], frame_height: int, rules: PeopleRules, *, frame_width: int | None = None
) -> tuple[Reason, ...]:
    """Why these faces are not a controlled scene; empty if they are, or if there is none.

    Args:
        boxes: in pixels of a frame `frame_height` high and `frame_width` wide.
        frame_width: needed where the rules name a zone, and where the picture is in portrait.
    """
    reasons = []
    side = frame_height if frame_width is None else min(frame_height, frame_width)
    if len(boxes) > rules.max:
        reasons.append(Reason.PEOPLE_CROWD)
    if any(box.height < rules.min_height * side for box in boxes):
        reasons.append(Reason.PEOPLE_SMALL)
    if rules.zone is not None and boxes:
        if frame_width is None:
            raise ValueError("a zone needs the frame's width")
        left, top, right, bottom = rules.zone
        for box in boxes:
            x = (box.left + box.right) / 2 / frame_width
            y = (box.top + box.bottom) / 2 / frame_height
            if not (left <= x <= right and top <= y <= bottom):
                reasons.append(Reason.PEOPLE_ZONE)
    return worst_first(reasons)


class PeopleWatch:
    """Judges the readings of one camera in order; steadies what a face at the detector's edge does.

    Such a face is now found, too small, and now not. Found surely, or in two readings of
    three, it counts; from then on it counts until none was found for a second. So it
    either blocks for as long as somebody stands there, or not at all.
    """

    def __init__(self, rules: PeopleRules) -> None:
        self._rules = rules
        self._found: deque[bool] = deque(maxlen=_SMALL_OF)  # a small face, in the last readings
        self._counts = False
        self._last_ns: int | None = None  # when a small face was last found

    def read(
        self, boxes: Sequence[Box], captured_ns: int, frame_height: int, frame_width: int
    ) -> tuple[Reason, ...]:
        """Why the people of this moment are no controlled scene; see `judge`."""
        told = judge(boxes, frame_height, self._rules, frame_width=frame_width)
        small = Reason.PEOPLE_SMALL in told
        side = self._rules.min_height * min(frame_height, frame_width)
        surely = any(box.height < side and box.score >= SURE_SCORE for box in boxes)
        self._found.append(small)
        if small:
            self._last_ns = captured_ns
            self._counts = self._counts or surely or sum(self._found) >= _SMALL_IN
        elif self._last_ns is None or captured_ns - self._last_ns >= SMALL_GONE_NS:
            self._counts = False
        rest = [reason for reason in told if reason is not Reason.PEOPLE_SMALL]
        return worst_first([*rest, *([Reason.PEOPLE_SMALL] if self._counts else [])])
