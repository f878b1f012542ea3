"""The log's directory as the writer uses it: the live segment, its key, the reserve.

```
segments/000000.cert .log   certificates and journals, one pair a segment
tile/ checkpoint log.pub    the published log (publish.py)
aside/                      torn tails, kept for whoever wants to know
private/                    the live segment's key, the lock, the reserve
```
A journal whose write or sync failed is never written again. Errors are plain
`OSError`; `AuditLog` decides what they mean.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

from edge.audit.files import Files, replace_file, write_all
from edge.audit.journal import SEGMENTS
from edge.audit.note import NoteError, Signer
from edge.audit.segment import Certificate, certificate_name, journal_name
from edge.errors import AuditError, meaning

PRIVATE = "private"
ASIDE = "aside"
PUBLIC_KEY = "log.pub"
RESERVE = "reserve"
RESERVE_BYTES = 64 * 1024


class SegmentStore:
    """Owns the files of one log for its one writer."""

    def __init__(self, directory: Path, device: Signer, files: Files) -> None:
        self.directory = directory
        self.files = files
        self.number = -1  # of the live segment
        self.base = 0  # entries before it
        self.key: Signer | None = None
        self.failed = True  # no journal to write to
        self.trouble = ""  # what the system last refused, in its words
        self.reserve_used = False  # since it was last asked
        self.reserve_held = False
        self._device = device
        self._fd: int | None = None
        self._good_bytes = 0
        self._sure_bytes = 0  # of the live journal, up to the last sync
        self._lock: int | None = None

    def prepare(self) -> None:
        """Make the directories, take the lock, hold the reserve if there is room."""
        files, where = self.files, self.directory
        for name in (SEGMENTS, PRIVATE, ASIDE):
            files.make_directory(where / name)
        taken = f"the audit log in {where} is in use by another process"
        with meaning(taken, BlockingIOError, as_=AuditError):
            self._lock = files.lock(where / PRIVATE / "lock")
        files.sync_directory(where)
        files.sync_directory(where.parent)
        self.hold_reserve()
        public = self._device.verifier.text.encode() + b"\n"
        if files.read(where / PUBLIC_KEY) != public:
            self.with_reserve(lambda: replace_file(files, where / PUBLIC_KEY, public, durable=True))

    def attach(self, cert: Certificate, good_bytes: int) -> None:
        """Take over from the last segment: its key is needed to certify the next.

        Its journal ends after `good_bytes`; what follows is cut off before the next begins.
        """
        secret = self.files.read(self._key_path(cert.number))
        with meaning(
            f"the key of log segment {cert.number} is missing or spoilt", NoteError, as_=AuditError
        ):
            signer = Signer.parse((secret or b"").decode(errors="replace"))
        if signer.verifier != cert.key:
            raise AuditError(f"the key of log segment {cert.number} is not the certified one")
        self.number, self.base, self.key = cert.number, cert.base_size, signer
        self._sure_bytes = good_bytes

    def set_aside(self, torn: bytes, offset: int) -> None:
        """Keep the unfinished end of the last journal in a file of its own."""
        keep = self.directory / ASIDE / f"{self.number:06d}-{offset}.torn"
        replace_file(self.files, keep, torn, durable=True)

    def _end_journal(self) -> None:
        """Cut off what follows the last sure entry: a closed segment holds nothing else."""
        path = self.directory / SEGMENTS / journal_name(self.number)
        if self.number < 0 or len(self.files.read(path) or b"") <= self._sure_bytes:
            return
        fd = self.files.begin(path)
        try:
            self.files.truncate(fd, self._sure_bytes)
            self.files.sync(fd)
        finally:
            self.files.close(fd)

    def begin_segment(self, size: int, root: bytes) -> None:
        """Certify a fresh key for the tree of `size` entries, destroy the key before it.

        The certificate's rename is the moment the segment begins. If anything
        after that fails, the segment counts as begun and failed, so that the
        next one can be certified by its key.
        """
        files, number = self.files, self.number + 1
        key = Signer.generate(self._device.name)
        cert = Certificate(self._device.name, number, size, root, key.verifier)
        signers = [self._device] if self.key is None else [self._device, self.key]
        note = cert.note(signers)
        path = self.directory / SEGMENTS / certificate_name(number)
        self._drop_journal()
        self._end_journal()
        replace_file(
            files, self._key_path(number), key.secret_text.encode(), durable=True, secret=True
        )
        fd = files.begin(self.directory / SEGMENTS / journal_name(number))
        try:
            files.truncate(fd, 0)
            replace_file(files, path, note, durable=True)
        except OSError:
            files.close(fd)
            if files.read(path) == note:
                self.number, self.base, self.key = number, size, key
                self._sure_bytes = 0
            raise
        self._fd, self._good_bytes, self._sure_bytes = fd, 0, 0
        self.number, self.base, self.key = number, size, key
        self._destroy_old_keys()
        self.failed = False

    def put(self, raw: bytes) -> None:
        """Append `raw` whole, or leave the journal as it was, or count it as failed."""
        if self._fd is None or self.failed:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        try:
            write_all(self.files, self._fd, raw)
        except OSError as err:
            self.failed = True
            self._note(err)
            if err.errno == errno.ENOSPC:
                self.files.truncate(self._fd, self._good_bytes)
                self.failed = False
            raise
        self._good_bytes += len(raw)

    def sync(self) -> None:
        """Wait until all that was put is on the storage; a failure is final."""
        if self._fd is None or self.failed:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        try:
            self.files.sync(self._fd)
        except OSError as err:
            self.failed = True
            self._note(err)
            raise
        self._sure_bytes = self._good_bytes

    def release(self) -> None:
        self._drop_journal()
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self.files.close(self._lock)
            self._lock = None

    # space ------------------------------------------------------------------------

    def hold_reserve(self) -> bool:
        """Hold back room, so that a full disk still takes the entry that says so."""
        if self.reserve_held:
            return True
        path = self.directory / PRIVATE / RESERVE
        try:
            held = self.files.read(path)
            if held is None or len(held) != RESERVE_BYTES:
                # random, because a file system that compresses must not save on it
                replace_file(self.files, path, os.urandom(RESERVE_BYTES), durable=True)
        except OSError as err:
            self._note(err)
            return False
        self.reserve_held = True
        return True

    def with_reserve(self, work: Callable[[], None]) -> None:
        """Do `work`; if the disk is full, give up the reserve and do it once more."""
        try:
            work()
        except OSError as err:
            self._note(err)
            if err.errno != errno.ENOSPC or not self._free_reserve():
                raise
            work()

    def _note(self, err: OSError) -> None:
        self.trouble = err.strerror or str(err)

    def _free_reserve(self) -> bool:
        if not self.reserve_held:
            return False
        path = self.directory / PRIVATE / RESERVE
        self.reserve_held = False
        try:
            self.files.remove(path)
            self.files.sync_directory(path.parent)
        except OSError:
            return False
        self.reserve_used = True
        return True

    # keys -------------------------------------------------------------------------

    def _key_path(self, number: int) -> Path:
        return self.directory / PRIVATE / f"{number:06d}.key"

    def _destroy_old_keys(self) -> None:
        """Overwrite and remove every segment key but the live one."""
        live = self._key_path(self.number)
        for name in self.files.names(live.parent):
            if ".key" in name and name != live.name:
                with contextlib.suppress(OSError):  # removing it is what counts
                    self.files.overwrite(live.parent / name, bytes(256))
                self.files.remove(live.parent / name)

    def _drop_journal(self) -> None:
        self.failed = True
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):  # close may repeat an error already reported
                self.files.close(fd)
