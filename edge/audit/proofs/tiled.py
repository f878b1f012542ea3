"""The proof of one entry, read from the log's static files.

A handful of tiles is enough, however long the log is, and none of them is
secret: a process that may read `tile/` alone can make the proof. Whether the
checkpoint is the device's is for the reader of the proof to say, who has the key.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge.audit.note import NoteError
from edge.audit.paths import Root, inclusion_path_of, root_from_inclusion, subtree
from edge.audit.proofs.merkle import HASH_BYTES, TILE_WIDTH, leaf_hash, perfect_root, tile_path
from edge.audit.proofs.proof import entry_proof
from edge.audit.segment import parse_checkpoint
from edge.errors import AuditError, failing, wrong_in
from edge.files import read_named

_TILE_BITS = 8  # 256 hashes are one of the next level
_MAX_BYTES = 4 * 1024 * 1024  # 256 entries are far less


def size_of(note: str) -> int:
    """How many entries a checkpoint covers; 0 if it is none."""
    try:
        return _parse(note)[0]
    except AuditError:
        return 0


def prove_from_tiles(tiles: Path, note: str, index: int, entry: bytes = b"") -> str:
    """The proof that entry `index` is in the log; see `edge.audit.proofs.proof.prove_entry`.

    Args:
        tiles: the log's folder `tile`.
        note: a checkpoint of the log, as signed.
        entry: where its bundle was moved to an archive; else it is read there.

    Raises:
        AuditError: the checkpoint does not cover the entry, or the files are not its own.
    """
    size, root = _parse(note)
    if not 0 <= index < size:
        raise AuditError(f"expected an entry from 0 to {size - 1}, got {index}")
    entry = entry or _entry(tiles, index, size)
    path = inclusion_path_of(size, index, roots_of(tiles, size))
    if root_from_inclusion(leaf_hash(entry), index, size, path) != root:
        raise AuditError("the log's files are not those of its checkpoint")
    return entry_proof(index, entry, path, note)


def _parse(note: str) -> tuple[int, bytes]:
    text = note.partition("\n\n")[0] + "\n"
    with wrong_in("no checkpoint", NoteError, as_=AuditError):
        return parse_checkpoint(text.encode(), text.partition("\n")[0])


Tile = Callable[[int, int, int], bytes]  # level, number, and the hashes that it holds at least


def roots_of(tiles: Path, size: int) -> Root:
    """What gives the root over entries `low` to `high - 1`, from the tiles of a tree of `size`."""
    return roots_from(lambda level, number, there: _tile(tiles, level, number, there), size)


def roots_from(tile: Tile, size: int) -> Root:
    """The same from wherever `tile` gets the tiles; each is asked for once."""
    read: dict[tuple[int, int], bytes] = {}

    def perfect(low: int, width: int) -> bytes:
        level, height = divmod(width.bit_length() - 1, _TILE_BITS)
        first, count = low >> (level * _TILE_BITS), 1 << height
        number, spot = divmod(first, TILE_WIDTH)
        row = read.get((level, number))
        if row is None:
            there = min(TILE_WIDTH, (size >> (level * _TILE_BITS)) - number * TILE_WIDTH)
            row = read[level, number] = tile(level, number, there)
        if len(row) < (spot + count) * HASH_BYTES:
            raise AuditError(f"tile {level}/{number} of the log is cut short")
        hashes = [row[i * HASH_BYTES :][:HASH_BYTES] for i in range(spot, spot + count)]
        return perfect_root(hashes)

    return subtree(perfect)


def entries_of(tiles: Path, size: int) -> list[bytes]:
    """All entries of a log of `size` entries, from its bundles.

    Raises:
        AuditError: they are not all there.
    """
    found: list[bytes] = []
    for number in range(-(-size // TILE_WIDTH)):
        there = min(TILE_WIDTH, size - number * TILE_WIDTH)
        rest = _tile(tiles, "entries", number, there)
        for _ in range(there):
            found.append(_first(rest, len(found)))
            rest = rest[2 + len(found[-1]) :]
    return found


def _entry(tiles: Path, index: int, size: int) -> bytes:
    number, spot = divmod(index, TILE_WIDTH)
    there = min(TILE_WIDTH, size - number * TILE_WIDTH)
    rest = _tile(tiles, "entries", number, there)
    for _ in range(spot):
        rest = rest[2 + int.from_bytes(rest[:2], "big") :]
    return _first(rest, index)


def _first(bundle: bytes, index: int) -> bytes:
    length = int.from_bytes(bundle[:2], "big")
    entry = bundle[2 : 2 + length]
    if not entry or len(entry) != length:
        raise AuditError(f"the log's files do not hold entry {index}")
    return entry


def _tile(tiles: Path, level: int | str, number: int, width: int) -> bytes:
    """A tile with at least `width` hashes or entries; a wider one begins with the same."""
    whole = tiles.parent / tile_path(level, number, TILE_WIDTH)
    parts = whole.with_name(whole.name + ".p")
    with failing("the log's files cannot be read", as_=AuditError):
        widths = sorted(int(path.name) for path in parts.glob("*") if path.name.isdecimal())
        found = [parts / str(w) for w in widths if w >= width] if width < TILE_WIDTH else []
        for path in (*found, whole):
            if path.exists():
                return read_named(path, _MAX_BYTES)
    raise AuditError("the log's files are missing, or belong to another checkpoint")
