"""What the slow loop costs for a second of the video that the measured daemon reads.

The same rendered room, enrolled while nothing moves in it; then its light and a curtain move.
Processor time, so that what else runs does not count.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from bench.figures import Figure
from bench.soak.camera import Room
from edge.clock import S
from edge.errors import GuardError
from edge.evaluation.cost import slow_loop
from edge.evidence.vision import VIEW_NS
from edge.view.enrol import survey

_FRAMES = 30
_EVERY = 30 * VIEW_NS // S  # of the camera's frames at 30 Hz
_GOAL_MS = 50.0


def figures(face_model: Path) -> list[Figure]:
    """A row for the whole, then one for each part.

    Raises:
        GuardError: the rendered room cannot be enrolled.
    """
    room = Room(1)
    room.used = False
    empty = [_next(room) for _ in range(_FRAMES)]
    nobody = [()] * _FRAMES
    enrolled = survey(empty, nobody, camera=bytes(16), enforce=True, mask_people=False)
    if enrolled.fingerprint is None:
        raise GuardError(f"footprint: the rendered room: {'; '.join(enrolled.causes)}")
    room.used = True
    spent = slow_loop([_next(room) for _ in range(_FRAMES)], (), enrolled.fingerprint, face_model)
    unit = "ms per second of video"
    rows = [Figure("slow loop, all parts", sum(spent.values()), f"<= {_GOAL_MS:g}", unit)]
    return rows + [Figure(f"slow loop, {part}", ms, "", unit) for part, ms in spent.items()]


def _next(room: Room) -> np.ndarray:
    """The next picture that the slow loop reads, BGR uint8 (480, 640, 3)."""
    for _ in range(_EVERY):
        data = room.next_jpeg()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture
