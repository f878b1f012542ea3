"""Lag above a stream's quickest frame is seen, whatever the two clocks' drift."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cameras.lag import MEASURE_NS, Lag, LagWatch
from edge.clock import MS, S

ACCEPTED_MS = 400
WITHIN, MEASURING, BEYOND = Lag.WITHIN, Lag.MEASURING, Lag.BEYOND
_ALIKE_MS = ACCEPTED_MS // 8


def judged(late_ms: list[float], every_ms: int = 500, drift: float = 0.0) -> list[Lag]:
    """What is known of each of a stream's frames, by how late each one comes."""
    watch = LagWatch(ACCEPTED_MS * MS)
    found = []
    for i, late in enumerate(late_ms):
        shot_ns = i * every_ms * MS
        arrived_ns = 100 * S + shot_ns + round(late * MS)
        found.append(watch.judge(round(shot_ns * (1 + drift)), arrived_ns))
    return found


def test_a_queue_that_grows_is_seen() -> None:
    found = judged([50, 50, 50, 50, 50, 440, 460, 2550])

    assert found == [*[MEASURING] * 4, WITHIN, WITHIN, BEYOND, BEYOND]


def test_a_quicker_frame_shows_that_the_first_ones_were_late() -> None:
    found = judged([500, 100, 100, 100, 100, 100, 510])

    assert found == [*[MEASURING] * 5, WITHIN, BEYOND]


def test_a_stream_that_recovers_from_a_long_lag_needs_not_be_measured_again() -> None:
    found = judged([50] * 5 + [350] * 6 + [600] + [50] * 3)

    assert found == [*[MEASURING] * 4, *[WITHIN] * 7, BEYOND, *[WITHIN] * 3]


def test_a_believed_stream_that_turns_out_to_have_been_late_is_measured_again() -> None:
    found = judged([350, 350, 350, 350, 350, 50, 50, 50, 50, 50])

    assert found == [*[MEASURING] * 4, WITHIN, *[MEASURING] * 4, WITHIN]


@pytest.mark.parametrize("drift", [-1e-4, 1e-4])
def test_a_day_of_drift_between_two_clocks_is_no_lag(drift: float) -> None:
    assert set(judged([50] * 86_400, every_ms=1000, drift=drift)[4:]) == {WITHIN}


def test_a_stream_that_counts_anew_is_measured_anew() -> None:
    watch = LagWatch(ACCEPTED_MS * MS)
    stamps_ms = [0, 500, 1000, 1500, 2000] * 2 + [2100]

    found = [watch.judge(stamp * MS, 100 * S + i * 500 * MS) for i, stamp in enumerate(stamps_ms)]

    assert found == [*[MEASURING] * 4, WITHIN, *[MEASURING] * 4, WITHIN, WITHIN]


def test_a_stream_that_catches_up_is_not_believed_before_it_has() -> None:
    backlog = [max(0, 5000 - 40 * i) for i in range(126)]  # 1.2 times as fast as life

    found = judged([50 + late for late in [*backlog, *[0] * 150]], every_ms=200)

    assert WITHIN not in found[:124]  # but for the last half of what is alike
    assert set(found[-100:]) == {WITHIN}


def test_a_stream_that_stops_telling_its_times_is_not_believed_and_one_without_any_is() -> None:
    watch, without = (LagWatch(ACCEPTED_MS * MS) for _ in range(2))
    found = [watch.judge(i * S, (100 + i) * S) for i in range(6)]

    assert found[-1] is WITHIN
    assert watch.judge(None, 107 * S) is BEYOND
    assert {without.judge(None, i * S) for i in range(4)} == {WITHIN}


@settings(max_examples=40, deadline=None)
@given(
    usual_ms=st.floats(0, 300),
    jitter_ms=st.lists(st.floats(0, 100 - _ALIKE_MS), min_size=1, max_size=9),
    backlog_ms=st.floats(0, 8000),
    speed=st.floats(1.2, 30),
    stall=st.tuples(st.integers(0, 300), st.floats(0, 4000)),
)
def test_what_is_delivered_comes_at_most_twice_the_accepted_lag_after_it_was_shot(
    usual_ms: float,
    jitter_ms: list[float],
    backlog_ms: float,
    speed: float,
    stall: tuple[int, float],
) -> None:
    """The record limits the usual lag with its jitter, but not the lag of the first seconds."""
    every_ms = 50
    came_ms, late_ms = 0.0, []
    for i in range(400):
        stalled = stall[1] if i == stall[0] else 0.0
        least = usual_ms + jitter_ms[i % len(jitter_ms)]
        queued = came_ms + every_ms / speed + stalled  # it comes behind the one before it
        came_ms = max(i * every_ms + least, queued if i else usual_ms + backlog_ms)
        late_ms.append(came_ms - i * every_ms)

    found = judged(late_ms, every_ms)

    delivered = [late for late, lag in zip(late_ms, found, strict=True) if lag is WITHIN]
    assert all(late <= 2 * ACCEPTED_MS + 1 for late in delivered)
    first_ms = late_ms[0]
    assert all(
        lag is not WITHIN
        for i, lag in enumerate(found)
        if i * every_ms + late_ms[i] - first_ms < MEASURE_NS / MS - 0.001  # rounding
    )
    if stall[1] < 100 and backlog_ms == 0:  # the twin
        assert len(delivered) > 300
