"""How late a stream's frames come, by the stream's own clock against ours.

A stream counts its frames' times from an instant that we do not know. The
quickest frame so far shows the shortest transfer time. A frame that comes later
than that, by the stream's clock, lags by the difference. So this measures a
growing lag but not a constant one: the signed record states the limit for that.
Frames that were buffered at the start come late at first and then catch up. So no
frame is released until the quickest frames of each half second have had the same
delay for `MEASURE_NS`; while a queue drains, their delay falls. Pure.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum

from edge.clock import MS, S

_DRIFT = 2e-4  # two clocks may differ by this: quartz is within 1e-4
MEASURE_NS = 2 * S  # at the start of a stream, and where it counts anew or catches up
_WINDOWS = 4
_WINDOW_NS = MEASURE_NS // _WINDOWS
_ALIKE_SHARE = 8  # quickest frames are alike if they differ by at most the accepted lag's share,
_ALIKE_NS = (20 * MS, 50 * MS)  # which is at least a network's jitter and at most this


class Lag(Enum):
    """What is known of how late a frame came."""

    WITHIN = "within"
    MEASURING = "measuring"  # the quickest frame is not known yet
    BEYOND = "beyond"  # later than accepted, or the stream stopped telling


class LagWatch:
    """Judges each frame of a stream that tells its frames' times; needs them in order."""

    def __init__(self, accepted_ns: int) -> None:
        """`accepted_ns` is how much later than the quickest a frame may come."""
        self._accepted_ns = accepted_ns
        least_ns, most_ns = _ALIKE_NS
        self._alike_ns = min(max(least_ns, accepted_ns // _ALIKE_SHARE), most_ns)
        self._quickest_ns: float | None = None
        self._window_ns = 0  # when this half second began
        self._least_ns = math.inf  # the quickest in it
        self._floors: deque[float] = deque(maxlen=_WINDOWS)  # those of the ones before
        self._stood_ns = 0.0  # the quickest of all when the last of them ended
        self._measured = False
        self._seen_ns = 0
        self._last_stream_ns = 0

    def judge(self, stream_ns: int | None, arrived_ns: int) -> Lag:
        """What is known of a frame's lag.

        Args:
            stream_ns: the frame's time by the stream's clock; None if it has none.
            arrived_ns: when it arrived, by ours.
        """
        if stream_ns is None:  # a stream without a clock; only the record limits its lag,
            return Lag.WITHIN if self._quickest_ns is None else Lag.BEYOND  # or it fell silent
        if self._excess_ns(stream_ns, arrived_ns) > self._accepted_ns:
            return Lag.BEYOND
        return Lag.WITHIN if self._measured else Lag.MEASURING

    def _excess_ns(self, stream_ns: int, arrived_ns: int) -> float:
        """How much later than the quickest this frame came."""
        way_ns = float(arrived_ns - stream_ns)
        anew = self._quickest_ns is None or stream_ns < self._last_stream_ns
        if self._quickest_ns is None or anew:
            self._quickest_ns = way_ns
            self._measure(arrived_ns)
        elif self._measured and way_ns < self._stood_ns - self._alike_ns:
            self._measure(arrived_ns)  # frames accepted meanwhile had waited
        drift_ns = (arrived_ns - self._seen_ns) * _DRIFT if self._seen_ns else 0.0
        self._quickest_ns = min(way_ns, self._quickest_ns + drift_ns)
        self._least_ns = min(self._least_ns, way_ns)
        if arrived_ns - self._window_ns >= _WINDOW_NS:
            self._close_window(arrived_ns)
            self._stood_ns = self._quickest_ns
        self._last_stream_ns, self._seen_ns = stream_ns, arrived_ns
        return way_ns - self._quickest_ns

    def _measure(self, arrived_ns: int) -> None:
        """Begin to measure."""
        self._measured = False
        self._floors.clear()
        self._window_ns, self._least_ns = arrived_ns, math.inf

    def _close_window(self, arrived_ns: int) -> None:
        """Half a second is over: was its quickest frame like those before?"""
        self._floors.append(self._least_ns)
        self._window_ns, self._least_ns = arrived_ns, math.inf
        if len(self._floors) == _WINDOWS:
            self._measured |= max(self._floors) - min(self._floors) <= self._alike_ns
