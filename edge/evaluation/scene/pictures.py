"""Labelled pictures of places: files, classes, and which source each comes from.

A folder holds one folder a class (or `images/` with them). The *source* is the
collection or the site: the folder below the class, or else the part of the file name
before its first underscore. Pictures of one house or one drive share a *group*. A
`MANIFEST.csv` with columns `file` and `source`, if present, gives the original names,
from which groups are read. Training and evaluation read the same folders.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from edge import files
from edge.errors import RecordError
from edge.evidence.scene import Scene

CLASSES = tuple(scene.value for scene in Scene)
PRIVATE, PUBLIC = 0, 1
MIN_SIDE_PX = 32
MOST_BYTES = 1 << 28  # of a picture file, or of a manifest
OWN = "own"  # source of pictures whose name and folder give none
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One labelled picture."""

    path: Path
    label: int  # index into CLASSES
    source: str
    group: str


def gather(data: Path) -> list[Picture]:
    """Every picture file below the class folders, in order of name.

    Raises:
        RecordError: the manifest cannot be read.
    """
    root = data / "images" if (data / "images").is_dir() else data
    origins = _origins(data / "MANIFEST.csv")
    found = []
    for label, name in enumerate(CLASSES):
        for path in sorted((root / name).rglob("*")):
            if path.suffix.lower() in _SUFFIXES and path.is_file():
                below = path.relative_to(root / name).parts
                source = below[0] if len(below) > 1 else path.name.partition("_")[0]
                if path.name == source:  # neither says where it comes from
                    source = OWN
                origin = origins.get(path.relative_to(data).as_posix(), path.name)
                found.append(Picture(path, label, source, _group(source, origin)))
    return found


def read(picture: Picture) -> np.ndarray | None:
    """The pixels, or None if the file cannot be used."""
    try:
        data = np.frombuffer(files.read_named(picture.path, MOST_BYTES), np.uint8)
    except OSError:
        return None
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if pixels is None or min(pixels.shape[:2]) < MIN_SIDE_PX:
        return None
    return pixels


def counts(pictures: Sequence[Picture]) -> Iterator[str]:
    """One line a class: pictures and sources."""
    for label, name in enumerate(CLASSES):
        mine = [p for p in pictures if p.label == label]
        sources = {s: sum(p.source == s for p in mine) for s in sorted({p.source for p in mine})}
        yield f"{name}: {len(mine)} " + ", ".join(f"{s} {n}" for s, n in sources.items())


def _origins(manifest: Path) -> dict[str, str]:
    if not manifest.is_file():
        return {}
    try:
        text = files.read_named(manifest, MOST_BYTES).decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise RecordError(f"{manifest}: expected a readable manifest: {err}") from err
    origins = {row.get("file") or "": (row.get("source") or "").partition(":")[2] for row in rows}
    return {file: origin for file, origin in origins.items() if origin}


def _group(source: str, origin: str) -> str:
    """House or drive: the first part of the original name, if it has a digit in it."""
    stem = PurePosixPath(origin).stem
    first = stem.partition("_")[0]
    if first != stem and any(c.isdigit() for c in first):
        return f"{source}/{first}"
    return f"{source}/{PurePosixPath(origin).parent.name}/{stem}"
