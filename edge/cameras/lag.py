"""How late a stream's frames come, by the stream's own clock against ours.

A stream counts its frames' times from an instant that we do not know. The
quickest frame so far shows how long the way takes at least; what comes later
than that, by the stream's clock, lags by the difference. So growing lag is
seen, a constant one is not: for that the signed record must vouch. What lay in
buffers at the start comes late at first and then catches up, so the quickest
frame is looked for over the first seconds before any frame is believed. Pure.
"""

from __future__ import annotations

from edge.clock import S

_DRIFT = 2e-4  # two clocks may differ by this: quartz is within 1e-4
MEASURE_NS = 2 * S  # at the start of a stream, and where it counts anew


class LagWatch:
    """The lag of each frame above that of the quickest one, in nanoseconds."""

    def __init__(self) -> None:
        self.measured = False  # the quickest frame of the first seconds is known
        self._began_ns = 0
        self._quickest_ns: float | None = None
        self._seen_ns = 0
        self._last_stream_ns = -S

    def excess_ns(self, stream_ns: int, arrived_ns: int) -> int:
        """How much later than the quickest this frame came.

        Args:
            stream_ns: the frame's time by the stream's clock.
            arrived_ns: when it arrived, by ours.
        """
        way_ns = arrived_ns - stream_ns
        restarted = stream_ns < self._last_stream_ns
        self._last_stream_ns = stream_ns
        if self._quickest_ns is None or restarted:
            self._quickest_ns, self._began_ns = way_ns, arrived_ns
        else:
            drift_ns = (arrived_ns - self._seen_ns) * _DRIFT
            self._quickest_ns = min(way_ns, self._quickest_ns + drift_ns)
        self._seen_ns = arrived_ns
        self.measured = arrived_ns - self._began_ns >= MEASURE_NS
        return round(way_ns - self._quickest_ns)
