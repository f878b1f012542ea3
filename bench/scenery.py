"""Pictures for measurements: a textured view that can be enrolled, at any size, and its noise."""

from __future__ import annotations

import cv2
import numpy as np

from edge.view.enrol import survey
from edge.view.fingerprint import Fingerprint

CAMERA = bytes(range(16))
SIZES = {"VGA": (480, 640), "720p": (720, 1280), "1080p": (1080, 1920)}  # (height, width)


def view(height: int, width: int, seed: int = 1) -> np.ndarray:
    """A picture with structure at every place, BGR uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (18, 24, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def takes(picture: np.ndarray, count: int, seed: int = 2) -> list[np.ndarray]:
    """The picture as a camera sees it `count` times, each time with different noise."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-3, 4, picture.shape, np.int8)
    shifted = (np.roll(noise, 97 * i, axis=1) for i in range(count))
    return [np.clip(picture.astype(np.int16) + n, 0, 255).astype(np.uint8) for n in shifted]


def fingerprint(picture: np.ndarray) -> Fingerprint:
    """The enrolled view of the picture."""
    frames = takes(picture, 12, seed=3)
    return survey(frames, [()] * len(frames), camera=CAMERA, enforce=False).enrolled()
