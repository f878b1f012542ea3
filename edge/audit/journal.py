"""Reading the journal back: every segment, checked against its certificate.

`read_journal` walks the segments in order, rebuilds the tree and checks it at
every certificate and signature. What cannot be trusted at the very end of the
last segment is handed back as `torn`, for the caller to judge; anything wrong
before that is a `BadEntry`, which names the index.

If the journal of a closed segment was pruned, the hashes that the log keeps are
read instead, and a signed receipt must say that it was pruned. The root in the
next certificate proves these hashes, as it proves entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.audit.files import Files
from edge.audit.note import NoteError, Verifier
from edge.audit.proofs.merkle import HASH_BYTES, TILE_WIDTH, Frontier, leaf_hash, tile_path
from edge.audit.pruning.receipt import Receipt, newest_receipt
from edge.audit.segment import (
    Certificate,
    certificate_name,
    checkpoint_text,
    journal_name,
    split_line,
)
from edge.errors import AuditError, wrong_in

SEGMENTS = "segments"
_CERTIFICATE = re.compile(r"[0-9]{6,9}\.cert")
OnEntry = Callable[[int, bytes, Frontier], None]


class BadEntry(AuditError):
    """The log does not verify from entry `index` on."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"entry {index}: {why}")
        self.index = index


@dataclass(frozen=True, slots=True)
class Journal:
    """What the journal holds."""

    certificates: tuple[Certificate, ...]
    frontier: Frontier
    good_bytes: int  # of the last segment's file that hold whole, signed lines
    torn: bytes  # what follows them
    receipt: Receipt | None  # for entries that may have been pruned
    pruned: int  # entries of which only the hash was there


def read_certificates(files: Files, directory: Path, device: Verifier) -> list[Certificate]:
    """All certificates, each signed by the device and by the key before it.

    Raises:
        AuditError: one is missing, malformed or not properly signed.
    """
    there = files.names(directory / SEGMENTS)
    names = [n for n in there if n.endswith(".cert")]
    for name in names:
        if not _CERTIFICATE.fullmatch(name):
            raise AuditError(
                f"{name[:40]!r} among the log's segments is not the name of a certificate"
            )
    numbers = sorted(int(name.removesuffix(".cert")) for name in names)
    found: list[Certificate] = []
    for expected, number in enumerate(numbers):
        if number != expected:
            raise AuditError(f"segment {expected} of the log has no certificate")
        note = files.read(directory / SEGMENTS / certificate_name(number)) or b""
        with wrong_in(f"certificate of segment {number}", NoteError, as_=AuditError):
            cert = Certificate.read(note, device, found[-1].key if found else None)
        base = found[-1].base_size if found else 0
        if cert.number != number or cert.origin != device.name or cert.base_size < base:
            raise AuditError(f"certificate of segment {number} belongs to another place or log")
        found.append(cert)
    _refuse_strays(files, directory / SEGMENTS, there, len(found))
    return found


def _refuse_strays(files: Files, folder: Path, there: list[str], segments: int) -> None:
    """No file beside certificates and journals, but what a crash leaves of the next segment."""
    known = {of(n) for n in range(segments) for of in (certificate_name, journal_name)}
    begun = {journal_name(segments), certificate_name(segments) + ".new"}
    for name in there:
        # a writer may have finished the next segment since the names were read
        if name in known or (name in begun and files.read(folder / certificate_name(segments))):
            continue
        if name == journal_name(segments) and not files.read(folder / name):
            continue
        if name == certificate_name(segments) + ".new":
            continue
        raise AuditError(f"{name[:40]!r} lies among the log's segments but does not belong to it")


def read_journal(
    files: Files,
    directory: Path,
    device: Verifier,
    *,
    every_signature: bool,
    on_entry: OnEntry,
    on_hash: OnEntry | None = None,
    on_receipt: Callable[[Receipt], None] | None = None,
    archive: Path | None = None,
) -> Journal:
    """Walk the whole journal; `on_entry` gets index, entry and the tree with it in.

    Args:
        on_hash: gets index, leaf hash and tree of each entry that was pruned.
        on_receipt: gets the receipt after all entries that it covers.
        archive: where pruned journals were moved to; they are read as if in their place.

    With `every_signature` false, only the last signature of each stretch is
    checked, which covers all entries before it but cannot say which one is bad.

    Raises:
        BadEntry: entry `index` is not what was signed.
        AuditError: a certificate is missing or bad.
    """
    certs = read_certificates(files, directory, device)
    if not certs:
        raise AuditError(f"expected an audit log in {directory}, found no segment certificate")
    pruned = _Pruned(files, directory, device, on_hash)
    frontier = Frontier()
    good_bytes, torn = 0, b""
    for place, cert in enumerate(certs):
        if cert.base_size != frontier.size or cert.base_root != frontier.root():
            raise BadEntry(
                min(cert.base_size, frontier.size),
                f"segment {place} continues another tree than the one before it",
            )
        pruned.meet(cert, on_receipt)
        last = place == len(certs) - 1
        end = None if last else certs[place + 1].base_size
        data = files.read(directory / SEGMENTS / journal_name(cert.number))
        if data is None and archive is not None:
            data = files.read(archive / SEGMENTS / journal_name(cert.number))
        if data is None and end is not None and pruned.covers(cert):
            pruned.walk(frontier, end)
            continue
        data = data or b""
        stretch = _Stretch(cert, data, every_signature, frontier)
        good_bytes = stretch.walk(end, on_entry)
        frontier = stretch.frontier
        if not last and good_bytes != len(data):
            raise BadEntry(frontier.size, f"segment {place} goes on after its end")
        torn = data[good_bytes:] if last else b""
    pruned.finish(frontier.size)
    return Journal(tuple(certs), frontier, good_bytes, torn, pruned.receipt, pruned.count)


class _Pruned:
    """Replaces the journals of segments that a receipt covers."""

    def __init__(
        self, files: Files, directory: Path, device: Verifier, on_hash: OnEntry | None
    ) -> None:
        self.count = 0  # entries passed by their hash
        self._files, self._directory, self._device = files, directory, device
        self._on_hash = on_hash
        self.receipt = newest_receipt(files, directory, device)

    def covers(self, cert: Certificate) -> bool:
        """Whether this segment may be gone; it may have been pruned since the last look."""
        if self.receipt is None or cert.number >= self.receipt.segments:
            self.receipt = newest_receipt(self._files, self._directory, self._device)
        return self.receipt is not None and cert.number < self.receipt.segments

    def meet(self, cert: Certificate, on_receipt: Callable[[Receipt], None] | None) -> None:
        """See that the receipt and the first segment that was kept continue the same tree."""
        receipt = self.receipt
        if receipt is None or cert.number != receipt.segments:
            return
        if (receipt.entries, receipt.root) != (cert.base_size, cert.base_root):
            raise BadEntry(
                min(receipt.entries, cert.base_size),
                f"the receipt for pruned entries is of another tree than segment {cert.number}",
            )
        if on_receipt is not None:
            on_receipt(receipt)

    def walk(self, frontier: Frontier, end: int) -> None:
        """Grow the tree to `end` entries by the hashes that were kept."""
        tile, number = b"", -1
        for index in range(frontier.size, end):
            if index // TILE_WIDTH != number:
                number = index // TILE_WIDTH
                tile = self._files.read(self._directory / tile_path(0, number, TILE_WIDTH)) or b""
            leaf = tile[index % TILE_WIDTH * HASH_BYTES :][:HASH_BYTES]
            if len(leaf) != HASH_BYTES:
                raise BadEntry(index, "pruned, and its hash is missing from the log's tiles")
            frontier.append(leaf)
            self.count += 1
            if self._on_hash is not None:
                self._on_hash(index, leaf, frontier.copy())

    def finish(self, size: int) -> None:
        receipt = self.receipt
        if receipt is not None and size < receipt.log_entries:
            raise BadEntry(
                size, f"missing: the log had {receipt.log_entries} entries when it was pruned"
            )


class _Stretch:
    """One segment's lines."""

    def __init__(
        self, cert: Certificate, data: bytes, every_signature: bool, frontier: Frontier
    ) -> None:
        self.frontier = frontier
        self._cert = cert
        self._lines = data.split(b"\n")[:-1]  # what follows the last newline is torn
        self._every = every_signature

    def walk(self, end: int | None, on_entry: Callable[[int, bytes, Frontier], None]) -> int:
        """Take lines up to entry `end`, or as far as they are good; returns their bytes."""
        lines = self._lines
        if end is not None:
            lines = lines[: end - self.frontier.size]
        trusted = 0 if self._every else self._signed_prefix(lines)
        taken = 0
        for place, raw in enumerate(lines):
            index = self.frontier.size
            parts = split_line(raw)
            if parts is None:
                if end is None:
                    return taken
                raise BadEntry(index, "not a journal line")
            entry, signature = parts
            grown = self.frontier.copy()
            grown.append(leaf_hash(entry))
            if place >= trusted and not self._signed(grown, signature):
                if end is None:
                    return taken
                raise BadEntry(index, "not what was signed")
            self.frontier = grown
            taken += len(raw) + 1
            on_entry(index, entry, grown)
        if end is not None and self.frontier.size < end:
            raise BadEntry(self.frontier.size, "missing from its segment")
        return taken

    def _signed(self, tree: Frontier, signature: bytes) -> bool:
        text = checkpoint_text(self._cert.origin, tree.size, tree.root())
        return self._cert.key.valid(text, signature)

    def _signed_prefix(self, lines: list[bytes]) -> int:
        """How many lines are proven by one good signature at their end."""
        tree = self.frontier.copy()
        for raw in lines:
            parts = split_line(raw)
            if parts is None:
                return 0
            tree.append(leaf_hash(parts[0]))
        if not lines:
            return 0
        last = split_line(lines[-1])
        return len(lines) if last is not None and self._signed(tree, last[1]) else 0
