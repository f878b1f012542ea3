"""A heart beats by itself while nothing comes, and sleeps while something does."""

import os
import threading
import time

import pytest

from edge.clock import BootClock
from edge.heartbeat import BEAT_NS, NEVER_NS, Beats, Heart, Role


@pytest.fixture
def page() -> Beats:
    return Beats.create()


def _wakeups(thread: threading.Thread) -> int:
    with open(f"/proc/self/task/{thread.native_id}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))


def _spend(heart: Heart, beats: int) -> int:
    """The heart's wake-ups while it is told to beat so often, four times as often as it must."""
    before = _wakeups(heart)
    for _ in range(beats):
        heart.beat()
        time.sleep(BEAT_NS / 4e9)
    return _wakeups(heart) - before


def test_it_goes_on_beating_by_itself_though_nothing_comes(page):
    clock = BootClock()
    assert page.age_ns(Role.CAPTURE, clock.now_ns()) == NEVER_NS

    Heart([page], Role.CAPTURE, clock).start()
    seen = set()
    until = time.monotonic() + 20
    while len(seen) < 7 and time.monotonic() < until:
        now_ns = clock.now_ns()
        seen.add(now_ns - page.age_ns(Role.CAPTURE, now_ns))
        time.sleep(0.005)

    assert len(seen) == 7, "its slot was written again and again"


def test_it_beats_in_every_page_that_it_was_given(page):
    other = Beats.create()
    heart = Heart([page, other], Role.CAPTURE, clock := BootClock())

    heart.beat()

    assert all(p.age_ns(Role.CAPTURE, clock.now_ns()) < NEVER_NS for p in (page, other))
    assert page.age_ns(Role.GATE, clock.now_ns()) == NEVER_NS


@pytest.mark.slow
def test_it_is_not_woken_while_frames_come_and_is_when_they_stop(page):
    heart = Heart([page], Role.CAPTURE, BootClock())
    heart.start()
    time.sleep(BEAT_NS / 1e9)
    busy = min(_spend(heart, 30) for _ in range(3))  # a loaded machine may be late once

    before = _wakeups(heart)
    time.sleep(10 * BEAT_NS / 1e9)
    alone = _wakeups(heart) - before

    assert busy <= 3 < alone


def test_its_timer_is_not_handed_to_a_program_that_is_started(page):
    heart = Heart([page], Role.CAPTURE, BootClock())

    assert not os.get_inheritable(heart._timer)
