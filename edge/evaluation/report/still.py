"""A still of a recording that may stand in a report: small, with the faces in it masked.

The report is made to be handed on. Each face that was found is masked as in the lane
`view_masked`, and the picture is made so small that a face which was not found is a
few pixels high.
"""

from __future__ import annotations

import os

import cv2
import numpy as np

from edge.cameras.layout import Layout
from edge.clock import MS
from edge.evaluation.trials import Footage
from edge.masking.mask import Mask
from edge.masking.noise import BYTES, Noise
from edge.masking.people import Look, PeopleMasker, levels

WIDTH = 160  # pixels
_QUALITY = 80


def still(footage: Footage) -> bytes:
    """The recording's middle frame as JPEG, `WIDTH` pixels wide."""
    frame = footage.shots[len(footage.shots) // 2].frame
    height, width = frame.shape[:2]
    masker, boxes = PeopleMasker(height, width), footage.detect(frame)
    masker.look(Look(0, boxes, 0.0))
    found = masker.look(Look(100 * MS, boxes, 0.0))
    assert found is not None  # the second look always has one before it
    noise = Noise(os.urandom(BYTES), height, width)
    place = np.empty_like(frame)
    Mask(height, width, levels(found, height, width), noise).copy(frame, place, Layout.BGR)
    return small(place)


def small(picture: np.ndarray, width: int = WIDTH) -> bytes:
    """A BGR picture as JPEG of this width."""
    size = width, max(1, round(picture.shape[0] * width / picture.shape[1]))
    shrunk = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", shrunk, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
