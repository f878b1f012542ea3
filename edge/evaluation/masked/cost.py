"""What the copy through a mask costs beside a plain one, in memory as the gate's.

A fixed mask is as dear as it is awkward: a band across the picture is cheaper than nothing, a small
place in the middle saves nothing and cuts rows. So the figure with a goal is the dearest of
several rectangles, and what is more than one rectangle is reported beside it.
"""

from __future__ import annotations

import math
import mmap
import time
from collections.abc import Callable, Mapping

import cv2
import numpy as np

from edge.cameras.layout import Layout
from edge.clock import MS
from edge.evaluation.report.figure import Figure, Question, at_most, reported
from edge.frames.output_format import OutputFormat
from edge.frames.shaper import Shaper
from edge.masking import mask, polygons
from edge.masking.mask import Mask
from edge.masking.noise import BYTES, Noise
from edge.masking.people import Look, PeopleMasker, levels
from edge.masking.polygons import Polygon
from edge.view.box import Box
from framegate_client.ring import HEADER_BYTES

SIZES = ((480, 640), (720, 1280))  # rows, columns
_PEOPLE_MOST, _FIXED_MOST = 1.6, 1.1  # times a plain copy
_LATER_MS = 0.2
_ROUNDS = 600  # of a series; a third of it where nothing is asked
_SERIES = 5
_FACES = (80, 220, 360, 500)  # left edges of four people's faces, of 640 pixels


def _box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


_ONE = {
    "in a corner": (_box(0.0, 0.0, 0.3, 0.4),),
    "in the middle": (_box(0.35, 0.3, 0.65, 0.7),),
    "all along a side": (_box(0.8, 0.0, 1.0, 1.0),),
    "small, in the middle": (_box(0.45, 0.55, 0.52, 0.65),),
}
_MORE = {
    "three rectangles": (
        _box(0.05, 0.1, 0.2, 0.4),
        _box(0.4, 0.2, 0.55, 0.5),
        _box(0.75, 0.05, 0.95, 0.35),
    ),
    "a slanting edge": (((0.6, 0.0), (1.0, 0.0), (1.0, 0.8)),),
}
_WHOLE = OutputFormat()
_FORMS = {
    "grey": (OutputFormat(grey=True), Layout.BGR),
    "cropped": (OutputFormat(crop=(0.1, 0.1, 0.9, 0.9)), Layout.BGR),
    "from NV12": (_WHOLE, Layout.NV12),
    "from I420": (_WHOLE, Layout.I420),
}


def costs() -> list[Figure]:
    """What masks cost at both sizes."""
    cv2.setNumThreads(1)  # as in the gate
    return [row for height, width in SIZES for row in _at(height, width)]


def _at(height: int, width: int) -> list[Figure]:
    at = f", {width}x{height}"
    fixed = [_fixed(one, height, width) for one in _ONE.values()]
    return [
        *_asked(f"four people{at}", _PEOPLE_MOST, {"": cost(_people(height, width))}),
        *_asked(f"a fixed mask{at}", _FIXED_MOST, dict(zip(_ONE, map(cost, fixed), strict=True))),
        *(_reported(f"{name}{at}", _fixed(drawn, height, width)) for name, drawn in _MORE.items()),
        *(
            _reported(f"a fixed mask in a corner, {name}{at}", fixed[0], form, layout)
            for name, (form, layout) in _FORMS.items()
        ),
    ]


def _asked(through: str, most: float, found: Mapping[str, tuple[float, float]]) -> list[Figure]:
    """The dearest of some masks, by name, as two figures with a goal."""
    dearest = max(found, key=lambda name: found[name][0])
    ratio, later_ms = found[dearest][0], max(later_ms for _, later_ms in found.values())
    note = f"the dearest of {len(found)}: {dearest}" if dearest else ""
    name = f"time of a copy through {through}, beside a plain copy"
    late = f"time that the slowest copies (p99) through {through} take longer"
    return [
        at_most(Question.COPY, name, round(ratio, 2), most, "times", note=note),
        at_most(Question.COPY, late, later_ms, _LATER_MS, "ms", digits=3),
    ]


def _reported(
    what: str, through: Mask, form: OutputFormat = _WHOLE, layout: Layout = Layout.BGR
) -> Figure:
    ratio, _ = cost(through, form, layout, _ROUNDS // 3)
    name = f"time of a copy through {what}, beside a plain copy"
    return reported(Question.COPY, name, round(ratio, 2), "times")


def cost(
    through: Mask,
    form: OutputFormat = _WHOLE,
    layout: Layout = Layout.BGR,
    rounds: int | None = None,
) -> tuple[float, float]:
    """What the copy through this mask costs beside a plain one of the same form, by turns.

    Returns:
        How many times as long it takes, by the median, and how much longer its p99 is, in
        milliseconds; both of the middle one of some series, each in memory of its own. The
        copy is all of the gate's step that a mask changes.
    """
    rounds = rounds or _ROUNDS
    found = [_series(through, form, layout, rounds) for _ in range(_SERIES)]
    ratios, later = zip(*found, strict=True)
    return float(np.median(ratios)), float(np.median(later))


def _series(through: Mask, form: OutputFormat, layout: Layout, rounds: int) -> tuple[float, float]:
    """From one place to one other, again and again: both are warm."""
    shape = layout.shape(through.height, through.width)
    plain, masked = (Shaper(form, layout, through.height, through.width) for _ in range(2))
    picture, place = _shared(shape, 0), _shared(plain.shape, 2 * HEADER_BYTES)
    picture[...] = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    nothing = mask.nothing(through.height, through.width)
    with_ns, without_ns = [], []
    for _ in range(rounds):  # turn about, so that both meet the same machine
        without_ns.append(_time(lambda: plain.write(picture, place, nothing)))
        with_ns.append(_time(lambda: masked.write(picture, place, through)))
    later_ns = np.percentile(with_ns, 99) - np.percentile(without_ns, 99)
    return float(np.median(with_ns) / np.median(without_ns)), float(later_ns) / MS


def _shared(shape: tuple[int, ...], offset: int) -> np.ndarray:
    """Zeros as a capture pool (offset 0) or a release ring begins: a heap lies at odd places."""
    found: np.ndarray = np.ndarray(
        shape, np.uint8, mmap.mmap(-1, offset + math.prod(shape)), offset
    )
    return found


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


def _fixed(drawn: tuple[Polygon, ...], height: int, width: int) -> Mask:
    return mask.nothing(height, width).over(polygons.levels(drawn, height, width))
