"""A face recogniser as the adversary: does it know somebody again after masking?

dlib's ResNet (King 2017; distance 0.6 is its usual threshold) with its landmark
model, from the packages `dlib-bin` and `face_recognition_models`, where they are
installed. It is tried in two ways: as it is used, where its own detector has to find the
face first, and told where the face is. For evaluation only: the product itself
recognises nobody.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.view.box import Box

THRESHOLD = 0.6  # of the distance between two descriptors, below which it says "the same"
MIN_FACE_PX = 48  # smaller ones it does not know again in clear pictures either
UPSAMPLED = 1  # times that its detector doubles a picture, as `face_recognition` does
_MODELS = ("shape_predictor_5_face_landmarks.dat", "dlib_face_recognition_resnet_model_v1.dat")


def available() -> str:
    """Why there is no adversary; empty if there is one."""
    missing = [name for name in ("dlib", "face_recognition_models") if find_spec(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


class Recogniser:
    """Describes a face by 128 numbers; those of one person lie close together."""

    def __init__(self) -> None:
        import dlib

        spec = find_spec("face_recognition_models")
        assert spec is not None
        assert spec.submodule_search_locations
        folder = Path(spec.submodule_search_locations[0]) / "models"
        landmarks, descriptor = (str(folder / name) for name in _MODELS)
        self._dlib: Any = dlib
        self._landmarks = dlib.shape_predictor(landmarks)
        self._net = dlib.face_recognition_model_v1(descriptor)
        self._detector = dlib.get_frontal_face_detector()

    def find(self, frame: np.ndarray) -> list[tuple[Box, np.ndarray]]:
        """The faces that its own detector finds in a BGR frame, each with its descriptor."""
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        found = []
        for face in self._detector(rgb, UPSAMPLED):
            left, top = float(face.left()), float(face.top())
            box = Box(left, top, float(face.right()), float(face.bottom()), 1.0)
            shape = self._landmarks(rgb, face)
            found.append((box, np.array(self._net.compute_face_descriptor(rgb, shape))))
        return found

    def describe(self, frame: np.ndarray, box: Box) -> np.ndarray:
        """The descriptor of the face in `box` of a BGR frame, shape (128,)."""
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        square = _square(box)
        shape = self._landmarks(rgb, self._dlib.rectangle(*square))
        return np.array(self._net.compute_face_descriptor(rgb, shape))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two descriptors are of one person, by the usual threshold."""
    return float(np.linalg.norm(one - other)) < THRESHOLD


def _square(box: Box) -> tuple[int, int, int, int]:
    """dlib's own boxes are squares from the brows to the chin."""
    side = max(box.right - box.left, 0.8 * box.height)
    x, y = (box.left + box.right) / 2, box.bottom - side / 2
    return round(x - side / 2), round(y - side / 2), round(x + side / 2), round(y + side / 2)
