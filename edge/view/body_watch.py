"""Who hides the view though no face is found: backs, bowed heads, arms.

The guard looks for a body only where blocks of the enrolled view are hidden and no face
explains them. Only a body over hidden blocks counts: a bottle that belongs to the place
hides nothing. Such a
body explains what it hides, and counts as a person if no face belongs to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from edge.clock import MS, S
from edge.view import signs
from edge.view.bodies import SURELY
from edge.view.box import Box
from edge.view.signs import Pixels

LOOK_NS = 180 * MS  # between two looks, while something is hidden
GONE_NS = 1 * S  # nothing hidden for so long: the person has left
MIN_HIDDEN = 2  # blocks that no face explains, from which it is worth a look
MIN_BODY = 3  # hidden blocks of a body without a face, from which it is a person


class BodyFinder(Protocol):
    """Finds bodies; see `edge.view.bodies.Bodies`."""

    def find(self, frame: np.ndarray) -> Pixels:
        """Where bodies are in a BGR frame, thumbnail-shaped."""


@dataclass(frozen=True, slots=True)
class Hiding:
    """Who hides the view."""

    places: Pixels | None  # thumbnail-shaped, 255 where a body is or was a moment ago
    faceless: int  # people of whom no face is found


NOBODY = Hiding(None, 0)


class BodyWatch:
    """Looks for bodies in the frames of one camera, in order."""

    def __init__(self, bodies: BodyFinder) -> None:
        self._bodies = bodies
        self._looked_ns: int | None = None
        self._looked_at = 0, 0  # hidden blocks and number of faces of the last look
        self._hidden_ns: int | None = None  # when something was last hidden
        self._now = NOBODY

    def read(
        self,
        frame: np.ndarray,
        captured_ns: int,
        hidden_blocks: int,
        boxes: Sequence[Box],
        *,
        looked: bool = True,
    ) -> Hiding:
        """Who hides the view.

        Somebody who turns round shows a face of a sudden, and is not two people: whenever there
        are more faces or fewer, whoever had none is looked for again.

        Args:
            frame: BGR uint8.
            captured_ns: when it was captured.
            hidden_blocks: that no face explains.
            boxes: the faces of about this moment.
            looked: they are of this very frame, so that each is where its body is;
                otherwise nobody is counted.

        Raises:
            ModelError: the body model failed.
        """
        hidden = hidden_blocks.bit_count() >= MIN_HIDDEN
        before, faces = self._looked_at
        turned = looked and self._now.faceless > 0 and len(boxes) != faces
        due = self._looked_ns is None or captured_ns - self._looked_ns >= LOOK_NS
        if hidden:
            self._hidden_ns = captured_ns
        if turned or (hidden and due):
            blocks = hidden_blocks | before if turned else hidden_blocks
            found = _look(self._bodies.find(frame), blocks, boxes, frame.shape)
            faceless = found.faceless if looked else self._now.faceless
            self._now = Hiding(found.places, faceless)
            self._looked_ns, self._looked_at = captured_ns, (blocks, len(boxes))
        elif self._hidden_ns is None or captured_ns - self._hidden_ns >= GONE_NS:
            self._now = NOBODY
        return self._now


def _look(
    found: Pixels, hidden_blocks: int, boxes: Sequence[Box], shape: tuple[int, ...]
) -> Hiding:
    places = np.where(found == SURELY, 255, 0).astype(np.uint8)
    count, label = cv2.connectedComponents(places)
    hidden = signs.as_blocks(hidden_blocks).reshape(signs.ROWS, signs.COLUMNS)
    with_face = {int(part) for box in boxes for part in np.unique(label[_inside(box, shape)])}
    faceless = 0
    for body in range(1, count):
        plane = (label == body).reshape(signs.ROWS, signs.BLOCK, signs.COLUMNS, signs.BLOCK)
        covered = plane.mean(axis=(1, 3)) >= 0.5
        if body not in with_face and int((covered & hidden).sum()) >= MIN_BODY:
            faceless += 1
    around = np.ones((2 * signs.BLOCK + 1, 2 * signs.BLOCK + 1), np.uint8)
    return Hiding(np.asarray(cv2.dilate(places, around), np.uint8), faceless)


def _inside(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The thumbnail pixels of a face."""
    across, down = signs.WIDTH / shape[1], signs.HEIGHT / shape[0]
    left, top = max(0, int(box.left * across)), max(0, int(box.top * down))
    return slice(top, max(top + 1, int(box.bottom * down) + 1)), slice(
        left, max(left + 1, int(box.right * across) + 1)
    )
