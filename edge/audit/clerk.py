"""The clerk: writes a run's entries in order, thinned out by `Throttle`.

The guard's decider and a replay both keep their log through one of these. An entry that
could not be written waits until the log works again. A permit does not wait: a permit
that was not recorded has no effect.
"""

from __future__ import annotations

import contextlib

from edge.audit.log import AuditLog
from edge.audit.schema import Entry, Permit
from edge.audit.throttle import Throttle
from edge.clock import S
from edge.errors import AuditError

SYNC_NS = S  # an entry that need not be durable at once is durable after this
MEND_NS = S  # a log that failed is tried again this often
UNWRITTEN_MAX = 256  # entries that may wait for a log that failed


class Clerk:
    """The writer of one run's entries; see `AuditLog` for the errors."""

    def __init__(self, log: AuditLog) -> None:
        self.log = log  # to be asked; what is written goes through here
        self._throttle = Throttle()
        self._unwritten: list[Entry] = []  # admitted, but the log has failed
        self._unsynced_ns: int | None = None  # since when an entry has waited for a sync
        self._tended_ns = 0
        self._failed = False  # since `tend` last reported it
        self.trouble = ""  # why `tend` last said that no permit may hold

    def write(self, entry: Entry, durable: bool) -> int:
        """Write `entry`, unless it has to wait for its second; returns the newest index.

        Raises:
            AuditError: it could not be written. It is tried again, if it is no permit.
        """
        self._take(self._throttle.admit(entry, hold=bool(self._unwritten)))
        index = self._put(entry if durable else None)
        if durable:
            self._unsynced_ns = None
        return index

    def tend(self, now_ns: int) -> bool:
        """Write what has waited, sync it, mend what failed; whether a permit may hold.

        For a caller that asks often; it costs nothing between two dues. A failure
        is reported at least once, also where it was mended meanwhile, and no longer
        than it lasts.
        """
        if not self._unwritten:
            self._take(self._throttle.due(now_ns))
        due = self._unsynced_ns is not None and now_ns - self._unsynced_ns >= SYNC_NS
        if due:
            self._unsynced_ns = None
            try:
                self.log.sync()
            except AuditError as err:
                self._failed, self.trouble = True, str(err)
        if not self.log.ready and now_ns - self._tended_ns >= MEND_NS:
            self._tended_ns = now_ns
            self.log.recover()
        if self._unwritten and self.log.ready:
            with contextlib.suppress(AuditError):  # reported below, and tried again
                self._put(None)
        if not self.log.ready:
            self.trouble = self.log.trouble
        reported, self._failed = self._failed, self._failed and not self.log.ready
        return self.log.ready and not reported

    def close(self, last: Entry) -> None:
        """Write what waits and the run's last entry, make all durable and close the log."""
        try:
            self.write(last, durable=True)
        finally:
            self.log.close()

    def _take(self, entries: tuple[Entry, ...]) -> None:
        self._unwritten += entries
        del self._unwritten[UNWRITTEN_MAX:]

    def _put(self, durable: Entry | None) -> int:
        """Write everything that is not written yet, in order; `durable` is synced at once."""
        index = self.log.size - 1
        while self._unwritten:
            entry = self._unwritten[0]
            try:
                index = self.log.append(entry, durable=entry is durable)
            except AuditError as err:
                self._failed, self.trouble = True, str(err)
                self._unwritten = [e for e in self._unwritten if not isinstance(e, Permit)]
                raise
            del self._unwritten[0]
            if self._unsynced_ns is None:
                self._unsynced_ns = entry.stamp.mono_ns
        return index
