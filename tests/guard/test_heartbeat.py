"""A heartbeat in the near future is fresh, one in the far future is a lie."""

import os

import pytest

from edge.clock import MS, S
from edge.heartbeat import LEASED, NEVER_NS, Beats, Role

NOW_NS = 100 * S


@pytest.fixture
def beats():
    made = Beats.create()
    yield made
    os.close(made.fd)


def test_who_was_held_up_since_it_looked_at_the_clock_takes_nobody_for_dead(beats):
    """Another process beat meanwhile: that is no sign of silence."""
    for role in LEASED:
        beats.beat(role, NOW_NS + 30 * MS)

    assert beats.oldest_age_ns(NOW_NS) == 0
    assert beats.silent(NOW_NS, 200 * MS, LEASED) == ()


@pytest.mark.parametrize("written_ns", [0, -1, NOW_NS + 51 * MS, NOW_NS + 3600 * S])
def test_a_beat_that_nobody_gave_or_of_a_time_to_come_is_silence(beats, written_ns):
    beats.beat(Role.GATE, written_ns)

    assert beats.age_ns(Role.GATE, NOW_NS) == NEVER_NS


def test_an_old_beat_is_as_old_as_it_is(beats):
    beats.beat(Role.GATE, NOW_NS - 150 * MS)

    assert beats.age_ns(Role.GATE, NOW_NS) == 150 * MS
