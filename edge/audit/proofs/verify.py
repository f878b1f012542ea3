"""Checking a log from outside, with nothing but the device's public key.

Everything is recomputed: certificates, every entry's form, place and
signature, the published tiles and the checkpoint. The first thing that is
wrong ends the check and names the entry it touches. Entries that a signed
receipt calls pruned are checked by the hashes that were kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.audit.files import Files
from edge.audit.forms import SchemaError
from edge.audit.journal import BadEntry, read_certificates, read_journal
from edge.audit.note import NoteError, Verifier, read_note
from edge.audit.proofs.merkle import TILE_WIDTH, Frontier, TileBuffer, leaf_hash, tile_path
from edge.audit.pruning.carried import Carried
from edge.audit.pruning.receipt import Receipt, newest_receipt
from edge.audit.publish import CHECKPOINT
from edge.audit.schema import canonical
from edge.audit.segment import is_count, parse_checkpoint, signed_head
from edge.audit.store import PUBLIC_KEY
from edge.errors import AuditError, wrong_in

_TRIES = 100  # a writer publishes a few times a second at most
OnEntry = Callable[[int, bytes, dict[str, Any]], None]
OnHash = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good log amounts to."""

    entries: int
    root: bytes
    segments: int
    published: int  # entries that the published checkpoint covers
    torn_bytes: int  # an unfinished last write, which is no entry
    receipt: Receipt | None = None  # for entries that were pruned
    pruned: int = 0  # entries of which only the hash is there


def verify_log(
    directory: Path,
    device: Verifier,
    *,
    floor: int = 0,
    seen: bytes | None = None,
    on_entry: OnEntry | None = None,
    on_hash: OnHash | None = None,
    archive: Path | None = None,
    files: Files | None = None,
) -> Verified:
    """Check the whole log.

    Args:
        floor: entries known to have been written.
        seen: a checkpoint of this log, kept elsewhere, that it must continue.
        on_entry: gets each entry's index, bytes and fields as it is found good.
        on_hash: gets index and leaf hash of each entry that was pruned.
        archive: where pruned journals were moved to.

    Raises:
        BadEntry: an entry was changed, removed, moved or added.
        AuditError: something that belongs to no single entry is wrong.
    """
    files = files or Files()
    walk = _Walk(on_entry)
    sums = _Sums()
    published = _Published(files, directory, device)
    kept = _Kept(seen, device)

    def step(index: int, entry: bytes, tree: Frontier) -> None:
        walk.step(index, entry)
        sums.step(entry)
        published.step(index, leaf_hash(entry), tree)
        kept.step(tree)

    def step_pruned(index: int, leaf: bytes, tree: Frontier) -> None:
        sums.whole = False
        published.step(index, leaf, tree)
        kept.step(tree)
        if on_hash is not None:
            on_hash(index, leaf)

    journal = read_journal(
        files,
        directory,
        device,
        every_signature=True,
        on_entry=step,
        on_hash=step_pruned,
        on_receipt=sums.meet,
        archive=archive,
    )
    size = journal.frontier.size
    if whole := journal.torn.count(b"\n"):  # no torn write: that has no end of a line
        last = ", though it ends the journal" if whole == 1 else ""
        raise BadEntry(size, f"not what was signed{last}")
    public = files.read(directory / PUBLIC_KEY)
    if public is not None and public != device.text.encode() + b"\n":
        raise AuditError(f"{PUBLIC_KEY} in the log's folder is another key")
    if size < floor:
        raise BadEntry(size, f"missing: {floor} entries are known to have been written")
    kept.finish(size)
    published.finish(size)
    return Verified(
        size,
        journal.frontier.root(),
        len(journal.certificates),
        published.size,
        len(journal.torn),
        journal.receipt,
        journal.pruned,
    )


class _Sums:
    """Compares what a receipt says that entries add up to with the entries, where all are there."""

    def __init__(self) -> None:
        self.whole = True  # no entry so far was passed by its hash
        self._carried = Carried()

    def step(self, entry: bytes) -> None:
        self._carried = self._carried.after(entry)

    def meet(self, receipt: Receipt) -> None:
        if self.whole and self._carried != receipt.carried:
            raise AuditError(
                f"the receipt for the first {receipt.entries} entries says what they do not"
            )


class _Walk:
    """Judges each entry by itself and against the one before."""

    def __init__(self, on_entry: OnEntry | None) -> None:
        self._on_entry = on_entry
        self._newest_wall = ""
        self._newest_boot = ("", 0)  # boot id, and nanoseconds since it

    def step(self, index: int, entry: bytes) -> None:
        try:
            fields = json.loads(entry)
            if not isinstance(fields, dict) or canonical(fields) != entry:
                raise BadEntry(index, "not in canonical form")
        except (ValueError, RecursionError) as err:
            raise BadEntry(index, "not JSON") from err
        except SchemaError as err:
            raise BadEntry(index, str(err)) from err
        if fields["wall"] < self._newest_wall:
            raise BadEntry(index, "dated before the entry ahead of it")
        self._newest_wall = fields["wall"]
        boot, newest_ns = self._newest_boot
        if fields["boot_id"] == boot and int(fields["mono_ns"]) < newest_ns:
            raise BadEntry(index, "of an earlier time since boot than the entry ahead of it")
        self._newest_boot = (fields["boot_id"], int(fields["mono_ns"]))
        if self._on_entry is not None:
            self._on_entry(index, entry, fields)


class _Kept:
    """A checkpoint kept elsewhere: the log must have had this root at that size; None for none."""

    def __init__(self, note: bytes | None, device: Verifier) -> None:
        self._size, self._root = (0, b"") if note is None else signed_head(note, device)

    def step(self, tree: Frontier) -> None:
        if tree.size == self._size and tree.root() != self._root:
            raise AuditError(
                f"the first {self._size} entries are not those of the checkpoint kept elsewhere"
            )

    def finish(self, size: int) -> None:
        if size < self._size:
            raise BadEntry(size, f"missing: the checkpoint kept elsewhere covers {self._size}")


class _Published:
    """Compares checkpoint and tiles with the journal as it is read."""

    def __init__(self, files: Files, directory: Path, device: Verifier) -> None:
        self.size = 0
        self._files = files
        self._directory = directory
        self._tiles = TileBuffer()
        self._bundle: list[bytes] = []  # leaf hashes
        self._device = device
        note, self._snapshot = self._stable()
        self._there = note is not None
        if note is not None:
            keys = [cert.key for cert in read_certificates(files, directory, device)]
            self.size, self._root = _checkpoint(note, [device, *keys])

    def _stable(self) -> tuple[bytes | None, dict[str, bytes | None]]:
        """The checkpoint with the unfinished tiles it needs, though a writer goes on."""
        for _ in range(_TRIES):
            note = self._read(CHECKPOINT)
            lines = (note or b"").split(b"\n")
            size = int(lines[1]) if len(lines) > 3 and is_count(lines[1].decode("latin-1")) else 0
            tiles = {path: self._read(path) for path in _partial_paths(size)}
            if self._read(CHECKPOINT) == note:
                break
        return note, tiles

    def _read(self, path: str) -> bytes | None:
        return self._files.read(self._directory / path)

    def step(self, index: int, leaf: bytes, tree: Frontier) -> None:
        if index >= self.size:
            return
        for level, number, data in self._tiles.append(leaf):
            self._same_tile(level, number, data)
        self._bundle.append(leaf)
        if len(self._bundle) == TILE_WIDTH or index == self.size - 1:
            self._same_bundle(index // TILE_WIDTH)
            self._bundle = []
        if index == self.size - 1:
            for level, number, data in self._tiles.partial():
                self._same_tile(level, number, data)
            if tree.root() != self._root:
                raise AuditError(
                    f"the published checkpoint of {self.size} entries is of another tree"
                )

    def finish(self, size: int) -> None:
        if not self._there and size:
            raise AuditError("the log has no published checkpoint")
        if self.size > size:
            raise BadEntry(size, f"missing: the published checkpoint covers {self.size} entries")

    def _found(self, path: str) -> bytes:
        return (self._snapshot[path] if path in self._snapshot else self._read(path)) or b""

    def _same_tile(self, level: int, number: int, data: bytes) -> None:
        width = len(data) // 32
        path = tile_path(level, number, width)
        found = self._found(path)
        if found == data:
            return
        spot = next((i for i in range(width) if found[32 * i :][:32] != data[32 * i :][:32]), 0)
        index = (number * TILE_WIDTH + spot) * TILE_WIDTH**level
        raise BadEntry(index, f"{path} does not match the journal")

    def _same_bundle(self, number: int) -> None:
        path = tile_path("entries", number, len(self._bundle))
        found = self._found(path)
        index = number * TILE_WIDTH
        if not found and self._pruned(index + len(self._bundle)):
            return
        for leaf in self._bundle:
            end = 2 + int.from_bytes(found[:2], "big")
            if len(found) < end or leaf_hash(found[2:end]) != leaf:
                raise BadEntry(index, f"{path} does not match the journal")
            found = found[end:]
            index += 1
        if found:
            raise BadEntry(index, f"{path} holds more than the journal")

    def _pruned(self, end: int) -> bool:
        """Whether a receipt covers every entry before `end`."""
        receipt = newest_receipt(self._files, self._directory, self._device)
        return receipt is not None and end <= receipt.entries


def _checkpoint(note: bytes, keys: list[Verifier]) -> tuple[int, bytes]:
    """The published checkpoint: signed by the device (first of `keys`) and the live segment."""
    with wrong_in("the published checkpoint", NoteError, as_=AuditError):
        text, signed = read_note(note, keys, closed=True)
        if signed[0] != keys[0] or len(signed) != 2:
            raise NoteError("expected the signatures of the device and of one segment")
        return parse_checkpoint(text, keys[0].name)


def _partial_paths(size: int) -> list[str]:
    """The unfinished tiles of a tree of `size` entries."""
    paths = []
    if size % TILE_WIDTH:
        paths.append(tile_path("entries", size // TILE_WIDTH, size % TILE_WIDTH))
    for level in range(8):
        width = size % TILE_WIDTH
        size //= TILE_WIDTH
        if width:
            paths.append(tile_path(level, size, width))
    return paths
