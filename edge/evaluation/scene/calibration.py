"""What a scene model's answers are worth on labelled pictures, source by source. Pure.

Scores are probabilities, shape (pictures, 5), in the order of `CLASSES`; labels are
indices into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.evaluation.scene.pictures import PRIVATE, PUBLIC

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]

OWN_PICTURES = 50  # private interiors from which a point of one's own is chosen
KEEP = 0.95  # share of them that it keeps
DRAWS = 20  # random choices of those pictures
_BINS = 10


@dataclass(frozen=True, slots=True)
class Count:
    """So many of so many."""

    hits: int
    of: int

    @property
    def share(self) -> float | None:
        """0 to 1; None of nothing."""
        return self.hits / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one source."""

    source: str
    kept: Count  # private interiors at or above the operating point
    taken: Count  # public interiors there
    strayed: Count  # outdoors and vehicles there
    vetoed: Count  # interiors that a single reading would veto
    off: float  # mean distance between confidence and accuracy, 0 to 1


@dataclass(frozen=True, slots=True)
class OwnPoint:
    """What an operating point chosen from some of one's own pictures does to the rest."""

    drawn: int  # private interiors that choose it
    points: tuple[float, float, float]  # 10 %, median and 90 % of the draws
    kept: tuple[float, float, float]  # shares of the private interiors not drawn
    taken: tuple[float, float, float] | None  # of the public ones; None without any
    shipped_kept: float
    shipped_taken: float | None


def row_of(
    source: str, views: Scores, frames: Scores, labels: Labels, private: float, veto: float
) -> Row:
    """Judge the pictures of one source.

    Args:
        source: its name.
        views: of each picture as an empty view.
        frames: of each picture as one reading at run time.
        labels: the class of each.
        private: from which an empty view is a private interior.
        veto: from which a reading is vetoed.
    """
    taken, away = views[:, PRIVATE] >= private, frames[:, PUBLIC + 1 :].sum(axis=1) >= veto

    def counted(hits: NDArray[np.bool_], where: NDArray[np.bool_]) -> Count:
        return Count(int(hits[where].sum()), int(where.sum()))

    return Row(
        source,
        counted(taken, labels == PRIVATE),
        counted(taken, labels == PUBLIC),
        counted(taken, labels > PUBLIC),
        counted(away, labels <= PUBLIC),
        expected_error(frames, labels),
    )


def reliability(scores: Scores, labels: Labels) -> list[list[float]]:
    """Confidence and accuracy in ten bins: mean confidence, accuracy, share of pictures."""
    sure, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    bins = np.clip((sure * _BINS).astype(int), 0, _BINS - 1)
    return [
        [round(float(v), 4) for v in (sure[b].mean(), right[b].mean(), b.mean())]
        for b in (bins == i for i in range(_BINS))
        if b.any()
    ]


def expected_error(scores: Scores, labels: Labels) -> float:
    """Expected calibration error over those bins (Naeini et al. 2015, AAAI); 0 is calibrated."""
    return sum(share * abs(sure - right) for sure, right, share in reliability(scores, labels))


def own_point(
    views: Scores, labels: Labels, private: float, *, drawn: int = OWN_PICTURES, seed: int = 1
) -> OwnPoint | None:
    """What a point chosen from `drawn` private interiors does to the others.

    None where fewer than half as many would be left to judge.
    """
    mine = np.flatnonzero(labels == PRIVATE)
    if len(mine) < drawn + drawn // 2:
        return None
    inside, public = views[mine, PRIVATE], views[labels == PUBLIC, PRIVATE]
    rng = np.random.default_rng(seed)
    points, kept, taken = [], [], []
    for _ in range(DRAWS):
        order = rng.permutation(len(mine))
        point = float(np.quantile(inside[order[:drawn]], 1 - KEEP))
        points.append(point)
        kept.append(float((inside[order[drawn:]] >= point).mean()))
        taken.append(float((public >= point).mean()) if len(public) else 0.0)
    return OwnPoint(
        drawn,
        _spread(points),
        _spread(kept),
        _spread(taken) if len(public) else None,
        float((inside >= private).mean()),
        float((public >= private).mean()) if len(public) else None,
    )


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return round(float(low), 4), round(float(middle), 4), round(float(high), 4)
