"""Freshness: does the picture keep the small changes that every live sensor makes?

The slow loop asks this of its evidence frames; the frame path pays nothing. Three
questions, each tolerant of what an attacker may lay over a still: other light, a
shift below a pixel or now and then by one, another compression, a moving overlay.

- *Same blocks.* Two readings are compared block by block after the change of light
  and the small shift that explain most of the picture are taken out. A live sensor
  leaves noise in every block; a recording that was compressed leaves some in most
  blocks within seconds. A still leaves none, but where something was laid over it.
- *A face that stands still.* Noise can be added to a still. A living face moves by
  itself within a second; a face in a still moves only as its background does.
- *Repetition* (`edge.evidence.repetition`): movement that was seen before.

Not recognised: a still with strong noise and an overlay, and nobody in it.
Times are nanoseconds of CLOCK_BOOTTIME; grey levels are those of the green channel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.clock import MS, S
from edge.evidence.repetition import Repetition
from edge.evidence.residual import Levels, explained, gradients
from edge.reasons import Reason, worst_first
from edge.view.box import Box
from edge.view.exact.area import shrunk
from edge.view.exact.order import median, quantile

COLUMNS, ROWS, BLOCK_PX = 16, 12, 8  # blocks of samples; a sample is one pixel, never a mean
WINDOW_NS = 3 * S
WHOLE_NS = WINDOW_NS - 300 * MS  # a shorter span says nothing
MIN_READINGS = 12  # in a window
SAME_LEVELS = 0.1  # mean residual of a block; raw sensors leave 1 and more
LIGHT_LEVELS = 0.25  # that rounding adds where a change of light or a shift was taken out
EXPLAINED_LEVELS = 0.2  # of such a change, from which rounding adds all of it
EXPLAINED_SHARE = 0.15  # of what was explained may stay, for no shift is explained wholly
FRESH_READINGS = 1 / 6  # of a window, in which a block differs: more than a key frame a second
MIN_FRESH = 0.33  # of the blocks. 20 fixed recordings keep 0.40 and more; a still with an overlay
# over 29 % of the picture has 0.30, also compressed, with breathing light or nudged each second
GREY_LEVELS = (16.0, 240.0)  # darker and brighter blocks are clipped and carry no noise
MIN_BLOCKS = 24  # that can be judged

LOW_PX = (64, 48)  # the picture in which faces are followed; each pixel a mean
LOOK_NS = 200 * MS  # between two looks at movement
LAG_NS = 1 * S
_REFERENCE_WIDTH = 320  # wider pictures are thinned before they are averaged
STILL_LEVELS = 2.0  # of the tenth of a face that moves most, in the middle reading of a window
STILL_SHARE = 3.0  # of the middle change anywhere: of noise, a tenth changes by 2.4 times that
# 17 recordings with a face keep 6.4 and more; stills with light, noise, shifts reach 1.7


class Freshness:
    """Reads the evidence frames of one camera, one after the other."""

    def __init__(self) -> None:
        self._looked_ns: int | None = None
        self._moves: list[Reason] = []  # what the last look at movement found
        self._begin(())

    def read(self, frame: np.ndarray, captured_ns: int, boxes: Sequence[Box]) -> tuple[Reason, ...]:
        """Why these pictures are not those of a live camera; empty if nothing says so.

        Args:
            frame: BGR uint8, at least 64x48; frames come in order.
            captured_ns: when it was captured.
            boxes: faces of about this moment, in pixels of the frame.
        """
        if frame.shape != self._shape:
            self._begin(frame.shape)
        green = np.asarray(cv2.extractChannel(frame, 1), np.uint8)
        frozen = self._blocks.same(green, captured_ns)
        if self._looked_ns is None or captured_ns - self._looked_ns >= LOOK_NS * 0.9:
            self._looked_ns = captured_ns
            self._moves = self._movement(green, captured_ns, boxes)
        return worst_first([*self._moves, *([Reason.CAM_FROZEN] if frozen else [])])

    def _begin(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._blocks, self._face, self._repetition = _SameBlocks(), _StillFace(), Repetition()
        self._looked_ns, self._moves = None, []

    def _movement(
        self, green: NDArray[np.uint8], captured_ns: int, boxes: Sequence[Box]
    ) -> list[Reason]:
        every = max(1, green.shape[1] // _REFERENCE_WIDTH)
        picture = np.asarray(shrunk(green[::every, ::every], LOW_PX), np.float32)
        reasons = []
        if self._face.still(picture, captured_ns, boxes, self._shape):
            reasons.append(Reason.LIVENESS_UNCERTAIN)
        if self._repetition.seen_before(picture, captured_ns):
            reasons.append(Reason.CAM_LOOP)
        return reasons


class _SameBlocks:
    """Whether most blocks have stood still for a window."""

    def __init__(self) -> None:
        self._last: tuple[Levels, Levels, Levels] | None = None
        self._past: deque[tuple[int, NDArray[np.bool_], NDArray[np.bool_]]] = deque()

    def same(self, green: np.ndarray, captured_ns: int) -> bool:
        now = _samples(green)
        last, self._last = self._last, now
        if last is None:
            return False
        residual, fit = explained(last[0], now[0], last[1], last[2])
        change, light = _by_block(np.abs(residual)), _by_block(np.abs(fit))
        rounding = LIGHT_LEVELS * np.minimum(1.0, light / EXPLAINED_LEVELS)
        fresh = change - rounding - EXPLAINED_SHARE * light > SAME_LEVELS
        level = _by_block(now[0])
        self._past.append((captured_ns, fresh, (level > GREY_LEVELS[0]) & (level < GREY_LEVELS[1])))
        while self._past[0][0] < captured_ns - WINDOW_NS:
            self._past.popleft()
        if captured_ns - self._past[0][0] < WHOLE_NS or len(self._past) < MIN_READINGS:
            return False
        judged = np.logical_and.reduce([clear for _, _, clear in self._past])
        if int(judged.sum()) < MIN_BLOCKS:
            return False
        often = np.mean([fresh for _, fresh, _ in self._past], axis=0) >= FRESH_READINGS
        return float(often[judged].mean()) < MIN_FRESH


class _StillFace:
    """Whether every face in view has moved only as its background did, for a window."""

    def __init__(self) -> None:
        self._pictures: deque[tuple[int, Levels]] = deque()
        self._moved: deque[tuple[int, float]] = deque()  # when, of what shows life

    def still(
        self, picture: Levels, captured_ns: int, boxes: Sequence[Box], shape: tuple[int, ...]
    ) -> bool:
        self._pictures.append((captured_ns, picture))
        while len(self._pictures) > 1 and self._pictures[1][0] <= captured_ns - LAG_NS:
            self._pictures.popleft()
        then_ns, before = self._pictures[0]
        if not boxes:
            self._moved.clear()
            return False
        if captured_ns - then_ns < LAG_NS:
            return False
        residual, _ = explained(before, picture, *gradients(before))
        change = np.abs(residual)
        limit = max(STILL_LEVELS, STILL_SHARE * median(change))
        self._moved.append((captured_ns, _most(change, boxes, shape) / limit))
        while self._moved[0][0] < captured_ns - WINDOW_NS:
            self._moved.popleft()
        whole = captured_ns - self._moved[0][0] >= WHOLE_NS and len(self._moved) >= MIN_READINGS
        return whole and median([moved for _, moved in self._moved]) < 1.0


def _most(residual: Levels, boxes: Sequence[Box], shape: tuple[int, ...]) -> float:
    """What the tenth of a face that moves most moves by; of the liveliest face."""
    x, y = LOW_PX[0] / shape[1], LOW_PX[1] / shape[0]
    found = [0.0]
    for box in boxes:
        left, right = max(0, int(box.left * x)), int(np.ceil(box.right * x))
        top, bottom = max(0, int(box.top * y)), int(np.ceil(box.bottom * y))
        face = residual[top:bottom, left:right]
        if face.size:
            found.append(quantile(face, 0.9))
    return max(found)


def _samples(green: np.ndarray) -> tuple[Levels, Levels, Levels]:
    """Every n-th pixel, and the picture's gradients there, across and down."""
    rows, columns = (
        _every(green.shape[0], ROWS * BLOCK_PX),
        _every(green.shape[1], COLUMNS * BLOCK_PX),
    )

    def at(down: int, across: int) -> Levels:
        picked = green[rows + down][:, columns + across]
        return picked.astype(np.float32)

    half = np.float32(0.5)
    return at(0, 0), (at(0, 1) - at(0, -1)) * half, (at(1, 0) - at(-1, 0)) * half


@lru_cache(8)  # both sides of a picture, for each reading
def _every(length: int, count: int) -> NDArray[np.intp]:
    """`count` places of `length`, evenly spread, none at the edge; repeated where too few."""
    return np.linspace(1, length - 2, count).astype(np.intp)


def _by_block(samples: Levels) -> NDArray[np.float64]:
    split = samples.reshape(ROWS, BLOCK_PX, COLUMNS, BLOCK_PX)
    return np.asarray(split.mean(axis=(1, 3)), np.float64)
