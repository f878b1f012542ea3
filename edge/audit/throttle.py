"""Thins out the changes of a blocked guard; no cause and no last state is lost.

A context that flaps at the threshold must not flood the log. A `deny` that
follows another entry within a second waits. It is written when the second is
over or the guard stops, whichever comes first: the log's last word is the
guard's last state. A newer `deny` takes the place of the one that waits; then
a `gap` says how many were left out, and every reason they had. All other kinds
are written at once, and so is a `deny` with a reason that is `urgent`. Of those,
60 may come at once and one a second more; after that they wait like the others.
Pure: times come with the entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.audit.schema import Deny, Entry, Gap
from edge.clock import S
from edge.reasons import Family, Reason

MIN_GAP_NS = 1 * S
URGENT_BURST = 60  # a switch that rattles without end must not fill the disk
_URGENT = frozenset(
    {
        *(reason for reason in Reason if reason.family is Family.INTEGRITY),
        Reason.TAMPER,
        Reason.INTERLOCK_FAULT,
        Reason.LINK_KEY,
        Reason.LINK_REPLAY,
        Reason.MATCHER_ESCAPE_ATTEMPT,
        Reason.MATCHER_PROTOCOL,
        Reason.PEER_UNKNOWN,
    }
)


def urgent(reason: Reason) -> bool:
    """Whether a change to this reason is written at once: integrity, tampering, escape."""
    return reason in _URGENT


@dataclass(slots=True)
class Throttle:
    """Decides, by the entries' own times, what is written and when."""

    _last_ns: int | None = None  # of the newest entry handed out
    _waiting: Deny | None = None
    _left_out: int = 0  # since the last one handed out
    _held: set[Reason] = field(default_factory=set)  # the reasons of those
    _burst: float = URGENT_BURST  # urgent entries that may still come at once
    _burst_ns: int | None = None  # when that was last reckoned

    @property
    def suppressed(self) -> int:
        """How many entries are counted or wait, and are not handed out yet."""
        return self._left_out + (self._waiting is not None)

    def admit(self, entry: Entry, *, hold: bool = False) -> tuple[Entry, ...]:
        """The entries to write now: none, or this one, after whatever waited.

        Args:
            hold: let every `deny` wait, because nothing can be written now.
        """
        if not isinstance(entry, Deny):
            written = (*self.flush(), entry)
            self._last_ns = entry.stamp.mono_ns
            return written
        if self._waiting is not None:
            self._left_out += 1
            self._held.update(self._waiting.reasons)
        self._waiting = entry
        if hold or (self._soon(entry.stamp.mono_ns) and not self._urgent_now(entry)):
            return ()
        return self.flush()

    def due(self, now_ns: int) -> tuple[Entry, ...]:
        """What has waited for long enough."""
        return () if self._soon(now_ns) else self.flush()

    def flush(self) -> tuple[Entry, ...]:
        """What waits, now: a gap where entries were left out, and the newest state."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return ()
        self._last_ns = waiting.stamp.mono_ns
        if not self._left_out:
            return (waiting,)
        gap = Gap(waiting.stamp, self._left_out, tuple(self._held))
        self._left_out = 0
        self._held.clear()
        return (gap, waiting)

    def _soon(self, now_ns: int) -> bool:
        return self._last_ns is not None and 0 <= now_ns - self._last_ns < MIN_GAP_NS

    def _urgent_now(self, entry: Deny) -> bool:
        if not any(map(urgent, entry.reasons)):
            return False
        now_ns = entry.stamp.mono_ns
        if self._burst_ns is not None:
            regained = max(0, now_ns - self._burst_ns) / S
            self._burst = min(float(URGENT_BURST), self._burst + regained)
        self._burst_ns = now_ns
        if self._burst < 1:
            return False
        self._burst -= 1
        return True
