"""How good a scene model is: calibration, operating points, and figures with their counts.

Scores are probabilities, shape (pictures, 5), in the order of `CLASSES`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.evaluation.scene.calibration import reliability
from training.data import CLASSES, PRIVATE, Picture

__all__ = [
    "by_source",
    "judge",
    "operating_points",
    "reliability",
    "softmax",
    "temperature",
]

KEEP_PRIVATE = 0.955  # share of private interiors the operating point keeps; new places keep less
VETO_FALSE = 0.002  # share of interiors a confident veto may hit
VETO_FLOOR = 0.97  # below, people filling the picture are taken for the outdoors


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of least surprise (Guo et al. 2017, arXiv:1706.04599)."""
    rows = np.arange(len(labels))
    tried = np.geomspace(0.25, 5, 120)
    surprise = [-np.log(softmax(logits / t)[rows, labels] + 1e-12).mean() for t in tried]
    return float(tried[int(np.argmin(surprise))])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def operating_points(views: np.ndarray, frames: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Where an empty view is private (`views`), and where a veto of a frame is confident."""
    indoor = frames[labels <= 1]
    away = np.quantile(indoor[:, 2:].sum(axis=1), 1 - VETO_FALSE)
    kept = np.quantile(views[labels == PRIVATE, PRIVATE], 1 - KEEP_PRIVATE)
    return {
        "private": round(float(kept), 4),
        "veto": round(max(VETO_FLOOR, float(away)), 4),
    }


def judge(scores: np.ndarray, labels: np.ndarray, private: float) -> dict[str, object]:
    """Accuracy, and how many empty views of each class are taken for private interiors."""
    taken = scores[:, PRIVATE] >= private
    result: dict[str, object] = {"accuracy": round(float((scores.argmax(1) == labels).mean()), 4)}
    for label, name in enumerate(CLASSES):
        mine = labels == label
        if mine.any():
            result[f"{name}_scored_private"] = f"{int(taken[mine].sum())} of {int(mine.sum())}"
    return result


def by_source(
    scores: np.ndarray, labels: np.ndarray, pictures: Sequence[Picture], private: float
) -> dict[str, object]:
    """`judge` for each source by itself."""
    sources = np.array([p.source for p in pictures])
    return {
        source: judge(scores[sources == source], labels[sources == source], private)
        for source in sorted(set(sources))
    }
