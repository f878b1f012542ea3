"""The pictures a scene model is trained on, and how they are split.

What is in a folder is read by `edge.evaluation.scene.pictures`. A group (one house, one
drive) is never split between training and test.
"""

from __future__ import annotations

import numpy as np

from edge.evaluation.scene.pictures import CLASSES, PRIVATE, Picture, counts, gather, read

__all__ = ["CLASSES", "PRIVATE", "Picture", "counts", "folds", "gather", "read"]


def folds(pictures: list[Picture], count: int, seed: int) -> np.ndarray:
    """The fold of each picture; a group lies in one fold."""
    groups = sorted({p.group for p in pictures})
    order = np.random.default_rng(seed).permutation(len(groups))
    fold_of = {groups[i]: int(position % count) for position, i in enumerate(order)}
    return np.array([fold_of[p.group] for p in pictures])
