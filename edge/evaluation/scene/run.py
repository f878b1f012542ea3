"""Ask the scene model about pictures, and say what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from edge.evaluation.scene.calibration import (
    KEEP,
    Labels,
    OwnPoint,
    Row,
    Scores,
    own_point,
    reliability,
    row_of,
)
from edge.evaluation.scene.pictures import Picture, read
from edge.evidence.scene import SceneModel

_EVERY = 100  # pictures between two lines of progress
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Judged:
    """The figures of a folder, by source and together."""

    rows: tuple[Row, ...]  # the last is of all pictures
    points: dict[str, OwnPoint]  # of the sources with enough private interiors
    reliability: list[list[float]]  # confidence, accuracy, share
    private: float  # operating points of the model
    veto: float
    sha256: str
    skipped: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def evaluate(
    pictures: Sequence[Picture], model: SceneModel, tell: Callable[[str], None]
) -> Judged | None:
    """Judge every picture as an empty view and as one reading; None if there is none.

    Raises:
        ModelError: the model failed.
    """
    views, frames, labels, sources, skipped = [], [], [], [], []
    began = time.monotonic()
    for number, picture in enumerate(pictures, 1):
        pixels = read(picture)
        if pixels is None:
            skipped.append(f"{picture.path}: unreadable, or smaller than a model can judge")
            continue
        each = model.looks_at(pixels)
        views.append(each.mean(axis=0))
        frames.append(each[0])
        labels.append(picture.label)
        sources.append(picture.source)
        if number % _EVERY == 0:
            left_s = (time.monotonic() - began) / number * (len(pictures) - number)
            tell(f"{number} of {len(pictures)} pictures, {left_s:.0f} s left")
    if not labels:
        return None
    return _judged(np.array(views), np.array(frames), np.array(labels), sources, model, skipped)


def _judged(
    views: Scores,
    frames: Scores,
    labels: Labels,
    sources: list[str],
    model: SceneModel,
    skipped: list[str],
) -> Judged:
    limits = model.points
    rows, points = [], {}
    names = sorted(set(sources))
    for name in [*names, _ALL] if len(names) > 1 else names:
        mine = np.array([name in (_ALL, source) for source in sources])
        rows.append(
            row_of(name, views[mine], frames[mine], labels[mine], limits.private, limits.veto)
        )
        own = own_point(views[mine], labels[mine], limits.private)
        if own is not None and name != _ALL:
            points[name] = own
    return Judged(
        tuple(rows),
        points,
        reliability(frames, labels),
        limits.private,
        limits.veto,
        model.sha256,
        tuple(skipped),
    )


def lines(found: Judged) -> Iterator[str]:
    """The figures for the terminal."""
    yield f"scene model {found.sha256[:12]}, private from {found.private}, veto from {found.veto}"
    yield ""
    heads = ("source", "private kept", "public taken", "others taken", "interiors vetoed")
    yield "  ".join(
        (f"{heads[0]:<14}", *(f"{head:>18}" for head in heads[1:]), "calibration error")
    )
    for row in found.rows:
        cells = (row.kept, row.taken, row.strayed, row.vetoed)
        shown = ("-" if c.share is None else f"{c.hits} of {c.of} {c.share:4.0%}" for c in cells)
        yield "  ".join((f"{row.source:<14}", *(f"{one:>18}" for one in shown), f"{row.off:17.3f}"))
    for name, own in found.points.items():
        yield ""
        yield from _own_lines(name, own, found.private)
    yield ""
    yield "confidence   accuracy   share of the pictures"
    for sure, right, share in found.reliability:
        yield f"{sure:10.2f} {right:10.2f} {share:10.1%}"
    yield ""
    yield (
        "A point of your own is no setting: the model is made with it. "
        "`python -m training.train` makes one from your pictures."
    )


def _own_lines(name: str, own: OwnPoint, private: float) -> Iterator[str]:
    yield (
        f"{name}: what {own.drawn} pictures of one's own move "
        f"(a point that keeps {KEEP:.0%} of them, judged on the others)"
    )
    yield f"  {'':<12}{'point':>18}{'private kept':>20}{'public taken':>20}"
    shipped = "-" if own.shipped_taken is None else f"{own.shipped_taken:.0%}"
    yield f"  {'as it is':<12}{private:>18.2f}{own.shipped_kept:>20.0%}{shipped:>20}"
    low, middle, high = own.points
    kept = "{1:.0%} ({0:.0%}-{2:.0%})".format(*own.kept)
    taken = "-" if own.taken is None else "{1:.0%} ({0:.0%}-{2:.0%})".format(*own.taken)
    yield f"  {'its own':<12}{f'{middle:.2f} ({low:.2f}-{high:.2f})':>18}{kept:>20}{taken:>20}"
