"""A folder of recordings and what its `MANIFEST.csv` says of each.

Needed columns: `file`, `kind`, `camera` (mobile or stationary) and `setting`
(controlled or uncontrolled); `source` (collection:path) tells which recordings
are takes of one place, `scene` (indoor, outdoor or vehicle) what a model of places
should say, and `true_causes` what rightly blocks a controlled recording (reason codes
between semicolons: `PEOPLE_CROWD` where two people are there).
Only rows of kind `video` are used here.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

from edge.errors import RecordError, meaning
from edge.files import read_named
from edge.reasons import Reason

_MAX_BYTES = 1 << 24
_NEEDED = ("file", "kind", "camera", "setting")
_SCENES = ("indoor", "outdoor", "vehicle")


class Mount(Enum):
    """How the camera of a recording was held."""

    MOBILE = "mobile"
    STATIONARY = "stationary"


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording."""

    path: Path
    name: str
    controlled: bool
    mount: Mount
    place: str  # recordings of one place share it
    outside: bool | None = None  # outdoors or in a vehicle; None where the manifest is silent
    true_causes: frozenset[Reason] = frozenset()  # what rightly blocks it


def read_manifest(folder: Path) -> list[Clip]:
    """The recordings in `folder`, in the manifest's order.

    Raises:
        RecordError: no manifest, a missing column, an unknown word, or no recording.
    """
    path = folder / "MANIFEST.csv"
    try:
        text = read_named(path, _MAX_BYTES).decode()
        reader = csv.DictReader(io.StringIO(text, newline=""))
        columns = reader.fieldnames or []
        missing = [name for name in _NEEDED if name not in columns]
        if missing:
            raise RecordError(f"{path}: expected the columns {', '.join(missing)}")
        clips = [_clip(folder, row) for row in reader if row["kind"] == "video"]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise RecordError(f"{path}: expected a readable manifest: {err}") from err
    if not clips:
        raise RecordError(f"{path}: expected at least one row of kind video")
    return clips


def _clip(folder: Path, row: dict[str, str]) -> Clip:
    file, setting = row["file"], row["setting"]
    if setting not in ("controlled", "uncontrolled"):
        raise RecordError(f"{file}: setting {setting!r}, expected controlled or uncontrolled")
    odd = f"{file}: camera {row['camera']!r}, expected mobile or stationary"
    with meaning(odd, ValueError, as_=RecordError):
        mount = Mount(row["camera"])
    collection, _, origin = (row.get("source") or "").partition(":")
    parent = PurePosixPath(origin).parent.as_posix()
    controlled = setting == "controlled"
    # takes of one place lie in one folder of their collection; a collection's top is no place
    together = controlled and origin and parent != "."
    place = f"{collection}:{parent}" if together else file
    scene = row.get("scene") or ""
    outside = scene in ("outdoor", "vehicle") if scene in _SCENES else None
    name, causes = PurePosixPath(file).stem, _true_causes(file, row.get("true_causes") or "")
    return Clip(folder / file, name, controlled, mount, place, outside, causes)


def _true_causes(file: str, text: str) -> frozenset[Reason]:
    codes = [code.strip() for code in text.split(";") if code.strip()]
    for code in codes:
        if code not in Reason.__members__:
            raise RecordError(f"{file}: true_causes {code!r}, expected codes such as PEOPLE_CROWD")
    return frozenset(Reason[code] for code in codes)
