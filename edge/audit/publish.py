"""The log as static files (C2SP tlog-tiles), for any transparency-log tool.

`tile/<level>/<number>` holds hashes, `tile/entries/<number>` the entries, each
after its length in two bytes, and `checkpoint` the signed size and root. They
are made from the journal and can be made again from it, so nothing here is
synced; a publication that fails is tried again with the next one.
"""

from __future__ import annotations

from pathlib import Path

from edge.audit.files import Files, replace_file
from edge.audit.merkle import TILE_WIDTH, TileBuffer, leaf_hash, tile_path
from edge.audit.note import Signer, sign_note
from edge.audit.segment import checkpoint_text

CHECKPOINT = "checkpoint"


class Publisher:
    """Writes the static files of one log as it grows."""

    def __init__(self, files: Files, directory: Path) -> None:
        self.behind = False  # whether the last publication failed
        self._files = files
        self._directory = directory
        self._tiles = TileBuffer()
        self._bundle: list[bytes] = []
        self._bundles_done = 0
        self._waiting: dict[str, bytes] = {}  # full tiles not yet on disk
        self._partial: set[str] = set()

    def add(self, entry: bytes) -> None:
        """Take one entry into the tiles; nothing is written yet."""
        for level, number, data in self._tiles.append(leaf_hash(entry)):
            self._waiting[tile_path(level, number, TILE_WIDTH)] = data
        self._bundle.append(len(entry).to_bytes(2, "big") + entry)
        if len(self._bundle) == TILE_WIDTH:
            self._waiting[tile_path("entries", self._bundles_done, TILE_WIDTH)] = b"".join(
                self._bundle
            )
            self._bundle = []
            self._bundles_done += 1

    def publish(self, size: int, root: bytes, signers: list[Signer]) -> None:
        """Write what is new, the checkpoint last, then drop outgrown partial tiles."""
        now = {
            tile_path(level, number, len(data) // 32): data
            for level, number, data in self._tiles.partial()
        }
        if self._bundle:
            now[tile_path("entries", self._bundles_done, len(self._bundle))] = b"".join(
                self._bundle
            )
        note = sign_note(checkpoint_text(signers[0].name, size, root), signers)
        try:
            for path, data in {**self._waiting, **now}.items():
                self._write(self._directory / path, data)
            replace_file(self._files, self._directory / CHECKPOINT, note, durable=False)
            for path in self._partial - set(now):
                self._files.remove(self._directory / path)
        except OSError:
            self.behind = True
            return
        self.behind = False
        self._waiting = {}
        self._partial = set(now)

    def _write(self, path: Path, data: bytes) -> None:
        if self._files.read(path) != data:
            self._files.make_directory(path.parent)
            replace_file(self._files, path, data, durable=False)
