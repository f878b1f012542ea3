"""The audit log's writer: one process appends, every entry is signed as it goes.

An entry is written to the journal before `append` returns, and synced first
if it must be durable: a permit takes effect only after its record cannot be
lost. Any failure is an `AuditError`, and the entry counts as not written. A
file whose write or sync failed is never used again; the next entry begins a
new segment. So does every start. The module takes no clock: times come with
the entries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.audit.files import Files
from edge.audit.forms import wall_ns
from edge.audit.journal import SEGMENTS, Journal, read_journal
from edge.audit.note import NoteError, Signer, Verifier
from edge.audit.proofs.merkle import Frontier, leaf_hash
from edge.audit.pruning.carried import Carried
from edge.audit.pruning.receipt import Receipt
from edge.audit.publish import CHECKPOINT, Publisher
from edge.audit.schema import Entry, Incident, Kind, canonical, validate
from edge.audit.segment import checkpoint_text, line, signed_head
from edge.audit.store import SegmentStore
from edge.errors import AuditError, RollbackError, failing

SEGMENT_ENTRIES = 4096
CLOCK_SLACK_NS = 10**9  # a permit may be dated at most this much before the newest entry
_TAIL_MAX = 256  # entries that may wait for a sync
_UNSIGNED = "the token of the log's key did not sign the last checkpoint"
_STAMP = ("boot_id", "mono_ns", "wall", "camera", "policy")


class AuditLog:
    """An append-only signed log in one directory; one writer at a time."""

    def __init__(self, directory: Path, device: Signer, files: Files, segment_entries: int) -> None:
        self._device = device
        self._named = f"the audit log in {directory}"
        self._store = SegmentStore(directory, device, files)
        self._publisher = Publisher(files, directory)
        self._segment_entries = segment_entries
        self._tree = Frontier()
        self._synced = Frontier()  # what a sync has confirmed
        self._tail: list[bytes] = []  # written but not yet synced
        self._newest_wall = ""
        self._newest_boot = ("", 0)  # boot id, and nanoseconds since it
        self._carried = Carried()  # what all entries so far add up to
        self.unclean = False  # the run before this one never stopped; said before the next entry
        self._incidents: list[tuple[Incident, int]] = []
        self._closed = False

    @classmethod
    def create_or_open(
        cls,
        directory: Path,
        key: Signer,
        origin: str | None = None,
        *,
        floor: int = 0,
        files: Files | None = None,
        segment_entries: int = SEGMENT_ENTRIES,
    ) -> AuditLog:
        """The log in `directory`, begun there if there is none, after recovery.

        Args:
            key: the device's log key; it certifies segment keys.
            origin: the log's name; that of the key by default.
            floor: entries known to be in the log, e.g. from the board.

        Raises:
            RollbackError: the log holds less than `floor` or its own checkpoint says.
            AuditError: it cannot be read, written or trusted, or is in use.
        """
        device = Signer(origin or key.name, key.key)
        log = cls(directory, device, files or Files(), segment_entries)
        try:
            log._store.prepare()
            log._load(floor)
            log._begin_segment()
            log._publish()
        except OSError as err:
            log._store.release()
            raise AuditError(f"cannot use the audit log in {directory}: {err.strerror}") from err
        except AuditError:
            log._store.release()
            raise
        return log

    @property
    def size(self) -> int:
        """Entries written so far."""
        return self._tree.size

    @property
    def floor(self) -> int:
        """Entries that a sync has confirmed: what the board should remember."""
        return self._synced.size

    @property
    def policy_floor(self) -> int:
        """The newest version of a policy bundle that was in force while this log was kept, or 0."""
        return self._carried.policy_floor

    @property
    def time_floor_ns(self) -> int:
        """The latest wall time that the log knows to have passed, ns since 1970, or 0."""
        if not self._newest_wall or self._dated_wrong:
            return self._carried.time_floor_ns
        return max(self._carried.time_floor_ns, wall_ns(self._newest_wall))

    @property
    def _dated_wrong(self) -> bool:
        """Whether a signed record calls the date of the newest entry wrong: entries repeat it."""
        return bool(self._carried.not_yet) and self._newest_wall >= self._carried.not_yet

    @property
    def checkpoint(self) -> str:
        """The newest published checkpoint, as signed."""
        return self._publisher.note.decode()

    @property
    def root(self) -> bytes:
        return self._tree.root()

    @property
    def verifier(self) -> Verifier:
        """The device's public key, with which the whole log can be checked."""
        return self._device.verifier

    @property
    def ready(self) -> bool:
        """Whether a permit could be recorded now.

        No file has failed, the reserve is whole, and the device's key signed when last asked.
        """
        store = self._store
        held = not store.failed and store.reserve_held
        return not self._closed and held and not self._publisher.unsigned

    @property
    def trouble(self) -> str:
        """Why it is not `ready`, in one line."""
        if self._publisher.unsigned:
            return _UNSIGNED
        return f"cannot use {self._named}: {self._store.trouble}"

    def recover(self) -> bool:
        """After trouble, try to become ready again; for a caller that asks once a second or so."""
        if not self._closed and not self.ready:
            try:
                if self._store.failed:
                    self._mend()
            except AuditError:
                return False
            if self._publisher.unsigned:
                self._publish()
            self._store.hold_reserve()
        return self.ready

    def append(self, entry: Entry | Mapping[str, Any], *, durable: bool) -> int:
        """Write one entry and return its index; `durable` syncs before returning.

        Raises:
            AuditError: it could not be written and has no effect.
        """
        if self._closed:
            raise AuditError("the audit log is closed")
        fields = entry.fields() if isinstance(entry, Entry) else dict(entry)
        kind = validate(fields)
        permit = kind is Kind.PERMIT
        self._settle_wall(fields, permit)
        self._settle_boot_time(fields, permit)
        if self._store.failed:
            self._mend()
        elif self._tree.size - self._store.base >= self._segment_entries:
            self.rotate()
        if permit and self._publisher.unsigned:
            raise AuditError(_UNSIGNED)
        if permit and not self._store.hold_reserve():
            raise AuditError(f"{self.trouble}: no room is held to record the end of a permit")
        self._say_ahead(fields, kind)
        index = self._write(canonical(fields), may_use_reserve=not permit)
        if durable or len(self._tail) >= _TAIL_MAX:
            try:
                self.sync()
            except AuditError:
                self._hold_unsynced(self._tail[:-1])  # the entry has had no effect
                raise
        self._note_newest(fields)
        self._carried = self._carried.raised(fields)
        return index

    def sync(self) -> None:
        """Make everything written so far durable, and publish it."""
        if self._tail:
            with failing(f"cannot sync {self._named}", as_=AuditError):
                self._store.sync()
            for data in self._tail:
                self._publisher.add(data)
            self._tail = []
            self._synced = self._tree.copy()
        if self._publisher.size != self._synced.size or self._publisher.behind:
            self._publish()

    def rotate(self) -> None:
        """Begin a new segment and destroy the key of the one before."""
        self.sync()
        with failing(f"cannot begin a segment of {self._named}", as_=AuditError):
            self._begin_segment()

    def close(self) -> None:
        """Sync, publish and let go of the files."""
        if self._closed:
            return
        try:
            if self._store.failed:
                self._mend()
            self.sync()
        finally:
            self._closed = True
            self._store.release()

    # opening ----------------------------------------------------------------------

    def _load(self, floor: int) -> None:
        store = self._store
        names = store.files.names(store.directory / SEGMENTS)
        if not any(name.endswith(".cert") for name in names):
            if floor:
                raise RollbackError(f"expected a log of {floor} entries, found none")
            return
        published = self._published()
        root_then = newest = b""

        def see(tree: Frontier) -> None:
            nonlocal root_then
            if published is not None and tree.size == published[0]:
                root_then = tree.root()

        def on_entry(index: int, entry: bytes, tree: Frontier) -> None:
            nonlocal newest
            self._publisher.add(entry)
            self._publisher.settle()
            newest = entry
            self._carried = self._carried.after(entry)
            see(tree)

        def on_hash(index: int, leaf: bytes, tree: Frontier) -> None:
            self._publisher.add_pruned(leaf)
            self._publisher.settle()
            see(tree)

        def on_receipt(receipt: Receipt) -> None:
            self._carried = receipt.carried

        journal = read_journal(
            store.files,
            store.directory,
            self.verifier,
            every_signature=False,
            on_entry=on_entry,
            on_hash=on_hash,
            on_receipt=on_receipt,
        )
        self.unclean = self._carried.unclean
        self._tree, self._synced = journal.frontier, journal.frontier.copy()
        holds = f"the audit log holds {self._tree.size} entries"
        if self._tree.size < floor:
            raise RollbackError(f"{holds}, {floor} are known to exist")
        if published is not None and self._tree.size < published[0]:
            raise RollbackError(f"{holds}, its checkpoint says {published[0]}")
        if published is not None and published[0] and root_then != published[1]:
            raise AuditError("the audit log's checkpoint belongs to another tree")
        if newest:
            self._note_newest(json.loads(newest))
        self._take_over(journal)

    def _take_over(self, journal: Journal) -> None:
        """Recover the end of the last segment; this run writes to a new one."""
        store = self._store
        store.attach(journal.certificates[-1], journal.good_bytes)
        if journal.torn:
            store.with_reserve(lambda: store.set_aside(journal.torn, journal.good_bytes))
            self._incidents.append((Incident.TORN_TAIL, len(journal.torn)))

    def _published(self) -> tuple[int, bytes] | None:
        """Size and root of the checkpoint on disk; None if a crash spoilt it."""
        note = self._store.files.read(self._store.directory / CHECKPOINT)
        try:
            return signed_head(note or b"", self.verifier)
        except NoteError:
            return None

    # writing ----------------------------------------------------------------------

    def _note_newest(self, fields: Mapping[str, Any]) -> None:
        self._newest_wall = fields["wall"]
        self._newest_boot = (fields["boot_id"], int(fields["mono_ns"]))

    def _settle_wall(self, fields: dict[str, Any], permit: bool) -> None:
        """Wall times never go back in the log; a permit dated well before is refused."""
        if fields["wall"] >= self._newest_wall:
            return
        behind_ns = wall_ns(self._newest_wall) - wall_ns(fields["wall"])
        if permit and behind_ns > CLOCK_SLACK_NS and not self._dated_wrong:
            raise AuditError(
                f"permit dated {fields['wall']}, but the log has reached {self._newest_wall}"
            )
        fields["wall"] = self._newest_wall

    def _settle_boot_time(self, fields: dict[str, Any], permit: bool) -> None:
        """Times since boot never go back within a boot; a permit that would is refused."""
        boot, newest_ns = self._newest_boot
        if fields["boot_id"] != boot or int(fields["mono_ns"]) >= newest_ns:
            return
        if permit:
            raise AuditError(
                f"permit of {fields['mono_ns']} ns since boot, but the log has reached {newest_ns}"
            )
        fields["mono_ns"] = str(newest_ns)

    def _say_ahead(self, fields: dict[str, Any], kind: Kind) -> None:
        """Write what the log has to say itself, with the stamp of the entry to come."""
        stamp = {name: fields[name] for name in _STAMP}
        if self.unclean and kind is not Kind.UNCLEAN_STOP:
            self._write(canonical({"kind": Kind.UNCLEAN_STOP.value, **stamp}), may_use_reserve=True)
        self.unclean = False
        if self._store.reserve_used:
            self._store.reserve_used = False
            self._incidents.append((Incident.DISK_FULL, 0))
        while self._incidents:
            incident, count = self._incidents[0]
            own = {"incident": incident.value, "count": count}
            data = canonical({"kind": Kind.RECOVERED.value, **stamp, **own})
            self._write(data, may_use_reserve=True)
            self._incidents.pop(0)

    def _write(self, data: bytes, *, may_use_reserve: bool) -> int:
        """Sign and journal one entry; returns its index."""
        key = self._store.key
        assert key is not None
        grown = self._tree.copy()
        grown.append(leaf_hash(data))
        raw = line(data, key.sign(checkpoint_text(self._device.name, grown.size, grown.root())))
        with failing(f"cannot write {self._named}", as_=AuditError):
            if may_use_reserve:
                self._store.with_reserve(lambda: self._store.put(raw))
            else:
                self._store.put(raw)
        self._tree = grown
        self._tail.append(data)
        return grown.size - 1

    def _hold_unsynced(self, tail: list[bytes]) -> None:
        """These are all that is written beyond the last sync."""
        self._tail, self._tree = tail, self._synced.copy()
        for data in tail:
            self._tree.append(leaf_hash(data))

    def _mend(self) -> None:
        """After a failed write or sync: a new segment, and the unsynced entries again."""
        again = self._tail
        try:
            self._begin_segment()
            self._tail, self._tree = [], self._synced.copy()
            for data in again:
                self._write(data, may_use_reserve=True)
            self.sync()
        except (OSError, AuditError) as err:
            self._store.failed = True
            self._hold_unsynced(again)
            raise AuditError(f"cannot continue {self._named} in a new segment: {err}") from err
        self._incidents.append((Incident.SYNC_FAILED, len(again)))

    def _begin_segment(self) -> None:
        store = self._store
        store.with_reserve(lambda: store.begin_segment(self._synced.size, self._synced.root()))

    def _publish(self) -> None:
        key = self._store.key
        assert key is not None
        self._publisher.publish(self._synced.root(), [self._device, key])
