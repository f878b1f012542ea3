"""Where a person probably is: a face box extended to a body.

Enrolment masks these places out; the view check accepts them as the reason why
blocks are not seen; ego-motion looks elsewhere. Deliberately generous and crude:
a head, and below it shoulders and trunk down to the edge of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from edge.view import signs
from edge.view.box import Box
from edge.view.signs import Pixels

HEAD_ASIDE = 0.35  # of the face's width, to each side of the face: ears, hair, headphones
HEAD_ABOVE = 0.45  # of the face's height
NECK, SHOULDERS, ELBOWS = 0.7, 1.6, 2.1  # half widths below the chin, of the face's width
SHOULDERS_BELOW, ELBOWS_BELOW = 0.5, 1.6  # of the face's height below the chin


def silhouettes(
    boxes: Iterable[Box], width: int, height: int, *, margin: int = signs.BLOCK
) -> Pixels:
    """A thumbnail-shaped mask, 255 where a person may be.

    Args:
        boxes: in pixels of a frame of `width` x `height`.
        margin: thumbnail pixels added all round; one block by default.
    """
    mask = np.zeros((signs.HEIGHT, signs.WIDTH), np.uint8)
    scale = np.array([signs.WIDTH / width, signs.HEIGHT / height])
    for box in boxes:
        for outline in _outlines(box, float(height)):
            points = np.rint(np.array(outline) * scale).astype(np.int32)
            cv2.fillPoly(mask, [points.clip(-1024, 1024)], 255)
    if margin and mask.any():
        around = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
        cv2.dilate(mask, around, dst=mask)
    return mask


def _outlines(box: Box, bottom: float) -> tuple[list[tuple[float, float]], ...]:
    """Head, and body down to the lower edge of the picture."""
    wide, high, chin = box.right - box.left, box.height, box.bottom
    middle = (box.left + box.right) / 2
    left, right = box.left - HEAD_ASIDE * wide, box.right + HEAD_ASIDE * wide
    top = box.top - HEAD_ABOVE * high
    head = [(left, top), (right, top), (right, chin), (left, chin)]
    right_side = [
        (NECK * wide, chin - 0.1 * high),
        (SHOULDERS * wide, chin + SHOULDERS_BELOW * high),
        (ELBOWS * wide, chin + ELBOWS_BELOW * high),
        (ELBOWS * wide, max(bottom, chin + ELBOWS_BELOW * high)),
    ]
    body = [(middle + x, y) for x, y in right_side]
    body += [(middle - x, y) for x, y in reversed(right_side)]
    return head, body


def covered_blocks(mask: Pixels) -> int:
    """The blocks that the mask touches, as bits."""
    touched = mask.reshape(signs.ROWS, signs.BLOCK, signs.COLUMNS, signs.BLOCK).any(axis=(1, 3))
    return signs.as_bits(touched.ravel())
