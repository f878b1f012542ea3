"""The files fetched from public wheels: demo clips and the face detector, with their digests.

They stand in `catalogue.json`. A wheel is only a container here: it is downloaded
without its dependencies, its digest is checked before it is read, single members are
taken out, and it is never installed or imported, so that one made for another machine
will do. Every digest is SHA-256 in hex. `licence` is what the wheel declares; footage in
it may carry terms of its own, which is why clips are fetched for the demo and never shipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edge.wire import from_json


class Kind(Enum):
    """What an asset is for; the value is what `framegate models list --json` prints."""

    CLIP = "clip"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file inside a wheel, known by its own name."""

    member: str  # path inside the wheel
    sha256: str
    size_bytes: int
    kind: Kind
    shows: str

    @property
    def name(self) -> str:
        return self.member.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel of the package index and the members wanted from it."""

    project: str
    version: str
    sha256: str
    licence: str
    assets: tuple[Asset, ...]
    platform: str = ""  # of the wheel that is read, on whatever machine; empty: any

    @property
    def requirement(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """`catalogue.json`."""

    wheels: tuple[Wheel, ...]


WHEELS = from_json(
    _Catalogue, Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8")
).wheels
ASSETS = {asset.name: asset for wheel in WHEELS for asset in wheel.assets}
