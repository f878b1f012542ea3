"""Where the faces are: boxes only, never a vector.

`FaceBoxes` runs the CenterFace detector (Xu et al. 2019, arXiv:1911.03599; MIT).
Its landmark output exists but is never asked for. What the boxes mean is judged in
`edge.evidence.people`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from edge.errors import ModelError
from edge.evidence.residual import WHOLE, Window
from edge.files import MODEL_BYTES, read_named
from edge.models import runtime
from edge.models.onnx_inputs import resized
from edge.view.box import Box

SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
MIN_SCORE = 0.5  # the detector's confidence
MAX_OVERLAP = 0.3  # intersection over union above which two boxes are one face
MASKING_SIZE = (480, 288)  # pixels; twice the work and a quarter
MASKING_SCORE = 0.3  # a mask too many hides a place, one too few shows a face
_STRIDE = 4  # input pixels per cell of the outputs
_INPUT = "input.1"
_OUTPUTS = {"537": ("heat", 1), "538": ("scale", 2), "539": ("offset", 2)}  # name, channels


def face_finder(model_path: Path, *, masking: bool) -> FaceBoxes:
    """The detector as a lane needs it; to mask people it looks closer and accepts weaker finds.

    Raises:
        ModelError: see `FaceBoxes`.
    """
    if masking:
        return FaceBoxes(model_path, MASKING_SIZE, min_score=MASKING_SCORE)
    return FaceBoxes(model_path)


class FaceBoxes:
    """Finds faces in a frame."""

    def __init__(
        self,
        model_path: Path,
        input_size: tuple[int, int] = (320, 192),
        *,
        min_score: float = MIN_SCORE,
    ) -> None:
        """Load the detector.

        Args:
            model_path: the pinned `centerface.onnx`.
            input_size: width and height in pixels, multiples of 32; small faces need more.
                Turned for a picture of the other orientation.
            min_score: the detector's confidence, 0 to 1; less finds more that is no face.

        Raises:
            ModelError: missing, not the pinned file, or not loadable.
        """
        try:
            data = read_named(model_path, MODEL_BYTES)
        except OSError as err:
            raise ModelError(
                f"no readable face model {model_path.name}: run `framegate models pull`"
            ) from err
        digest = self.sha256 = hashlib.sha256(data).hexdigest()  # of the bytes that are loaded
        if digest != SHA256:
            raise ModelError(
                f"face model {model_path.name} has SHA-256 {digest[:12]}, expected {SHA256[:12]}"
            )
        if any(side <= 0 or side % 32 for side in input_size):
            raise ModelError(f"face model input {input_size}, expected multiples of 32")
        # the file was exported for 32x32 pixels; a picture in portrait turns the sides round
        self._session = runtime.load(resized(data, (1, 3, "height", "width")), "face model")
        self._size = input_size
        self._min_score = min_score

    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        """The faces in a BGR frame, best first, in its own pixels.

        Raises:
            ModelError: the detector failed, or its output cannot be true.
            MemoryError: it could get no memory.
        """
        return self.detect_within(frame, WHOLE)

    def detect_within(self, frame: np.ndarray, window: Window) -> tuple[Box, ...]:
        """The faces in a part of a BGR frame, at the scale at which `detect` looks at all of it.

        Args:
            frame: all of it; a picture in portrait only as a whole.
            window: the part.

        Raises:
            ModelError: the detector failed, or its output cannot be true.
            MemoryError: it could get no memory.
        """
        width, height = self._size
        if (frame.shape[0] > frame.shape[1]) is not (height > width):
            width, height = height, width  # a portrait picture must not be squashed
        pixels = (frame.shape[1] / width, frame.shape[0] / height)
        left, top, right, bottom = window.pixels(width, height)
        small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
        small = small[top:bottom, left:right]
        planes = np.ascontiguousarray(small[:, :, ::-1].transpose(2, 0, 1), np.float32)  # RGB
        answers = runtime.ask(self._session, list(_OUTPUTS), {_INPUT: planes[None]}, "face model")
        cells = ((bottom - top) // _STRIDE, (right - left) // _STRIDE)
        for output, (name, channels) in zip(answers, _OUTPUTS.values(), strict=True):
            if output.shape != (1, channels, *cells):
                raise ModelError(f"face model gave {name} of shape {output.shape}")
            if not np.isfinite(output).all():
                raise ModelError(f"face model gave a {name} that is not finite")
        heat, scale, offset = answers
        return _decode(heat[0, 0], scale[0], offset[0], (left, top), pixels, self._min_score)


def _decode(
    heat: np.ndarray,
    scale: np.ndarray,
    offset: np.ndarray,
    corner: tuple[int, int],
    pixels: tuple[float, float],
    min_score: float,
) -> tuple[Box, ...]:
    """Boxes from the output maps.

    Args:
        corner: where the maps begin, in input pixels, x and y.
        pixels: frame pixels per input pixel, x and y.
    """
    rows, columns = np.nonzero(heat > min_score)
    order = np.argsort(-heat[rows, columns], kind="stable")
    kept: list[Box] = []
    for row, column in zip(rows[order], columns[order], strict=True):
        high, wide = np.exp(np.clip(scale[:, row, column], -8, 8)) * _STRIDE
        left = corner[0] + (column + offset[1, row, column] + 0.5) * _STRIDE - wide / 2
        top = corner[1] + (row + offset[0, row, column] + 0.5) * _STRIDE - high / 2
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
