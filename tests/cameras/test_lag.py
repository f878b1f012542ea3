"""Lag above a stream's quickest frame is seen, whatever the two clocks' drift."""

from __future__ import annotations

import pytest

from edge.cameras.lag import LagWatch
from edge.clock import MS, S


def excess_ms(late_ms: list[int], drift: float = 0.0) -> list[int]:
    """The excess of each of a stream's frames, one a second."""
    watch = LagWatch()
    found = []
    for i, late in enumerate(late_ms):
        stream_ns = round(i * S * (1 + drift))
        found.append(round(watch.excess_ns(stream_ns, 100 * S + i * S + late * MS) / MS))
    return found


def test_a_queue_that_grows_is_seen() -> None:
    assert excess_ms([50, 50, 1050, 2550])[1:] == pytest.approx([0, 1000, 2500], abs=2)


def test_a_quicker_frame_shows_that_the_first_ones_were_late() -> None:
    assert excess_ms([900, 100, 900]) == pytest.approx([0, 0, 800], abs=2)


@pytest.mark.parametrize("drift", [-1e-4, 1e-4])
def test_a_day_of_drift_between_two_clocks_is_no_lag(drift: float) -> None:
    assert max(excess_ms([50] * 86_400, drift)) <= 1


def test_a_stream_that_counts_anew_is_measured_anew() -> None:
    watch = LagWatch()
    watch.excess_ns(500 * S, 600 * S)

    assert watch.excess_ns(0, 601 * S) == 0
    assert watch.excess_ns(1 * S, 603 * S) == pytest.approx(1 * S, rel=0.001)


def test_a_stream_is_measured_once_its_first_seconds_are_over_and_again_if_it_counts_anew() -> None:
    watch = LagWatch()
    found = []
    for at_s, stream_s in ((0, 0.0), (1, 1.0), (2, 2.0), (3, 0.0), (4, 1.0), (5, 2.0)):
        watch.excess_ns(round(stream_s * S), (100 + at_s) * S)
        found.append(watch.measured)

    assert found == [False, False, True, False, False, True]
