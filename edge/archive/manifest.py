"""The manifest of an archive: one recording a line, and the records it is judged under.

JSON lines, so that it is read and made with any tool. `sha256` says which bytes are meant,
so that a tape is found when the recording is gone. Relative paths start at the manifest's
folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import RecordError, UsageError, wrong_in
from edge.files import named_by_user, read_named, sha256_of

_MOST_BYTES = 1 << 28
_KEYS = {"clip", "sha256", "bytes", "device", "session", "telemetry"}
_NEEDED = ("clip", "sha256", "device", "session")
_SHA256 = re.compile("[0-9a-f]{64}")
CLIPS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".ts", ".mts")


@dataclass(frozen=True, slots=True)
class Recording:
    """One line."""

    clip: Path
    sha256: str
    device: Path
    session: Path
    telemetry: tuple[Path, ...] = ()
    bytes: int | None = None

    def check(self, sha256: str) -> None:
        """See that the file that was opened is the one that is meant.

        Raises:
            RecordError: it has another SHA-256.
        """
        if sha256 != self.sha256:
            raise RecordError(
                f"{self.clip} is another recording than the manifest means: expected "
                f"SHA-256 {self.sha256[:16]}..., got {sha256[:16]}..."
            )


def read(path: Path) -> list[Recording]:
    """The recordings of a manifest, in order.

    Raises:
        UsageError: it cannot be read, or a line is none; the message names it.
    """
    try:
        with named_by_user("read the manifest", path):
            lines = read_named(path, _MOST_BYTES).decode().splitlines()
    except UnicodeDecodeError as err:
        raise UsageError(f"{path}: expected JSON lines in UTF-8: {err.reason}") from err
    found = [
        _recording(line, f"{path}, line {number}", path.parent)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not found:
        raise UsageError(f"{path}: expected one recording a line, got none")
    return found


def lines(folder: Path, device: Path, session: Path) -> Iterator[dict[str, object]]:
    """A line for each recording in `folder`, with the telemetry beside it.

    A file CLIP.csv, or CLIP_anything.csv, is the telemetry of CLIP.
    Paths are absolute; give each recording records of its own by changing them.
    """
    for clip in sorted(p for p in folder.rglob("*") if p.suffix.lower() in CLIPS):
        beside = [*clip.parent.glob(f"{clip.stem}.csv"), *clip.parent.glob(f"{clip.stem}_*.csv")]
        yield {
            "clip": str(clip.resolve()),
            "sha256": sha256_of(clip),
            "bytes": clip.stat().st_size,
            "device": str(device.resolve()),
            "session": str(session.resolve()),
            "telemetry": [str(one.resolve()) for one in sorted(beside)],
        }


def _recording(line: str, where: str, folder: Path) -> Recording:
    with wrong_in(f"{where}: expected a JSON object", ValueError):
        found = json.loads(line)
    if not isinstance(found, dict):
        raise UsageError(f"{where}: expected a JSON object, got {line[:40]}")
    if unknown := sorted(found.keys() - _KEYS):
        raise UsageError(
            f"{where}: no key is called {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}"
        )
    for key in _NEEDED:
        if not isinstance(found.get(key), str):
            raise UsageError(f"{where}: expected text for {key!r}, got {found.get(key)!r}")
    if not _SHA256.fullmatch(found["sha256"]):
        raise UsageError(f"{where}: expected 64 hex digits for 'sha256'")
    size, telemetry = found.get("bytes"), found.get("telemetry", [])
    if size is not None and (type(size) is not int or size < 0):
        raise UsageError(f"{where}: expected a number of bytes, got {size!r}")
    if not isinstance(telemetry, list) or not all(isinstance(one, str) for one in telemetry):
        raise UsageError(f"{where}: expected a list of file names for 'telemetry'")
    return Recording(
        folder / found["clip"],
        found["sha256"],
        folder / found["device"],
        folder / found["session"],
        tuple(folder / one for one in telemetry),
        size,
    )


def names(recordings: Sequence[Recording]) -> list[str]:
    """A name to show for each, as short as it can be told from the others."""
    short = [one.clip.name for one in recordings]
    return [
        name if short.count(name) == 1 else str(one.clip)
        for name, one in zip(short, recordings, strict=True)
    ]
