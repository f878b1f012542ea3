"""A device that reads an evidence frame slower than they come looks for people in every other."""

from __future__ import annotations

import numpy as np
import pytest

from edge.clock import MS
from edge.decision.engine import Engine
from edge.evidence.vision import Models
from edge.view.box import Box
from edge.view.look import Look
from tests.support.judging import POLICY, SETUP

LOOK = Look(1.0, 120.0, 40.0, 8.0, 1.0, 7, False)


class Faces:
    """Counts the looks."""

    def __init__(self) -> None:
        self.looks = 0

    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        self.looks += 1
        return ()


@pytest.mark.parametrize(
    "interval_ms,apart_ms,share",
    [
        (200, 200, 1.0),  # a camera of 5 Hz: a frame as soon as there is one
        (66, 132, 0.5),  # 15 Hz, every second frame: people are due in every second of those
        (66, 198, 0.5),  # 15 Hz, and a frame was missed: due in each, and left to the next
        (33, 231, 0.5),
        (100, 200, 0.5),
        (125, 250, 0.5),
        (33, 396, 0.5),
        (33, 429, 1.0),  # no look takes so long: after a rest or a halt
    ],
)
def test_a_frame_is_late_if_more_time_passed_than_the_camera_explains(
    interval_ms: int, apart_ms: int, share: float
) -> None:
    faces = Faces()
    engine = Engine(SETUP, POLICY, None, Models(faces), 0, rests=False)
    noise = np.random.default_rng(1)  # a picture that changes: a still one is looked at less
    examined = 0

    for t_ms in range(interval_ms, 100 * interval_ms, interval_ms):
        engine.saw(LOOK, t_ms * MS)
        if t_ms % apart_ms == 0:
            engine.examine(noise.integers(0, 255, (120, 160, 3), np.uint8), t_ms * MS)
            examined += 1

    assert faces.looks == pytest.approx(share * examined, abs=1)
