"""The opening of a source: few frames, evenly spread, however many there are."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from edge.cameras.identity import CameraIdentity
from edge.cameras.layout import Layout
from edge.cameras.opencv import Room, Shot, nowhere, opening_frames
from edge.cameras.pictures import Wanted, always
from edge.clock import S


class _Source:
    """A camera whose frames hold their own number; it counts those still alive."""

    identity = CameraIdentity("virtual")
    layout = Layout.BGR
    width, height = 64, 48

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self.alive = 0
        self.most_alive = 0

    def shots(self, room: Room = nowhere, wanted: Wanted = always) -> Iterator[Shot]:
        number = 0
        while True:
            yield Shot(self._frame(number), 7 * S + round(number * S / self.rate_hz))
            number += 1

    def close(self) -> None:
        """Nothing is held."""

    def _frame(self, number: int) -> np.ndarray:
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[0, 0, :2] = divmod(number, 256)
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        weakref.finalize(frame, self._gone)
        return frame

    def _gone(self) -> None:
        self.alive -= 1


@pytest.mark.parametrize("seconds", [0.5, 2.0, 10.0])
def test_memory_is_bounded_and_the_frames_span_the_seconds(seconds: float) -> None:
    source = _Source(rate_hz=240.0)

    frames = opening_frames(source, seconds, 40)
    numbers = [256 * int(frame[0, 0, 0]) + int(frame[0, 0, 1]) for frame in frames]
    steps = set(np.diff(numbers))

    assert source.most_alive <= 83
    assert len(frames) >= 40
    assert numbers[0] == 0
    assert len(steps) == 1
    assert numbers[-1] + steps.pop() > 240 * seconds


def test_a_short_opening_keeps_every_frame() -> None:
    assert len(opening_frames(_Source(rate_hz=30.0), 1.0, 40)) == 31
