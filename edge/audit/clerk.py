"""The clerk: writes a run's entries in order, thinned out by `Throttle`.

The guard's decider and a replay both keep their log through one of these.
"""

from __future__ import annotations

from edge.audit.log import AuditLog
from edge.audit.schema import Entry
from edge.audit.throttle import Throttle
from edge.clock import S
from edge.errors import AuditError

SYNC_NS = S  # an entry that need not be durable at once is durable after this
MEND_NS = S  # a log that failed is tried again this often


class Clerk:
    """One run's pen; see `AuditLog` for the errors."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._throttle = Throttle()
        self._unsynced_ns: int | None = None  # since when an entry has waited for a sync
        self._tended_ns = 0
        self._failed = False  # since `tend` last told of it

    @property
    def size(self) -> int:
        """Entries in the log."""
        return self._log.size

    @property
    def floor(self) -> int:
        """Entries that are durable: what the board should remember."""
        return self._log.floor

    @property
    def checkpoint(self) -> str:
        """The newest published checkpoint, as signed."""
        return self._log.checkpoint

    def write(self, entry: Entry, durable: bool) -> int:
        """Write `entry` unless it comes too soon after another; returns the newest index."""
        index = self._log.size - 1
        for written in self._throttle.admit(entry):
            try:
                index = self._log.append(written, durable=durable and written is entry)
            except AuditError:
                self._failed = True
                raise
            if self._unsynced_ns is None:
                self._unsynced_ns = entry.stamp.mono_ns
        if durable:
            self._unsynced_ns = None
        return index

    def tend(self, now_ns: int) -> bool:
        """Sync what has waited long enough and mend what failed; whether a permit may hold.

        For a caller that asks often; it costs nothing between two dues. A failure
        is told at least once, also where it was mended meanwhile, and no longer
        than it lasts.
        """
        due = self._unsynced_ns is not None and now_ns - self._unsynced_ns >= SYNC_NS
        if due:
            self._unsynced_ns = None
            try:
                self._log.sync()
            except AuditError:
                self._failed = True
        if not self._log.ready and now_ns - self._tended_ns >= MEND_NS:
            self._tended_ns = now_ns
            self._log.recover()
        told, self._failed = self._failed, self._failed and not self._log.ready
        return self._log.ready and not told

    def close(self, last: Entry) -> None:
        """Write the run's last entry, make everything durable and close the log."""
        self.write(last, durable=True)
        self._log.close()
