"""The log as static files (C2SP tlog-tiles), for any transparency-log tool.

`tile/<level>/<number>` holds hashes, `tile/entries/<number>` the entries, each
after its length in two bytes, and `checkpoint` the signed size and root. They
are made from the journal and can be made again from it, so nothing here is
synced; a publication that fails is tried again with the next one. Outgrown
partial tiles are kept for one more publication, for a reader on the way. The group of
the log's folder may read them, whatever the umask: a courier is a user of its own.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from edge.audit.files import Files, replace_file
from edge.audit.note import Signer, sign_note
from edge.audit.proofs.merkle import TILE_WIDTH, TileBuffer, leaf_hash, tile_path
from edge.audit.segment import checkpoint_text

CHECKPOINT = "checkpoint"
_MANY = 32  # full tiles


class Publisher:
    """Writes the static files of one log as it grows."""

    def __init__(self, files: Files, directory: Path) -> None:
        self.behind = True  # whether what is on disk is not the newest
        self.unsigned = False  # whether the last checkpoint got no signature: a token failed
        self.size = 0  # entries taken in
        self.note = b""  # the checkpoint on disk, as signed
        self._files = files
        self._directory = directory
        self._shared: set[Path] = set()  # folders that the log's group may enter
        self._tiles = TileBuffer()
        self._bundle: list[bytes] = []
        self._absent = 0  # entries of the unfinished bundle that were pruned
        self._bundles_done = 0
        self._waiting: dict[str, bytes] = {}  # full tiles not yet on disk
        self._partial: set[str] = set()  # of the last publication
        self._outgrown: set[str] = set()

    def add(self, entry: bytes) -> None:
        """Take one entry into the tiles; nothing is written yet."""
        self._grow(leaf_hash(entry))
        self._bundle.append(len(entry).to_bytes(2, "big") + entry)
        self._end_bundle()

    def add_pruned(self, leaf: bytes) -> None:
        """Take one entry by its hash; a bundle with such an entry stays on disk as it is."""
        self._grow(leaf)
        self._absent += 1
        self._end_bundle()

    def _grow(self, leaf: bytes) -> None:
        self.size += 1
        self.behind = True
        for level, number, data in self._tiles.append(leaf):
            self._waiting[tile_path(level, number, TILE_WIDTH)] = data

    def _end_bundle(self) -> None:
        if len(self._bundle) + self._absent < TILE_WIDTH:
            return
        if not self._absent:
            path = tile_path("entries", self._bundles_done, TILE_WIDTH)
            self._waiting[path] = b"".join(self._bundle)
        self._bundle, self._absent = [], 0
        self._bundles_done += 1

    def settle(self) -> None:
        """Write full tiles that wait, when there are many, as when a long log is read back."""
        if len(self._waiting) >= _MANY:
            with contextlib.suppress(OSError):
                for path, data in self._waiting.items():
                    self._write(self._directory / path, data)
                self._waiting = {}

    def publish(self, root: bytes, signers: list[Signer]) -> None:
        """Write what is new, the checkpoint last, then drop what is outgrown."""
        now = {
            tile_path(level, number, len(data) // 32): data
            for level, number, data in self._tiles.partial()
        }
        if self._bundle:
            now[tile_path("entries", self._bundles_done, len(self._bundle))] = b"".join(
                self._bundle
            )
        try:
            note = sign_note(checkpoint_text(signers[0].name, self.size, root), signers)
        except OSError:
            self.unsigned = self.behind = True
            return
        self.unsigned = False
        try:
            for path, data in {**self._waiting, **now}.items():
                self._write(self._directory / path, data)
            place = self._directory / CHECKPOINT
            replace_file(self._files, place, note, durable=False, shared=self._directory)
            for path in self._outgrown - set(now):
                self._files.remove(self._directory / path)
        except OSError:
            self.behind = True
            return
        self.behind = False
        self.note = note
        self._waiting = {}
        self._outgrown = self._partial - set(now)
        self._partial = set(now)

    def _write(self, path: Path, data: bytes) -> None:
        if self._files.read(path) != data:
            self._files.make_directory(path.parent)
            for folder in path.parents:
                if folder == self._directory or folder in self._shared:
                    break
                self._files.share(folder, self._directory)
                self._shared.add(folder)
            replace_file(self._files, path, data, durable=False, shared=self._directory)
