"""At most one written transition a second, and a count of those left out.

A context that flaps at the threshold must not flood the log. Permits and
their ends are always written; a `deny` that follows another transition too
soon is counted instead, and the count goes ahead of the next entry as a `gap`.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.audit.schema import Deny, Entry, Gap
from edge.clock import S

MIN_GAP_NS = 1 * S


@dataclass(slots=True)
class Throttle:
    """Decides, by the entries' own times, what is written."""

    suppressed: int = 0
    _last_ns: int | None = None

    def admit(self, entry: Entry) -> tuple[Entry, ...]:
        """The entries to write for this one: none, itself, or a gap and itself."""
        now_ns = entry.stamp.mono_ns
        soon = self._last_ns is not None and 0 <= now_ns - self._last_ns < MIN_GAP_NS
        if isinstance(entry, Deny) and soon:
            self.suppressed += 1
            return ()
        self._last_ns = now_ns
        if not self.suppressed:
            return (entry,)
        gap = Gap(entry.stamp, self.suppressed)
        self.suppressed = 0
        return (gap, entry)
