"""The figures of the masked lane, from what its recordings showed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from edge.cameras.layout import Layout
from edge.clock import MS
from edge.evaluation.bounds import upper
from edge.evaluation.figures import Figure
from edge.evaluation.masked.run import SIZES, Found
from edge.masking import mask, polygons
from edge.masking.mask import Mask
from edge.masking.noise import BYTES, Noise
from edge.masking.people import Look, PeopleMasker, levels
from edge.view.box import Box

_COVERED = {24: 0.995, 12: 0.97}  # of the faces of this height and more, in pixels
_FLOWING = 0.99
_ROUNDS = 1_000
_LATER_MS = 0.2
_CORNER = ((0.0, 0.0), (0.3, 0.0), (0.3, 0.4), (0.0, 0.4))
_FACES = (80, 220, 360, 500)  # left edges of four people's faces, of 640 pixels


def figures(found: Sequence[Found], no_adversary: str) -> list[Figure]:
    """Every figure; one without trials does not hold."""
    rows = []
    for size in sorted(SIZES, reverse=True):
        faces = sum(one.faces[at] for one in found for at in SIZES if at >= size)
        missed = sum(one.missed[at] for one in found for at in SIZES if at >= size)
        least = _COVERED.get(size, 0.0)
        share = 1 - missed / faces if faces else 0.0
        name = f"faces of {size} px and more covered ({faces} faces, {len(found)} recordings)"
        target = f">= {least:.3f}" if least else "reported"
        rows.append(Figure(name, round(share, 4), target, "share", faces > 0 and share >= least))
        bound = f"at most {upper(missed, faces):.4f} missed at 95 %" if faces else "none seen"
        rows.append(Figure(f"... of {size} px, what that says", bound, "reported", "", faces > 0))
    due, flowed = sum(one.due for one in found), sum(one.flowed for one in found)
    share = flowed / due if due else 0.0
    name = f"frames flowing in the wild ({due} frames)"
    rows.append(Figure(name, round(share, 4), f">= {_FLOWING}", "share", share >= _FLOWING))
    grids = sum(one.grids for one in found) / flowed if flowed else 0.0
    rows.append(Figure("... of those a grid, on doubt", round(grids, 4), "reported", "share", True))
    return [*rows, *_recognised(found, no_adversary), *_costs()]


def _recognised(found: Sequence[Found], no_adversary: str) -> list[Figure]:
    if no_adversary:
        name = "masked faces that a recogniser knows again"
        return [Figure(name, f"not tried: {no_adversary}", "0", "faces", False)]
    known, again = sum(f.known for f in found), sum(f.masked_known for f in found)
    others, chance = sum(f.others for f in found), sum(f.masked_others for f in found)
    name = f"masked faces that a recogniser knows again, of {known} that it knew in the clear"
    alone = "... of those taken for nobody else, as they were in the clear"
    rest = f"masked faces taken for somebody else, of {others} pairs: what chance gives"
    return [
        Figure(name, again, "0", "faces", known > 0 and again == 0),
        Figure(alone, sum(f.masked_alone for f in found), "reported", "faces", True),
        Figure(rest, chance, "reported", "pairs", True),
    ]


def _costs() -> list[Figure]:
    rows = []
    for height, width in ((480, 640), (720, 1280)):
        for what, most, made in (("four people", 1.6, _people), ("a fixed mask", 1.1, _fixed)):
            ratio, later_ms = cost(made(height, width))
            name = f"copy through {what} vs plain copy, {width}x{height}"
            rows.append(Figure(name, round(ratio, 2), f"<= {most}", "times", ratio <= most))
            later = Figure(
                "... by which the gate's p99 moves",
                round(later_ms, 3),
                f"<= {_LATER_MS}",
                "ms",
                later_ms <= _LATER_MS,
            )
            rows.append(later)
    return rows


def cost(through: Mask) -> tuple[float, float]:
    """What the copy through this mask costs beside a plain one, the two by turns.

    Returns:
        How many times as long it takes, by the median, and how much longer its p99 is, in
        milliseconds. The copy is all of the gate's step that a mask changes.
    """
    cv2.setNumThreads(1)  # as in the gate
    shape = through.height, through.width, 3
    picture = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    place = np.zeros_like(picture)
    masked, plain = [], []
    for _ in range(_ROUNDS):  # turn about, so that both meet the same machine
        plain.append(_time(lambda: np.copyto(place, picture)))
        masked.append(_time(lambda: through.copy(picture, place, Layout.BGR)))
    later_ns = np.percentile(masked, 99) - np.percentile(plain, 99)
    return float(np.median(masked) / np.median(plain)), float(later_ns) / MS


def _time(work: Callable[[], object]) -> int:
    began_ns = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - began_ns


def _people(height: int, width: int) -> Mask:
    """Four people of a third of the picture's height, as after two looks."""
    scale = width / 640
    high = 0.1 * height
    boxes = tuple(
        Box(x * scale, 0.3 * height, x * scale + 0.8 * high, 0.3 * height + high, 0.9)
        for x in _FACES
    )
    masker = PeopleMasker(height, width)
    masker.look(Look(0, boxes, 0.0))
    shown = masker.look(Look(100_000_000, boxes, 0.0))
    assert shown is not None
    noise = Noise(bytes(range(256)) * (BYTES // 256 + 1), height, width)
    return Mask(height, width, levels(shown, height, width), noise)


def _fixed(height: int, width: int) -> Mask:
    return mask.nothing(height, width).over(polygons.levels([_CORNER], height, width))
