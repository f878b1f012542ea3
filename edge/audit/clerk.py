"""The clerk: writes a run's entries in order, thinned out by `Throttle`.

The guard's decider and a replay both keep their log through one of these.
"""

from __future__ import annotations

from edge.audit.log import AuditLog
from edge.audit.schema import Entry
from edge.audit.throttle import Throttle


class Clerk:
    """One run's pen; see `AuditLog` for the errors."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._throttle = Throttle()

    @property
    def size(self) -> int:
        """Entries in the log."""
        return self._log.size

    @property
    def floor(self) -> int:
        """Entries that are durable: what the board should remember."""
        return self._log.floor

    def write(self, entry: Entry, durable: bool) -> int:
        """Write `entry` unless it comes too soon after another; returns the newest index."""
        index = self._log.size - 1
        for written in self._throttle.admit(entry):
            index = self._log.append(written, durable=durable and written is entry)
        return index

    def close(self, last: Entry) -> None:
        """Write the run's last entry, make everything durable and close the log."""
        self.write(last, durable=True)
        self._log.close()
