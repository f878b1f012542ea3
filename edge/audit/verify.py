"""Checking a log from outside, with nothing but the device's public key.

Everything is recomputed: certificates, every entry's form, signature and
place, the published tiles and the checkpoint. The first thing that is wrong
ends the check and names the entry it touches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.audit.files import Files
from edge.audit.journal import BadEntry, read_journal
from edge.audit.merkle import TILE_WIDTH, Frontier, TileBuffer, leaf_hash, tile_path
from edge.audit.note import NoteError, Verifier, read_note
from edge.audit.publish import CHECKPOINT
from edge.audit.schema import SchemaError, canonical
from edge.audit.segment import parse_checkpoint
from edge.errors import AuditError


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good log amounts to."""

    entries: int
    root: bytes
    segments: int
    published: int  # entries that the published checkpoint covers
    torn_bytes: int  # an unfinished last write, which is no entry


def verify_log(directory: Path, device: Verifier, *, floor: int = 0) -> Verified:
    """Check the whole log.

    Raises:
        BadEntry: an entry was changed, removed, moved or added.
        AuditError: something that belongs to no single entry is wrong.
    """
    walk = _Walk()
    journal = read_journal(Files(), directory, device, every_signature=True, on_entry=walk.on_entry)
    size = journal.frontier.size
    if journal.torn.endswith(b"\n") or b"\n" in journal.torn:
        raise BadEntry(size, "not what was signed, though it ends the journal")
    if size < floor:
        raise BadEntry(size, f"missing: {floor} entries are known to have been written")
    published = _check_published(directory, device, walk, size)
    return Verified(
        size, journal.frontier.root(), len(journal.certificates), published, len(journal.torn)
    )


def iter_entries(directory: Path, device: Verifier) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries of a log that verifies, in order."""
    walk = _Walk(keep=True)
    read_journal(Files(), directory, device, every_signature=True, on_entry=walk.on_entry)
    yield from enumerate(walk.fields)


class _Walk:
    """Judges each entry and gathers what the tiles should hold."""

    def __init__(self, keep: bool = False) -> None:
        self.leaves: list[bytes] = []
        self.entries: list[bytes] = []
        self.fields: list[dict[str, Any]] = []
        self._keep = keep
        self._newest_wall = ""

    def on_entry(self, index: int, entry: bytes, tree: Frontier) -> None:
        try:
            fields = json.loads(entry)
            if not isinstance(fields, dict) or canonical(fields) != entry:
                raise BadEntry(index, "not in canonical form")
        except ValueError as err:
            raise BadEntry(index, "not JSON") from err
        except SchemaError as err:
            raise BadEntry(index, str(err)) from err
        if fields["wall"] < self._newest_wall:
            raise BadEntry(index, "dated before the entry ahead of it")
        self._newest_wall = fields["wall"]
        self.leaves.append(leaf_hash(entry))
        self.entries.append(entry)
        if self._keep:
            self.fields.append(fields)


def _check_published(directory: Path, device: Verifier, walk: _Walk, size: int) -> int:
    """Compare checkpoint and tiles with the journal; returns the size they cover."""
    note = Files().read(directory / CHECKPOINT)
    if note is None:
        if size:
            raise AuditError("the log has no published checkpoint")
        return 0
    try:
        text, _ = read_note(note, [device])
        covered, root = parse_checkpoint(text, device.name)
    except NoteError as err:
        raise AuditError(f"the published checkpoint: {err}") from err
    if covered > size:
        raise BadEntry(size, f"missing: the published checkpoint covers {covered} entries")
    tree, tiles, bundle = Frontier(), TileBuffer(), list[bytes]()
    for index in range(covered):
        tree.append(walk.leaves[index])
        full = tiles.append(walk.leaves[index])
        bundle.append(walk.entries[index])
        for level, number, data in full:
            _same_tile(directory, level, number, TILE_WIDTH, data)
        if len(bundle) == TILE_WIDTH or index == covered - 1:
            _same_bundle(directory, index // TILE_WIDTH, bundle)
            bundle = []
    for level, number, data in tiles.partial():
        _same_tile(directory, level, number, len(data) // 32, data)
    if tree.root() != root:
        raise AuditError(f"the published checkpoint of {covered} entries is of another tree")
    return covered


def _same_tile(directory: Path, level: int, number: int, width: int, data: bytes) -> None:
    path = tile_path(level, number, width)
    found = Files().read(directory / path) or b""
    if found != data:
        spot = next((i for i in range(width) if found[32 * i :][:32] != data[32 * i :][:32]), 0)
        index = (number * TILE_WIDTH + spot) * TILE_WIDTH**level
        raise BadEntry(index, f"{path} does not match the journal")


def _same_bundle(directory: Path, number: int, bundle: list[bytes]) -> None:
    path = tile_path("entries", number, len(bundle))
    found = Files().read(directory / path) or b""
    for place, entry in enumerate(bundle):
        stored = len(entry).to_bytes(2, "big") + entry
        if found[: len(stored)] != stored:
            raise BadEntry(number * TILE_WIDTH + place, f"{path} does not match the journal")
        found = found[len(stored) :]
    if found:
        raise BadEntry(number * TILE_WIDTH + len(bundle), f"{path} holds more than the journal")
