"""The audit log's writer: one process appends, every entry is signed as it goes.

An entry is written to the journal before `append` returns, and synced first
if it must be durable: a permit takes effect only after its record cannot be
lost. Any failure is an `AuditError`, and the entry counts as not written. A
file whose write or sync failed is never used again; the next entry begins a
new segment. The module takes no clock: times come with the entries.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.audit.files import Files, replace_file, write_all
from edge.audit.journal import SEGMENTS, read_journal
from edge.audit.merkle import Frontier, leaf_hash
from edge.audit.note import NoteError, Signer, Verifier, read_note
from edge.audit.publish import CHECKPOINT, Publisher
from edge.audit.schema import Entry, Incident, Kind, canonical, validate, wall_ns
from edge.audit.segment import (
    Certificate,
    certificate_name,
    checkpoint_text,
    journal_name,
    line,
    parse_checkpoint,
)
from edge.errors import AuditError, RollbackError

PRIVATE = "private"  # the live segment's key; never exported
PUBLIC_KEY = "log.pub"
ASIDE = "aside"  # torn tails
RESERVE = "reserve"
RESERVE_BYTES = 64 * 1024
SEGMENT_ENTRIES = 4096
CLOCK_SLACK_NS = 10**9  # a permit may be dated at most this much before the newest entry
_TAIL_MAX = 256  # entries that may wait for a sync


class AuditLog:
    """An append-only signed log in one directory; one writer at a time."""

    def __init__(self, directory: Path, device: Signer, files: Files, segment_entries: int) -> None:
        self._directory = directory
        self._device = device
        self._files = files
        self._segment_entries = segment_entries
        self._publisher = Publisher(files, directory)
        self._tree = Frontier()
        self._synced = Frontier()  # what a sync has confirmed
        self._tail: list[bytes] = []  # written but not yet synced
        self._newest_wall = ""
        self._running = False  # a run has begun and not ended with a stop
        self._unclean = False  # the last run never stopped; said before the next entry
        self._incidents: list[tuple[Incident, int]] = []
        self._number = -1
        self._segment: Signer | None = None
        self._segment_base = 0
        self._fd: int | None = None
        self._bytes = 0  # good bytes in the live journal file
        self._failed = False
        self._closed = False
        self._lock = -1

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
            log._begin(floor)
        except OSError as err:
            log._release()
            raise AuditError(f"cannot use the audit log in {directory}: {err.strerror}") from err
        except AuditError:
            log._release()
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
    def root(self) -> bytes:
        return self._tree.root()

    @property
    def verifier(self) -> Verifier:
        """The device's public key, with which the whole log can be checked."""
        return self._device.verifier

    @property
    def unclean(self) -> bool:
        """Whether the run before this one ended without a stop entry."""
        return self._unclean

    def append(self, entry: Entry | Mapping[str, Any], *, durable: bool) -> int:
        """Write one entry and return its index; `durable` syncs before returning.

        Raises:
            AuditError: it could not be written; nothing may rest on it.
        """
        if self._closed:
            raise AuditError("the audit log is closed")
        fields = entry.fields() if isinstance(entry, Entry) else dict(entry)
        kind = validate(fields)
        permit = kind is Kind.PERMIT
        self._settle_wall(fields, permit)
        if self._failed:
            self._mend()
        elif self._tree.size - self._segment_base >= self._segment_entries:
            self.rotate()
        self._say_ahead(fields, kind)
        index = self._write(canonical(fields), may_use_reserve=not permit)
        try:
            if durable or len(self._tail) >= _TAIL_MAX:
                self._sync()
        except AuditError:
            self._forget_last()
            raise
        self._newest_wall = fields["wall"]
        self._running = kind is not Kind.STOP
        return index

    def rotate(self) -> None:
        """Begin a new segment and destroy the key of the one before."""
        self._sync()
        try:
            self._new_segment()
        except OSError as err:
            self._failed = True
            raise AuditError(f"cannot begin a log segment: {err.strerror}") from err

    def close(self) -> None:
        """Sync, publish and let go of the files."""
        if self._closed:
            return
        try:
            if self._failed:
                self._mend()
            self._sync()
        finally:
            self._closed = True
            self._release()

    # opening ----------------------------------------------------------------------

    def _begin(self, floor: int) -> None:
        files, where = self._files, self._directory
        for name in (SEGMENTS, PRIVATE, ASIDE):
            files.make_directory(where / name)
        try:
            self._lock = files.lock(where / PRIVATE / "lock")
        except BlockingIOError as err:
            raise AuditError(f"the audit log in {where} is in use by another process") from err
        if not any(name.endswith(".cert") for name in files.names(where / SEGMENTS)):
            if floor:
                raise RollbackError(f"expected a log of {floor} entries in {where}, found none")
            self._new_segment()
        else:
            self._load(floor)
        self._keep_reserve()
        public = where / PUBLIC_KEY
        if files.read(public) is None:
            replace_file(files, public, self.verifier.text.encode() + b"\n", durable=True)

    def _load(self, floor: int) -> None:
        files, where = self._files, self._directory
        published = self._published()
        root_then = b""
        newest: bytes = b""

        def on_entry(index: int, entry: bytes, tree: Frontier) -> None:
            nonlocal root_then, newest
            self._publisher.add(entry)
            newest = entry
            if published is not None and tree.size == published[0]:
                root_then = tree.root()

        journal = read_journal(
            files, where, self._device.verifier, every_signature=False, on_entry=on_entry
        )
        self._tree, self._synced = journal.frontier, journal.frontier.copy()
        if self._tree.size < floor:
            raise RollbackError(
                f"the audit log holds {self._tree.size} entries, the board has seen {floor}"
            )
        if published is not None and published[0]:
            if self._tree.size < published[0]:
                raise RollbackError(
                    f"the audit log holds {self._tree.size} entries, "
                    f"its checkpoint says {published[0]}"
                )
            if root_then != published[1]:
                raise AuditError("the audit log's checkpoint is of another tree")
        cert = journal.certificates[-1]
        self._number, self._segment_base = cert.number, cert.base_size
        self._segment = self._live_key(cert)
        self._fd = files.begin(where / SEGMENTS / journal_name(cert.number))
        self._bytes = journal.good_bytes
        if journal.torn:
            self._set_aside(journal.torn)
        files.sync(self._fd)
        if newest:
            fields = json.loads(newest)
            self._newest_wall = fields["wall"]
            self._unclean = fields["kind"] != Kind.STOP.value
        self._destroy_keys(keep=cert.number)
        self._publish()

    def _published(self) -> tuple[int, bytes] | None:
        """Size and root of the checkpoint on disk; None if a crash spoilt it."""
        note = self._files.read(self._directory / CHECKPOINT)
        try:
            text, _ = read_note(note or b"", [self._device.verifier])
            return parse_checkpoint(text, self._device.name)
        except NoteError:
            return None

    def _live_key(self, cert: Certificate) -> Signer:
        secret = self._files.read(self._directory / PRIVATE / f"{cert.number:06d}.key")
        try:
            signer = Signer.parse((secret or b"").decode(errors="replace"))
        except NoteError as err:
            raise AuditError(f"the key of log segment {cert.number} is missing or spoilt") from err
        if signer.verifier != cert.key:
            raise AuditError(f"the key of log segment {cert.number} is not the certified one")
        return signer

    def _set_aside(self, torn: bytes) -> None:
        """Keep an unfinished tail for the curious, and cut it off."""
        assert self._fd is not None
        keep = self._directory / ASIDE / f"{self._number:06d}-{self._bytes}.torn"
        replace_file(self._files, keep, torn, durable=True)
        self._files.truncate(self._fd, self._bytes)
        self._incidents.append((Incident.TORN_TAIL, len(torn)))

    # writing ----------------------------------------------------------------------

    def _settle_wall(self, fields: dict[str, Any], permit: bool) -> None:
        """Wall times never go back in the log; a permit dated well before is refused."""
        if fields["wall"] >= self._newest_wall:
            return
        behind_ns = wall_ns(self._newest_wall) - wall_ns(fields["wall"])
        if permit and behind_ns > CLOCK_SLACK_NS:
            raise AuditError(
                f"permit dated {fields['wall']}, but the log has reached {self._newest_wall}"
            )
        fields["wall"] = self._newest_wall

    def _say_ahead(self, fields: dict[str, Any], kind: Kind) -> None:
        """Write what the log has to say itself, with the stamp of the entry to come."""
        stamp = {k: fields[k] for k in ("boot_id", "mono_ns", "wall", "camera", "policy")}
        if self._unclean:
            if kind is not Kind.UNCLEAN_STOP:
                self._write(
                    canonical({"kind": Kind.UNCLEAN_STOP.value, **stamp}), may_use_reserve=True
                )
            self._unclean = False
        while self._incidents:
            incident, count = self._incidents[0]
            own = {"incident": incident.value, "count": count}
            data = canonical({"kind": Kind.RECOVERED.value, **stamp, **own})
            self._write(data, may_use_reserve=True)
            self._incidents.pop(0)

    def _write(self, data: bytes, *, may_use_reserve: bool) -> int:
        assert self._fd is not None and self._segment is not None
        grown = self._tree.copy()
        grown.append(leaf_hash(data))
        text = checkpoint_text(self._device.name, grown.size, grown.root())
        raw = line(data, self._segment.sign(text))
        try:
            self._put(raw)
        except OSError as err:
            if err.errno != errno.ENOSPC or not may_use_reserve or not self._free_reserve():
                raise AuditError(f"cannot write the audit log: {err.strerror}") from err
            try:
                self._put(raw)
            except OSError as again:
                raise AuditError(f"cannot write the audit log: {again.strerror}") from again
            self._incidents.append((Incident.DISK_FULL, 0))
        index = self._tree.size
        self._tree = grown
        self._tail.append(data)
        return index

    def _put(self, raw: bytes) -> None:
        """Append `raw` whole, or leave the file as it was, or count it as failed."""
        assert self._fd is not None
        try:
            write_all(self._files, self._fd, raw)
        except OSError as err:
            self._failed = True
            if err.errno == errno.ENOSPC:
                self._files.truncate(self._fd, self._bytes)
                self._failed = False
            raise
        self._bytes += len(raw)

    def _forget_last(self) -> None:
        """Take back the entry whose sync failed: nobody was told of it."""
        self._tail.pop()
        tree = self._synced.copy()
        for data in self._tail:
            tree.append(leaf_hash(data))
        self._tree = tree

    def _sync(self) -> None:
        assert self._fd is not None
        if self._tail:
            try:
                self._files.sync(self._fd)
            except OSError as err:
                self._failed = True
                raise AuditError(f"cannot sync the audit log: {err.strerror}") from err
        for data in self._tail:
            self._publisher.add(data)
        self._tail = []
        self._synced = self._tree.copy()
        self._publish()

    def _publish(self) -> None:
        assert self._segment is not None
        self._publisher.publish(
            self._synced.size, self._synced.root(), [self._device, self._segment]
        )

    # segments ---------------------------------------------------------------------

    def _new_segment(self) -> None:
        """Certify a fresh key for the tree as synced, then destroy the one before."""
        files, where = self._files, self._directory
        number = self._number + 1
        key = Signer.generate(self._device.name)
        cert = Certificate(
            self._device.name, number, self._synced.size, self._synced.root(), key.verifier
        )
        replace_file(
            files,
            where / PRIVATE / f"{number:06d}.key",
            key.secret_text.encode(),
            durable=True,
            secret=True,
        )
        fd = files.begin(where / SEGMENTS / journal_name(number))
        try:
            files.truncate(fd, 0)
            signers = [self._device] if self._segment is None else [self._device, self._segment]
            path = where / SEGMENTS / certificate_name(number)
            replace_file(files, path, cert.note(signers), durable=True)
        except OSError:
            files.close(fd)
            raise
        old, self._fd = self._fd, fd
        if old is not None:
            files.close(old)
        self._number, self._segment, self._segment_base = number, key, cert.base_size
        self._bytes = 0
        self._destroy_keys(keep=number)

    def _mend(self) -> None:
        """After a failed write or sync: a new segment, and the unsynced entries again."""
        again = self._tail
        try:
            self._new_segment()
        except OSError as err:
            raise AuditError(f"cannot begin a log segment: {err.strerror}") from err
        self._tail, self._tree = [], self._synced.copy()
        self._failed = False
        try:
            for data in again:
                self._write(data, may_use_reserve=True)
            self._sync()
        except AuditError:
            self._failed = True
            self._tail = again
            raise
        self._incidents.append((Incident.SYNC_FAILED, len(again)))

    def _destroy_keys(self, keep: int) -> None:
        """Overwrite and remove every segment key but the live one."""
        files, where = self._files, self._directory / PRIVATE
        for name in files.names(where):
            if name.endswith(".key") and name != f"{keep:06d}.key":
                files.overwrite(where / name, bytes(256))
                files.remove(where / name)

    # space ------------------------------------------------------------------------

    def _keep_reserve(self) -> None:
        """Hold back room, so that a full disk still takes the entry that says so."""
        path = self._directory / PRIVATE / RESERVE
        held = self._files.read(path)
        if held is None or len(held) < RESERVE_BYTES:
            replace_file(self._files, path, bytes(RESERVE_BYTES), durable=True)

    def _free_reserve(self) -> bool:
        path = self._directory / PRIVATE / RESERVE
        if self._failed or self._files.read(path) is None:
            return False
        try:
            self._files.remove(path)
            self._files.sync_directory(path.parent)
        except OSError:
            return False
        return True

    def _release(self) -> None:
        for fd in (self._fd, self._lock):
            if fd is not None and fd >= 0:
                self._files.close(fd)
        self._fd, self._lock = None, -1
