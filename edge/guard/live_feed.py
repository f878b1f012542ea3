"""Feeds the live display from the recorder of a running guard."""

from __future__ import annotations

from edge.guard.recorder import Recorder
from edge.report.live import STRIP_FRAMES, Live, LiveState
from edge.report.record import GateTimes, Outcome

_RATE_FRAMES = 30  # frames over which the rate is taken
_TIMES = 600  # newest gate times that the percentiles are taken of


class Feed:
    """Shows each newly decided frame once."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._shown = 0
        self._released = 0

    def show(self, recorder: Recorder) -> None:
        """Draw if there is anything new."""
        decisions = recorder.decisions
        fresh = recorder.judged - self._shown
        if not fresh:
            return
        new = decisions[-fresh:]
        self._released += sum(d.verdict is Outcome.PASS for d in new)
        self._shown = recorder.judged
        recent = decisions[-max(STRIP_FRAMES, _RATE_FRAMES) :]
        timed = recent[-_RATE_FRAMES:]
        span_ns = timed[-1].captured_ns - timed[0].captured_ns
        self._live.update(
            LiveState(
                recent=recent[-STRIP_FRAMES:],
                frames=recorder.judged,
                released=self._released,
                fps=(len(timed) - 1) * 1e9 / span_ns if span_ns > 0 else None,
                gate_us=GateTimes.of(recorder.gate_ns[-_TIMES:]),
            )
        )
