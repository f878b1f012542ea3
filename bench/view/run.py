"""How much another picture may hide of an enrolled view, or be mixed into it.

    python -m bench.view.run FOLDER
    python -m bench.view.run FOLDER --placards 300 --json

The folder is one of `framegate evaluate`. Views are its controlled recordings by a fixed
camera, enrolled from the first second: placards stand before those that a site may enrol,
mixtures are tried with the first five that can be enrolled at all. Foreign pictures are the
first frames of eight uncontrolled recordings, those by fixed cameras first.
`docs/threat-model.md` publishes what this prints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

from bench.view.fades import begins_to, goes_on_to
from bench.view.placards import Picture, begins, goes_on, placards
from edge.cameras.opencv import FileCamera
from edge.evaluation.manifest import Clip, Mount, read_manifest
from edge.evaluation.trials import ENROL_NS, decode, enrol_view
from edge.evidence.faces import FaceBoxes
from edge.models.pull import asset
from edge.view.bodies import Bodies
from edge.view.exact.order import median
from edge.view.fingerprint import Fingerprint

PLACARDS, FOREIGN, MIXED_VIEWS = 2_445, 8, 5
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One view and the picture that placards stand before."""

    name: str
    fingerprint: Fingerprint
    picture: Picture
    site: bool  # a site may enrol it


@dataclass(frozen=True, slots=True)
class Placarded:
    """How many placards one view did not notice, and the largest of them."""

    view: str
    tried: int
    goes_on: int
    largest: float  # share of the picture; 0 if none
    begins: int
    unlimited: int  # that would go on without the limit for what hides the picture
    unlimited_largest: float


@dataclass(frozen=True, slots=True)
class Mixed:
    """How far mixtures get, over every view and foreign picture."""

    tried: int
    begins_median: float
    begins_most: float
    goes_on_median: float
    goes_on_most: float
    half: int  # mixtures that leave a permit at a share of one half


def placarded(one: Enrolled, others: Sequence[Picture], count: int, seed: int) -> Placarded:
    """Every placard before one view, with the limit for the picture and without it."""
    tried = list(placards(one.picture, others, count, seed))
    given = (one.fingerprint, one.picture)
    with patch("edge.view.check.MAX_HIDDEN", 1.0):
        loose = [placard for placard in tried if goes_on(*given, placard)]
    held = [placard for placard in loose if goes_on(*given, placard)]
    return Placarded(
        one.name,
        count,
        len(held),
        round(max((placard.share for placard in held), default=0.0), 2),
        sum(begins(*given, placard) for placard in tried),
        len(loose),
        round(max((placard.share for placard in loose), default=0.0), 2),
    )


def mixed(views: Sequence[Enrolled], others: Sequence[Picture]) -> Mixed:
    """Every foreign picture mixed into every view."""
    pairs = [(one, other) for one in views for other in others]
    first = [begins_to(one.fingerprint, one.picture, other) for one, other in pairs]
    on = [goes_on_to(one.fingerprint, one.picture, other) for one, other in pairs]
    half = sum(share >= _HALF for share in on)
    return Mixed(len(pairs), median(first), max(first), median(on), max(on), half)


def enrolled(clips: Sequence[Clip]) -> list[Enrolled]:
    """The controlled recordings by a fixed camera that can be enrolled, one a place."""
    faces, bodies = FaceBoxes(asset("centerface.onnx")), Bodies()
    found: dict[str, Enrolled] = {}
    for clip in clips:
        if clip.controlled and clip.mount is Mount.STATIONARY and clip.place not in found:
            footage = decode(clip, faces, until_ns=ENROL_NS)
            view = enrol_view(footage, bodies)
            if view.fingerprint is not None:
                picture, site = footage.shots[0].frame, not view.refusal
                found[clip.place] = Enrolled(clip.name, view.fingerprint, picture, site)
    return list(found.values())


def foreign(clips: Sequence[Clip]) -> list[Picture]:
    """The first frames of eight recordings of uncontrolled places, by fixed cameras first."""
    away = sorted(
        (clip for clip in clips if not clip.controlled),
        key=lambda clip: clip.mount is not Mount.STATIONARY,
    )
    pictures = []
    for clip in away[:FOREIGN]:
        camera = FileCamera(clip.path)
        pictures.append(next(camera.shots()).frame)
        camera.close()
    return pictures


def main() -> int:
    """Try everything and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.view.run", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--placards", type=int, default=PLACARDS, help="before each view")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    clips = read_manifest(args.folder)
    views, others = enrolled(clips), foreign(clips)
    sites = [one for one in views if one.site]
    if not sites or not others:
        parser.error("expected a view that a site may enrol and recordings of other places")
    hidden = [placarded(one, others, args.placards, args.seed) for one in sites]
    faded = mixed(views[:MIXED_VIEWS], others)
    if args.json:
        print(json.dumps({"placards": [asdict(row) for row in hidden], "mixed": asdict(faded)}))
        return 0
    for row in hidden:
        print(
            f"{row.view}: of {row.tried} placards {row.goes_on} went on, the largest "
            f"{row.largest:.2f} of the picture; {row.begins} could begin; without the limit for "
            f"the picture {row.unlimited}, up to {row.unlimited_largest:.2f}"
        )
    print(
        f"of {faded.tried} mixtures a permit can begin with {faded.begins_median:.2f} in the "
        f"median and {faded.begins_most:.2f} at most; it goes on with {faded.goes_on_median:.2f} "
        f"and {faded.goes_on_most:.2f}; {faded.half} keep it at one half"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
