"""While another cause blocks for long, capture delivers few frames; with its end the next one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge import ipc
from edge.cameras.live import DeviceCamera
from edge.clock import MS, VirtualClock
from edge.frames.capture import REST_NS, Deliverer, Demand, pass_on
from edge.frames.messages import Captured, decode
from edge.frames.pool import Pool
from edge.heartbeat import REST_MARK_NS, Beats, Heart, Role

FRAME_NS = 33 * MS
SECOND = 30  # frames


class Device:
    """OpenCV's capture of a V4L2 device at 30 Hz; `mark` is what the decider writes meanwhile."""

    def __init__(self, clock, frames, mark):
        self._clock, self._left, self._mark = clock, frames + 2, mark
        self.decoded = 0

    def grab(self):
        if self._left == 0:
            return False
        self._left -= 1
        self._clock.advance(ms=FRAME_NS // MS)
        self._mark(self._clock.now_ns())
        return True

    def retrieve(self, into=None):
        self.decoded += 1
        if into is None:
            return True, np.zeros((48, 64, 3), np.uint8)
        into[:] = self.decoded
        return True, into

    def get(self, _property):
        return self._clock.now_ns() / MS

    def release(self):
        pass


def _run(monkeypatch, mark, frames=3 * SECOND, pages=None):
    """Times of the frames that reach the gate, how many were decoded, and beats of capture."""
    clock = VirtualClock(10**9)
    pages = pages or [Beats.create()]
    device = Device(clock, frames, lambda now_ns: mark(pages, now_ns))
    monkeypatch.setattr("edge.cameras.live.open_capture", lambda *_: device)
    monkeypatch.setattr("edge.cameras.live.asleep_ns", lambda: 0)
    camera = DeviceCamera("/dev/null", clock)
    mine, gate = ipc.pair()
    deliverer = Deliverer(mine, Pool.create(48 * 64 * 3), 48, 64)
    heart = Heart(pages, Role.CAPTURE, clock)  # not started: it beats where it is told to
    device.decoded = 0

    pass_on(camera, deliverer, 0, heart.beat, Demand(pages, heart, clock).wanted)

    heard = [decode(data) for data in ipc.drain(gate)]
    age_ns = pages[0].age_ns(Role.CAPTURE, clock.now_ns())
    return [h.captured_ns for h in heard if isinstance(h, Captured)], device.decoded, age_ns


def _always(pages, now_ns):
    for page in pages:
        page.rest(now_ns + REST_MARK_NS)


def _never(pages, now_ns):
    pass


def test_while_no_guard_needs_them_few_frames_are_decoded_and_delivered(monkeypatch):
    times, decoded, age_ns = _run(monkeypatch, _always)

    assert decoded == len(times) == 3 * SECOND * FRAME_NS // REST_NS + 1
    assert min(b - a for a, b in itertools.pairwise(times)) >= REST_NS
    assert age_ns == 0, "each frame that came was a heartbeat all the same"


def test_otherwise_every_frame_is_delivered(monkeypatch):
    times, decoded, _ = _run(monkeypatch, _never, frames=4)

    assert decoded == len(times) == 4


def test_one_guard_that_needs_frames_gets_all_of_them(monkeypatch):
    def mark(pages, now_ns):
        pages[0].rest(now_ns + REST_MARK_NS)

    _, decoded, _ = _run(monkeypatch, mark, frames=SECOND, pages=[Beats.create(), Beats.create()])

    assert decoded == SECOND


@pytest.mark.parametrize("how", ["taken back", "no longer renewed"])
def test_the_next_frame_comes_when_the_rest_is_over(monkeypatch, how):
    woken_ns = 2 * 10**9 + 7 * MS

    def mark(pages, now_ns):
        if now_ns < woken_ns:
            _always(pages, now_ns)
        elif how == "taken back":
            pages[0].rest(0)

    times, _, _ = _run(monkeypatch, mark)
    after = [t for t in times if t >= woken_ns]

    latest_ns = woken_ns + (0 if how == "taken back" else REST_MARK_NS)
    assert min(b for b in after if b >= latest_ns) - latest_ns <= FRAME_NS
    assert all(b - a == FRAME_NS for a, b in itertools.pairwise(t for t in times if t >= latest_ns))


@pytest.mark.parametrize("ahead_ns", [0, -1, REST_MARK_NS + 1, 1 << 62])
def test_a_mark_that_no_decider_makes_rests_nothing(ahead_ns):
    page = Beats.create()
    page.rest(10**9 + ahead_ns)

    assert not page.resting(10**9)
