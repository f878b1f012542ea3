"""The hash tree (RFC 6962): leaf and node hashes, the growing edge, and tiles.

`Frontier` keeps the roots of the perfect subtrees, which is all that is
needed to add a leaf and to know the root. `TileBuffer` gathers hashes into
the 256-wide tiles of C2SP tlog-tiles. Pure: no files.
"""

from __future__ import annotations

import hashlib

HASH_BYTES = 32
TILE_WIDTH = 256
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: O(log n) memory, O(log n) a root."""

    def __init__(self) -> None:
        self.size = 0
        self._perfect: list[tuple[int, bytes]] = []  # (leaves, root), widest first

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        leaves, root = 1, leaf
        while self._perfect and self._perfect[-1][0] == leaves:
            _, left = self._perfect.pop()
            leaves, root = 2 * leaves, node_hash(left, root)
        self._perfect.append((leaves, root))
        self.size += 1

    def root(self) -> bytes:
        """The tree's root hash; of an empty tree, the hash of nothing."""
        if not self._perfect:
            return EMPTY_ROOT
        root = self._perfect[-1][1]
        for _, left in reversed(self._perfect[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> Frontier:
        twin = Frontier()
        twin.size = self.size
        twin._perfect = list(self._perfect)
        return twin


def perfect_root(hashes: list[bytes]) -> bytes:
    """The root over a power of two of equally high subtrees."""
    while len(hashes) > 1:
        hashes = [node_hash(a, b) for a, b in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


class TileBuffer:
    """The unfinished rightmost tile of each level; full tiles are handed out once."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]
        self._done = [0]  # full tiles so far, by level

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add one leaf hash; returns the tiles it filled as (level, number, bytes)."""
        filled: list[tuple[int, int, bytes]] = []
        level = 0
        while True:
            row = self._levels[level]
            row.append(leaf)
            if len(row) < TILE_WIDTH:
                return filled
            filled.append((level, self._done[level], b"".join(row)))
            leaf = perfect_root(row)
            self._levels[level] = []
            self._done[level] += 1
            level += 1
            if level == len(self._levels):
                self._levels.append([])
                self._done.append(0)

    def partial(self) -> list[tuple[int, int, bytes]]:
        """The unfinished tiles, as (level, number, bytes)."""
        return [
            (level, self._done[level], b"".join(row))
            for level, row in enumerate(self._levels)
            if row
        ]


def tile_path(level: int | str, number: int, width: int) -> str:
    """Where a tile lies, e.g. `tile/0/x001/234`, or `tile/entries/000.p/7` when unfinished."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03d}")
    tail = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/" + "/".join(groups) + tail
