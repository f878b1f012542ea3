"""Pruning: the oldest whole segments go, everything that proofs need stays.

Gone are journals and entry bundles. Certificates, every hash tile, the checkpoint
and a signed receipt stay, so the tree, older checkpoints and proofs of what is left
hold as before. The order makes a crash harmless: what stays is synced, what goes is
copied to the archive, the receipt is written, and only then is anything removed. A
run after a crash goes on with what is left to remove. A guard may write meanwhile:
it never touches a closed segment, and the last segment is never pruned.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.audit.files import Files, replace_file
from edge.audit.forms import wall_ns, wall_text
from edge.audit.journal import SEGMENTS, read_certificates
from edge.audit.note import Signer, Verifier
from edge.audit.proofs.export import bundles_below
from edge.audit.proofs.merkle import TILE_WIDTH, tile_path
from edge.audit.proofs.verify import verify_log
from edge.audit.pruning.carried import Carried
from edge.audit.pruning.receipt import RECEIPTS, Receipt, newest_receipt, receipt_name
from edge.audit.segment import Certificate, journal_name
from edge.audit.store import PRIVATE
from edge.errors import AuditError, meaning


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pruning would do."""

    receipt: Receipt  # to be written, or the one that is there already
    paths: tuple[str, ...]  # that go, below the log's folder
    bytes: int  # in them


def months_before(now_ns: int, months: int) -> str:
    """The first moment of the month `months` before that of `now_ns`, as entries are dated."""
    now = dt.datetime.fromtimestamp(now_ns // 10**9, dt.timezone.utc)
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    return f"{max(year, 1970):04d}-{month + 1:02d}-01T00:00:00.000Z"


def plan_pruning(
    directory: Path,
    device: Verifier,
    *,
    now_ns: int,
    keep_months: int,
    witnessed: bytes | None = None,
    files: Files | None = None,
) -> Plan | None:
    """What may go; None if nothing may. The whole log is verified first.

    Args:
        now_ns: wall time; months are counted back from it, or from the newest entry if older.
        keep_months: whole months that stay, besides the one that runs.
        witnessed: a checkpoint that witnesses cosigned; what it does not cover stays.

    Raises:
        AuditError: the log does not verify, or does not continue `witnessed`.
    """
    files = files or Files()
    before = newest_receipt(files, directory, device)
    survey = _Survey(read_certificates(files, directory, device), before)
    found = verify_log(directory, device, seen=witnessed, on_entry=survey.step, files=files)
    limit = min(found.published, found.entries - 1)
    if witnessed is not None:
        limit = min(limit, int(witnessed.split(b"\n")[1]))
    bound = months_before(min(now_ns, wall_ns(survey.newest or wall_text(now_ns))), keep_months)
    kept = survey.first_kept(bound, limit, found.published)
    if kept is not None:
        receipt = survey.receipt(kept, found.published, wall_text(now_ns), keep_months)
    elif before is not None:
        receipt = before
    else:
        return None
    paths, size = _there(files, directory, receipt)
    return Plan(receipt, paths, size) if paths else None


def prune(
    directory: Path,
    device: Signer,
    plan: Plan,
    *,
    archive: Path | None = None,
    files: Files | None = None,
) -> None:
    """Do what `plan` says; it may be stopped at any moment and done again.

    Args:
        archive: where what goes is copied first, durably, by the same names.

    Raises:
        AuditError: another pruning of this log is at work, or the archive holds something else.
        OSError: a file cannot be read, written or removed; nothing is lost by that.
    """
    files = files or Files()
    if archive is not None and directory.resolve() in (
        archive.resolve(),
        *archive.resolve().parents,
    ):
        raise AuditError(f"the archive {archive} lies in the log itself: name a folder outside it")
    with meaning(f"another pruning of {directory} is running", BlockingIOError, as_=AuditError):
        lock = files.lock(directory / PRIVATE / "prune.lock")
    try:
        _settle(files, directory, plan.receipt)
        if archive is not None:
            for path in plan.paths:
                _copy(files, directory / path, archive / path)
        _write_receipt(files, directory, device, plan.receipt)
        for path in plan.paths:
            files.remove(directory / path)
        for folder in sorted({(directory / path).parent for path in plan.paths}):
            files.sync_directory(folder)
    finally:
        files.close(lock)


class _Survey:
    """What the log's entries add up to at the beginning of each segment."""

    def __init__(self, certificates: Sequence[Certificate], before: Receipt | None) -> None:
        self.newest = ""  # the date of the newest entry
        self._certificates = certificates
        self._bases = {cert.base_size for cert in certificates}
        self._before = before
        self._carried = Carried()
        self._since = "" if before is None else before.since
        self._at: dict[int, tuple[Carried, str]] = {}  # by size: what it adds up to, last date

    def step(self, index: int, entry: bytes, fields: dict[str, Any]) -> None:
        """Take one entry that is there."""
        if self._before is not None and index == self._before.entries:
            self._carried = self._before.carried
        self._carried = self._carried.after(entry)
        self.newest = fields["wall"]
        self._since = self._since or self.newest
        if index + 1 in self._bases:
            self._at[index + 1] = self._carried, self.newest

    def first_kept(self, bound: str, limit: int, published: int) -> Certificate | None:
        """The last segment before which everything may go; None if no more may than has gone."""
        found = None
        for cert in self._certificates:
            size = cert.base_size
            whole = -(-size // TILE_WIDTH) * TILE_WIDTH  # its last bundle and hash tile are full
            old = size in self._at and self._at[size][1] < bound
            if old and size <= limit and whole <= published:
                found = cert
        if found is None or (self._before is not None and found.number <= self._before.segments):
            return None
        return found

    def receipt(self, kept: Certificate, published: int, at: str, keep_months: int) -> Receipt:
        carried, until = self._at[kept.base_size]
        return Receipt(
            origin=kept.origin,
            segments=kept.number,
            entries=kept.base_size,
            root=kept.base_root,
            log_entries=published,
            at=at,
            since=self._since,
            until=until,
            keep_months=keep_months,
            carried=carried,
        )


def _there(files: Files, directory: Path, receipt: Receipt) -> tuple[tuple[str, ...], int]:
    """What the receipt lets go and is still there, and how many bytes it has."""
    names = [f"{SEGMENTS}/{journal_name(number)}" for number in range(receipt.segments)]
    found, size = [], 0
    for path in (*names, *bundles_below(receipt.entries)):
        data = files.read(directory / path)
        if data is not None:
            found.append(path)
            size += len(data)
    return tuple(found), size


def _settle(files: Files, directory: Path, receipt: Receipt) -> None:
    """See that the tiles that can no more be made from the journal are on the disk."""
    tiles = -(-receipt.entries // TILE_WIDTH)
    paths = [tile_path(0, number, TILE_WIDTH) for number in range(tiles)]
    if receipt.entries % TILE_WIDTH:
        paths.append(tile_path("entries", tiles - 1, TILE_WIDTH))
    folders = {directory}
    for path in paths:
        fd = files.begin(directory / path)
        try:
            files.sync(fd)
        finally:
            files.close(fd)
        above = (directory / path).parents
        folders |= {folder for folder in above if directory in folder.parents}
    for folder in sorted(folders):
        files.sync_directory(folder)


def _copy(files: Files, old: Path, new: Path) -> None:
    data, there = files.read(old), files.read(new)
    if data is None or there == data:
        return
    if there is not None:
        raise AuditError(f"{new} is there already and is another file: name another archive")
    files.make_directory(new.parent)
    replace_file(files, new, data, durable=True)
    for folder in (new.parent.parent, new.parent.parent.parent):
        files.sync_directory(folder)


def _write_receipt(files: Files, directory: Path, device: Signer, receipt: Receipt) -> None:
    path = directory / RECEIPTS / receipt_name(receipt.segments)
    note = receipt.note(device)
    if files.read(path) == note:
        return
    files.make_directory(path.parent)
    files.sync_directory(directory)
    replace_file(files, path, note, durable=True)
