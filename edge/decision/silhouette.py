"""Where a person probably is: a face box extended to a body.

Enrolment masks these places out; the view check accepts them as the reason why
blocks are not seen; ego-motion looks elsewhere. Deliberately generous and crude:
a head, and below it shoulders and trunk down to the edge of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from edge.decision.evidence import Box
from edge.frames import signs
from edge.frames.signs import Pixels

HEAD_ASIDE = 0.6  # of the face's width, to each side of the face
HEAD_ABOVE = 0.8  # of the face's height, for hair and hats
TRUNK_HALF = 1.9  # of the face's width, to each side of its middle


def silhouettes(boxes: Iterable[Box], width: int, height: int, *, dilate: bool = True) -> Pixels:
    """A thumbnail-shaped mask, 255 where a person may be.

    Args:
        boxes: in pixels of a frame of `width` x `height`.
        dilate: also the ring of one block around it.
    """
    mask = np.zeros((signs.HEIGHT, signs.WIDTH), np.uint8)
    across, down = signs.WIDTH / width, signs.HEIGHT / height
    margin = signs.BLOCK if dilate else 0
    for box in boxes:
        face_width = box.right - box.left
        middle = (box.left + box.right) / 2
        head = (
            box.left - HEAD_ASIDE * face_width,
            box.top - HEAD_ABOVE * box.height,
            box.right + HEAD_ASIDE * face_width,
            box.bottom,
        )
        trunk = (
            middle - TRUNK_HALF * face_width,
            box.bottom - 0.2 * box.height,
            middle + TRUNK_HALF * face_width,
            float(height),
        )
        for left, top, right, bottom in (head, trunk):
            cv2.rectangle(
                mask,
                (int(np.floor(left * across)) - margin, int(np.floor(top * down)) - margin),
                (int(np.ceil(right * across)) + margin, int(np.ceil(bottom * down)) + margin),
                255,
                cv2.FILLED,
            )
    return mask


def covered_blocks(mask: Pixels) -> int:
    """The blocks that the mask touches, as bits."""
    touched = mask.reshape(signs.ROWS, signs.BLOCK, signs.COLUMNS, signs.BLOCK).any(axis=(1, 3))
    return signs.as_bits(touched.ravel())
