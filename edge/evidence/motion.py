"""Visual ego-motion: does the camera move?

Corners of the background are followed from one reading to the next and from a
reading about a second ago to now (a slow carry shows only there). A person before
a fixed camera moves some corners; a moving camera moves them all. So the picture
is cut into cells, silhouettes are left out, and the answer is the motion of the
median cell. Lengths are shares of the picture's width. Where enough corners are seen to
rest at once, by how little their surroundings change, none is followed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.clock import MS, S
from edge.evidence.residual import drift
from edge.reasons import Reason
from edge.view.box import Box
from edge.view.exact.area import shrunk
from edge.view.exact.order import median, quantile
from edge.view.silhouette import silhouettes

WIDTH_PX = 320  # the picture is followed at this width
CELLS = (8, 6)  # across and down; one corner each
MIN_CELLS = 8  # followed cells, fewer say nothing
STEP_LIMIT = 0.008  # widths between two readings: 2.6 px of 320
CARRY_LIMIT = 0.012  # widths over about a second
SURELY = 3.0  # times the limit; less must be seen in two readings, for things get moved about
CARRY_NS = 1 * S
MAX_STEP_NS = 400 * MS  # readings further apart are not compared as one step
TREMOR_LIMIT = 0.001  # widths a reading, in the middle reading of a second: what the stillest
# fifth of the cells moves by. Twelve recordings of controlled rooms reach 0.0003, 0.0005 with noise
# and darkness added; a kiosk whose visitor leaves eight cells to follow reaches 0.0008. Held by
# hand, four recordings keep 0.0012 and more; a fifth, carried slowly through a bedroom, sinks to
# 0.0005, and 5 of its 171 seconds are missed. A limit low enough for it would close that kiosk
TREMOR_SHARE = 0.2
STILL_SHARE = 0.45  # cells at rest that show the camera is, whatever moves before it
STILL = 0.0025  # widths
MIN_CORNER = 2e-4  # least eigenvalue of a corner worth following, of 1
APART_PX = 8.0  # of 320: what lies closer is one corner at the border of two cells. A person who
# fills the picture leaves a few edges, and each counted for up to four cells; where compression
# blurred them they slid along themselves together, and the camera seemed to move
FARTHEST = 0.03  # widths that a camera may have moved between two pictures that both show the
# enrolled view where it was enrolled: 8 px of 640 already turn two fifths of its signs, 19 px are
# this. Somebody who fills the picture moves what is left to follow by more, as one
NO_REST = 0.1  # fewer cells at rest: all moves, if not as one (things near and far)
COHERENT = 0.5  # cells that one shift, roll and zoom explains, or it is not the camera
COHERENT_PX = 1.5
REST_STEP, REST_CARRIED = TREMOR_LIMIT / 2, STILL / 2  # widths that a corner at rest may drift:
# half of what could mean a movement, of one reading and of a second
SURELY_PX, LIKELY_PX, LIKELY_SHARE = 0.4, 1.0, 0.75  # it changes by no more than such a shift would
# change it: half of `STILL`, or a pixel (320) where most corners rest. Of 3,950 readings of 39
# recordings none says otherwise than following; a pixel for `STILL_SHARE` of the corners missed 6
_TREMOR_READINGS = 6  # in a second, fewer say nothing
_BACK_AND_FORTH = 1.0  # pixels a corner may miss by when followed back
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.03)
Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MotionReading:
    """How the picture as a whole moved up to `captured_ns`."""

    captured_ns: int
    step: float  # widths since the last reading
    speed: float  # widths per second, from that step
    carried: float  # widths since about a second ago
    cells: int  # cells that could be followed
    valid: bool  # enough of them to say
    reasons: tuple[Reason, ...]  # CAM_MOVING, or none


@dataclass(frozen=True, slots=True)
class _Picture:
    captured_ns: int
    grey: NDArray[np.uint8]
    corners: Points  # (n, 1, 2), one a cell, away from people
    known: bool  # it shows the enrolled view in its place


class EgoMotion:
    """Follows the background of one camera."""

    def __init__(self) -> None:
        self._past: deque[_Picture] = deque()
        self._suspected = False  # the last reading seemed to move
        self._tremor: deque[tuple[int, float]] = deque()  # of the readings of a second

    def read(
        self, frame: np.ndarray, captured_ns: int, boxes: Sequence[Box], *, known: bool = False
    ) -> MotionReading:
        """Compare a BGR frame with the reading before it and the one a second ago.

        `known` says that the check of the view finds the enrolled one in this frame.
        """
        now = _picture(frame, captured_ns, boxes, known)
        while len(self._past) > 1 and self._past[1].captured_ns <= captured_ns - CARRY_NS:
            self._past.popleft()
        if self._past and self._past[-1].grey.shape != now.grey.shape:
            self._past.clear()
        last = self._past[-1] if self._past else None
        first = self._past[0] if self._past else None
        self._past.append(now)
        if last is None or first is None or captured_ns <= last.captured_ns:
            return MotionReading(captured_ns, 0.0, 0.0, 0.0, 0, False, ())

        rest = _rest(last, now, REST_STEP)
        step, cells, least = rest or _shift(last, now)
        carried = step
        if first is not last:
            rest = rest and _rest(first, now, REST_CARRIED)
            carried, _, _ = rest or _shift(first, now)
        elapsed_ns = captured_ns - last.captured_ns
        valid = cells >= MIN_CELLS
        limit = STEP_LIMIT if elapsed_ns <= MAX_STEP_NS else CARRY_LIMIT
        seems = valid and (step > limit or carried > CARRY_LIMIT)
        moving = seems and (self._suspected or step > SURELY * limit)
        trembling = self._trembles(captured_ns, least if valid else 0.0)
        self._suspected = seems
        return MotionReading(
            captured_ns=captured_ns,
            step=step,
            speed=step * S / elapsed_ns,
            carried=carried,
            cells=cells,
            valid=valid,
            reasons=(Reason.CAM_MOVING,) if moving or trembling else (),
        )

    def _trembles(self, captured_ns: int, least: float) -> bool:
        """Whether nothing has been at rest for a second: a hand holds the camera, if still."""
        self._tremor.append((captured_ns, least))
        while self._tremor[0][0] < captured_ns - CARRY_NS:
            self._tremor.popleft()
        whole = captured_ns - self._tremor[0][0] >= CARRY_NS * 8 // 10
        middle = median([moved for _, moved in self._tremor])
        return whole and len(self._tremor) >= _TREMOR_READINGS and middle > TREMOR_LIMIT


def _picture(frame: np.ndarray, captured_ns: int, boxes: Sequence[Box], known: bool) -> _Picture:
    height, width = frame.shape[:2]
    size = (WIDTH_PX, max(48, round(height * WIDTH_PX / width)))
    small, away = shrunk(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8), size), None
    if boxes:
        people = silhouettes(boxes, width, height)
        away = cv2.resize(people, size, interpolation=cv2.INTER_NEAREST) == 0
    return _Picture(captured_ns, small, _corners(small, away), known)


def _corners(grey: NDArray[np.uint8], away: NDArray[np.bool_] | None) -> Points:
    """The best corner of each cell, where there is one away from people."""
    strength = np.asarray(cv2.cornerMinEigenVal(grey, 5), np.float32)
    if away is not None:
        strength[~away] = 0.0
    strength[:6], strength[-6:], strength[:, :6], strength[:, -6:] = 0.0, 0.0, 0.0, 0.0
    height, width = grey.shape
    found = []
    for row in range(CELLS[1]):
        top, bottom = row * height // CELLS[1], (row + 1) * height // CELLS[1]
        for column in range(CELLS[0]):
            left, right = column * width // CELLS[0], (column + 1) * width // CELLS[0]
            _, best, _, place = cv2.minMaxLoc(strength[top:bottom, left:right])
            if best > MIN_CORNER:
                found.append((best, left + place[0], top + place[1]))
    return _apart(found)


def _apart(found: list[tuple[float, int, int]]) -> Points:
    """The corners, strongest first, without those beside a stronger one."""
    places = np.array(sorted(found, reverse=True), np.float32).reshape(-1, 3)[:, 1:]
    across, down = places.T
    near = (across[:, None] - across) ** 2 + (down[:, None] - down) ** 2 < APART_PX**2
    kept = np.ones(len(places), np.bool_)
    for stronger, other in np.argwhere(np.triu(near, 1)):
        kept[other] &= not kept[stronger]
    return places[kept].reshape(-1, 1, 2)


def _rest(before: _Picture, now: _Picture, limit: float) -> tuple[float, int, float] | None:
    """What `_shift` says where enough corners drift by less than `limit`; None if it must tell."""
    count = len(before.corners)
    if count < MIN_CELLS:
        return None
    moved, most = drift(before.grey, now.grey, before.corners[:, 0])
    slow = moved < limit * WIDTH_PX
    sure, likely = (int((slow & (most < px)).sum()) for px in (SURELY_PX, LIKELY_PX))
    if sure < max(MIN_CELLS, STILL_SHARE * count) and likely < max(MIN_CELLS, LIKELY_SHARE * count):
        return None
    ordered = np.sort(moved) / WIDTH_PX
    step, least = (
        float(ordered[int(share * (count - 1))]) for share in (STILL_SHARE, TREMOR_SHARE)
    )
    return step, count, least


def _shift(before: _Picture, now: _Picture) -> tuple[float, int, float]:
    """Motion of the median cell in widths, how many could be followed, and the stillest fifth's."""
    if len(before.corners) < MIN_CELLS:
        return 0.0, len(before.corners), 0.0
    ahead, ok = _follow(before.grey, now.grey, before.corners)
    back, again = _follow(now.grey, before.grey, ahead)
    missed = _lengths(back - before.corners)
    kept = ok & again & (missed < _BACK_AND_FORTH)
    moved = _lengths(ahead - before.corners)[kept] / WIDTH_PX
    if len(moved) < MIN_CELLS:
        return 0.0, len(moved), 0.0
    least = quantile(moved, TREMOR_SHARE)
    resting = float((moved < STILL).mean())
    rests = resting >= STILL_SHARE  # the dear question is asked only where it decides
    if rests or not (resting < NO_REST or _coherent(before.corners[kept], ahead[kept])):
        return float(min(quantile(moved, STILL_SHARE), STILL)), len(moved), least
    far = median(moved)
    if far > FARTHEST and before.known and now.known:
        return STILL, len(moved), least  # not the camera: something before it
    return far, len(moved), least


def _lengths(ways: Points) -> NDArray[np.float32]:
    across, down = ways[:, 0, 0], ways[:, 0, 1]
    return np.asarray(np.sqrt(across * across + down * down), np.float32)


def _follow(
    start: np.ndarray, end: np.ndarray, corners: Points
) -> tuple[Points, NDArray[np.bool_]]:
    """Where the corners went (Lucas and Kanade 1981, pyramidal), and which were found."""
    found, ok, _ = cv2.calcOpticalFlowPyrLK(
        start, end, corners, np.empty_like(corners), winSize=(15, 15), maxLevel=3, criteria=_STOP
    )
    return np.asarray(found, np.float32), ok.ravel() == 1


def _coherent(before: Points, now: Points) -> bool:
    """Whether one movement of the camera explains most cells."""
    _, inside = cv2.estimateAffinePartial2D(
        before, now, method=cv2.RANSAC, ransacReprojThreshold=COHERENT_PX
    )
    return inside is not None and float(inside.mean()) >= COHERENT
