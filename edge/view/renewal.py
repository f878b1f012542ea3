"""Renewal: a view that drifted slowly is enrolled again, without going anywhere else.

Lamps age, posters go, a mount sags by a pixel. A renewal is taken only where the
new pictures are still recognised as the signed view, and as the *first* enrolment
of it, which every renewal carries along whole. So however many small steps are
taken, the last is no further from the first than one may be: it shows at least
half of the blocks enrolled then, and has turned by a few pixels at most.

How far the camera turned is read from bits: the picture is compared with the
fingerprint at many small offsets, and the middle of those that agree best is
where it stands. Measured on three recordings and a rendered room that is right to
1 pixel of 640 for turns of 0 to 30.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge.errors import EnrolmentError
from edge.view import signs
from edge.view.check import MIN_GRADIENT, MIN_SEEN, MIN_SIGN, ViewCheck
from edge.view.fingerprint import Fingerprint

APART_S = 24 * 3600  # between two enrolments of a view
MIN_STEP_SEEN = 0.75  # share of the blocks of the view that is renewed
MIN_TOTAL_SEEN = 0.5  # share of the blocks of the first enrolment
MAX_STEP_PX = 4.0  # of a picture 640 wide: enrolment itself allows for 3
MAX_TOTAL_PX = 6.0  # from the first enrolment; half a degree of a 60-degree lens
LOOKS = 8  # frames that are compared
_REFERENCE_WIDTH = 640
_REACH_PX, _GRID_PX = 40, 4  # offsets tried, of a picture 640 wide
_NEAR_BEST = 0.02  # share of signs: offsets that agree this much less count, too


@dataclass(frozen=True, slots=True)
class Likeness:
    """How far a picture is from an enrolled view."""

    seen: float  # share of the enrolled blocks that are seen, 0 to 1
    blocks: int  # blocks that are seen
    sign: float  # share of agreeing signs in them, 0 to 1
    gradient: float  # share of agreeing gradient blocks in them, 0 to 1
    turned_px: float  # of a picture 640 wide


def likeness(view: Fingerprint, frame: np.ndarray) -> Likeness:
    """Compare a BGR frame of the view's size with the view."""
    reading = ViewCheck(view).read(frame, 0, ())
    blocks = reading.seen_blocks.bit_count()
    enrolled = max(1, view.blocks.bit_count())
    return Likeness(
        blocks / enrolled, blocks, reading.sign, reading.gradient, _turned_px(view, frame)
    )


def check_due(old: Fingerprint, now_s: int) -> None:
    """See that a view may be renewed at `now_s`, in seconds since 1970 UTC.

    Raises:
        EnrolmentError: it is too early, or the time is unknown.
    """
    enrolled_s = old.file.enrolled_s
    if not enrolled_s:
        raise EnrolmentError("the view has no date of enrolment: it cannot be renewed")
    waited_h = (now_s - enrolled_s) / 3600
    if now_s - enrolled_s < APART_S:
        raise EnrolmentError(
            f"the view was enrolled {waited_h:.1f} hours ago; "
            f"it may be renewed after {APART_S // 3600}"
        )


def check_like(old: Fingerprint, frames: Sequence[np.ndarray]) -> None:
    """See that frames of the empty view may renew it.

    Args:
        old: the signed view.
        frames: BGR uint8, of the view's size; every one that is compared must be like it.

    Raises:
        EnrolmentError: too far from the old view or from the first; says by how much.
    """
    chosen = np.linspace(0, len(frames) - 1, min(LOOKS, len(frames))).round().astype(int)
    for number in chosen:
        _check_like(old, frames[number], "the signed view", MIN_STEP_SEEN, MAX_STEP_PX)
        _check_like(old.first, frames[number], "its first enrolment", MIN_TOTAL_SEEN, MAX_TOTAL_PX)


def renewed(old: Fingerprint, new: Fingerprint) -> Fingerprint:
    """The new fingerprint with its lineage."""
    first, before, renewals = old.first.file, old.digest, old.file.renewals + 1
    return Fingerprint(replace(new.file, first=first, before=before, renewals=renewals))


def _check_like(
    view: Fingerprint, frame: np.ndarray, name: str, min_seen: float, max_px: float
) -> None:
    found = likeness(view, frame)
    if found.seen < min_seen or found.blocks < MIN_SEEN:
        raise EnrolmentError(
            f"the pictures show {found.seen:.0%} of {name}, a renewal needs {min_seen:.0%}: "
            "enrol the view anew if it is another"
        )
    if found.turned_px > max_px:
        raise EnrolmentError(
            f"the camera has turned by {found.turned_px:.1f} pixels of {_REFERENCE_WIDTH} from "
            f"{name}, a renewal allows {max_px:g}"
        )
    if found.sign < MIN_SIGN or found.gradient < MIN_GRADIENT:
        raise EnrolmentError(
            f"the pictures agree with {name} in {found.sign:.0%} of the signs and "
            f"{found.gradient:.0%} of the gradients, a renewal needs {MIN_SIGN:.0%} and "
            f"{MIN_GRADIENT:.0%}"
        )


def _turned_px(view: Fingerprint, frame: np.ndarray) -> float:
    """How far the picture stands from where it was enrolled."""
    height, width = frame.shape[:2]
    scale = width / _REFERENCE_WIDTH
    steps = np.arange(-_REACH_PX, _REACH_PX + 1, _GRID_PX)
    moved = np.rint(steps * scale).astype(int)
    edge = int(np.abs(moved).max())
    wide = cv2.copyMakeBorder(frame[:, :, 1], edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    mask = view.mask != 0
    bits = view.bits[mask]
    agree = np.empty((len(steps), len(steps)))
    for row, down in enumerate(moved + edge):
        for column, right in enumerate(moved + edge):
            thumb = signs.thumbnail(wide[down : down + height, right : right + width])
            agree[row, column] = (signs.signs(thumb)[mask] == bits).mean()
    weight = np.maximum(agree - agree.max() + _NEAR_BEST + 0.001, 0.0)
    rows, columns = weight.sum(axis=1), weight.sum(axis=0)
    down_px = float((rows * steps).sum() / rows.sum())
    right_px = float((columns * steps).sum() / columns.sum())
    return float(np.hypot(down_px, right_px))
