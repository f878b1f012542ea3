"""The enrolled view, in the slow loop: is the background the enrolled one?

A few times a second one frame is compared with the fingerprint in two ways, by
signs and by gradient directions, over the blocks that can be seen. Less is asked
to continue than to begin: then, besides, whatever hides blocks must be a person,
and nearly every block must have been seen lately (a board with a hole in it never
shows what it covers). Hands and tools may hide more for a while, though never
most of the picture. `captured_ns` is nanoseconds of CLOCK_BOOTTIME.

The scores are for evidence and for reports after the fact. They are not shown
live: whoever sees them can align a picture of the view.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.clock import MS, S
from edge.reasons import Reason, worst_first
from edge.view import signs
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint
from edge.view.gradients import GradientMap
from edge.view.memory.level import MIN_LEVEL, Level
from edge.view.memory.settled import Settled
from edge.view.signs import Pixels
from edge.view.silhouette import covered_blocks, silhouettes

BLOCK_SEEN = 0.6  # share of a block's signs that agree
MIN_CONTRAST = 4  # grey levels: a smooth surface agrees by chance, but never clearly
MIN_SEEN = 12  # blocks, and at least half of the enrolled
MIN_QUADRANTS = 3
MIN_SIGN = 0.85  # share of signs in seen blocks; 0 of 392,000 foreign readings pass both
MIN_GRADIENT = 0.5  # share of gradient blocks in seen blocks
MAX_UNEXPLAINED = 0.15  # of the enrolled blocks, unseen and outside silhouettes, to open
ALWAYS_UNEXPLAINED = 4  # blocks, a twelfth of the picture: a chair that was moved hides so much,
# a trial's small view has no more to spare. Views a site may enrol are held to the share alone
MAX_HIDDEN = 3 / 8  # of the picture's blocks, by what is no person; hands over a bench hide 0.35
ROUGH, ROUGHER = 6.0, 2.0  # contrast, in grey levels and in times the plainest it was, from which
# a block without enrolled signs shows something else than when it was plain
MOSTLY = 0.75  # of the uncovered blocks; of another place, few are seen. And of those
# that are lost: where they hold still as something else, that has come to stay
TURNED_NS = 1 * S  # a face that is not found for so long still explains what hides the view
COVERED_NS, COVERED_WITHIN_NS = 10 * S, 30 * S  # more than `MAX_UNEXPLAINED` may be hidden so long
MIN_RECENT = 0.9  # of the enrolled blocks, seen within `RECENT_NS`, to open
RECENT_NS = 600 * S
_PAIRS_IN_BLOCK = signs.per_block(signs.USABLE_PAIRS)


@dataclass(frozen=True, slots=True)
class ViewReading:
    """What one frame of the slow loop says of the enrolled view."""

    captured_ns: int
    sign: float  # share of agreeing signs in the seen blocks, 0 to 1
    gradient: float  # share of agreeing gradient blocks in the seen blocks, 0 to 1
    seen_blocks: int  # bit i: enrolled block i is seen
    quadrants: int  # quarters of the picture with a seen block
    unexplained: float  # share of the enrolled blocks unseen and outside silhouettes
    hidden: float  # share of all blocks, unseen or no longer plain, where no person was lately
    recent: float  # share of the enrolled blocks seen within ten minutes
    level: float  # contrast of the middle block, of its level in the last two seconds
    reasons_open: tuple[Reason, ...]  # why it is not good enough to begin
    reasons_continue: tuple[Reason, ...]  # why it is not even good enough to go on


class ViewCheck:
    """Reads the view of one camera; remembers when each block was last seen."""

    def __init__(self, fingerprint: Fingerprint, *, fresh: bool = True) -> None:
        """Begin with one fingerprint.

        Args:
            fingerprint: the enrolled view.
            fresh: enrolment was just now, and counts as a sighting of every block;
                otherwise each block must be seen again before the first opening.
        """
        self._fingerprint = fingerprint
        self._gradients = GradientMap(fingerprint)
        self._counts = fingerprint.counts
        self._enrolled = fingerprint.counts > 0
        self._block_of_pair = signs.BLOCK_OF_PAIR[fingerprint.mask != 0]
        self._total = max(1, int(self._enrolled.sum()))
        self._fresh = fresh
        self._seen_ns: np.ndarray | None = None  # per block; none before the first reading
        self._plain: NDArray[np.float64] | None = None  # least contrast by block, when all was well
        self._explained_ns = np.full(signs.BLOCKS, -TURNED_NS - 1, np.int64)  # when last, by block
        self._covered: deque[tuple[int, int]] = deque()  # when, and for how long, in nanoseconds
        self._last_ns: int | None = None
        self._level = Level(self._block_of_pair, self._enrolled, MIN_SEEN)
        self._settled = Settled(fingerprint.mask != 0)

    def read(
        self,
        frame: np.ndarray,
        captured_ns: int,
        boxes: Sequence[Box] | None,
        bodies: Callable[[int], Pixels | None] | None = None,
    ) -> ViewReading:
        """Compare one frame with the enrolled view.

        Args:
            frame: BGR uint8, well formed.
            captured_ns: when it was captured; readings come in order.
            boxes: the faces of about this moment; None or none explain nothing.
            bodies: asked with the blocks (bit i: block i) that are hidden and that no face
                explains; answers thumbnail-shaped, 255 where a body is, which explains them.
        """
        thumb = signs.thumbnail(frame)
        mask = self._fingerprint.mask != 0
        agrees = (signs.signs(thumb) == self._fingerprint.bits) & mask
        contrasts = signs.contrasts(thumb)
        right = signs.per_block(agrees)
        clearly = signs.per_block(agrees & (contrasts >= MIN_CONTRAST))
        seen = self._enrolled & (clearly >= BLOCK_SEEN * self._counts)
        seen_blocks = signs.as_bits(seen)
        pairs = int(self._counts[seen].sum())
        sign = float(right[seen].sum()) / pairs if pairs else 0.0
        gradient = self._gradients.agreement(frame, seen_blocks)
        explained = self._explained(boxes or (), frame)
        faceless = signs.as_bits(self._enrolled & ~seen & ~explained)
        where = None if bodies is None else bodies(faceless)
        if where is not None:
            explained = explained | signs.as_blocks(covered_blocks(where))
        unexplained = float((self._enrolled & ~seen & ~explained).sum()) / self._total
        rough = _by_block(contrasts)
        strange = (self._enrolled & ~seen) | self._strange(rough)
        hidden = float((strange & ~self._lately(explained, captured_ns)).mean())
        quadrants = signs.quadrants(seen_blocks)

        signed = np.where(agrees, contrasts, -1.0 * contrasts)[mask]
        fall = self._level.read(captured_ns, signed, thumb, explained)
        going = []
        needed = max(MIN_SEEN, self._total / 2)
        if int(seen.sum()) < needed or quadrants < MIN_QUADRANTS or hidden > MAX_HIDDEN:
            going.append(Reason.VIEW_PARTIAL)
        lost = int((self._enrolled & ~seen & ~explained).sum())
        covered = lost > max(MAX_UNEXPLAINED * self._total, ALWAYS_UNEXPLAINED)
        changed = self._settled.read(thumb, captured_ns, self._enrolled & ~seen & ~explained)
        what = Reason.VIEW_CHANGED if changed >= MOSTLY * lost else Reason.VIEW_COVERED
        if self._covered_long(covered, captured_ns):
            going.append(what)
        if sign < MIN_SIGN or gradient < MIN_GRADIENT:
            near = self._near(explained, seen)
            going.append(Reason.VIEW_PARTIAL if near else Reason.VIEW_FOREIGN)
        elif fall.at_once:
            going.append(Reason.VIEW_DIMMED)
        elif fall.faded:
            near = fall.free >= MIN_LEVEL and self._near(explained, seen)
            going.append(Reason.VIEW_PARTIAL if near else Reason.VIEW_FADED)
        recent = self._sighted(seen & (not going), captured_ns)
        opening = set(going)
        if covered:
            opening.add(what)
        if recent < MIN_RECENT:
            opening.add(Reason.VIEW_UNSEEN)
        if not opening:
            self._plain = rough if self._plain is None else np.minimum(self._plain, rough)
        return ViewReading(
            captured_ns=captured_ns,
            sign=sign,
            gradient=gradient,
            seen_blocks=seen_blocks,
            quadrants=quadrants,
            unexplained=unexplained,
            hidden=hidden,
            recent=recent,
            level=fall.level,
            reasons_open=worst_first(opening),
            reasons_continue=worst_first(going),
        )

    def _explained(self, boxes: Sequence[Box], frame: np.ndarray) -> NDArray[np.bool_]:
        height, width = frame.shape[:2]
        return signs.as_blocks(covered_blocks(silhouettes(boxes, width, height)))

    def _near(self, explained: NDArray[np.bool_], seen: NDArray[np.bool_]) -> bool:
        """Whether a person hides most of the view, and the uncovered rest is as enrolled.

        Some blocks of somebody near agree by chance, and count among those seen; whoever moves
        there takes contrast from them, as a fade does. That lets nothing pass. But "too little
        is visible" is then the cause, and stepping back helps, where pointing the camera
        elsewhere or another light would not.
        """
        free = self._enrolled & ~explained
        hidden = self._total - int(free.sum())
        return hidden * 2 >= self._total and int((seen & free).sum()) >= MOSTLY * int(free.sum())

    def _lately(self, explained: NDArray[np.bool_], captured_ns: int) -> NDArray[np.bool_]:
        """The blocks that a person covers, or did when their face was last found."""
        self._explained_ns[explained] = captured_ns
        lately: NDArray[np.bool_] = self._explained_ns >= captured_ns - TURNED_NS
        return lately

    def _strange(self, rough: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The blocks that enrolment left out and that were plainer when the view was well."""
        if self._plain is None:
            return np.zeros(signs.BLOCKS, np.bool_)
        return ~self._enrolled & (rough > np.maximum(ROUGH, ROUGHER * self._plain))

    def _covered_long(self, covered: bool, captured_ns: int) -> bool:
        """Whether something other than people hides much, for ten of the last thirty seconds."""
        spent_ns = 0 if self._last_ns is None else min(captured_ns - self._last_ns, S)
        self._last_ns = captured_ns
        while self._covered and self._covered[0][0] <= captured_ns - COVERED_WITHIN_NS:
            self._covered.popleft()
        if not covered:
            return False
        self._covered.append((captured_ns, spent_ns))
        return sum(ns for _, ns in self._covered) > COVERED_NS

    def _sighted(self, seen: np.ndarray, captured_ns: int) -> float:
        """Note the blocks seen now; the share of the enrolled seen lately."""
        if self._seen_ns is None:
            start = captured_ns if self._fresh else captured_ns - RECENT_NS - MS
            self._seen_ns = np.full(signs.BLOCKS, start, np.int64)
        self._seen_ns[seen] = captured_ns
        lately = self._enrolled & (self._seen_ns >= captured_ns - RECENT_NS)
        return float(lately.sum()) / self._total


def _by_block(contrasts: Pixels) -> NDArray[np.float64]:
    """The mean contrast of each block's pairs, in grey levels."""
    sums = np.bincount(signs.BLOCK_OF_PAIR.ravel(), contrasts.ravel(), signs.BLOCKS)
    return np.asarray(sums / _PAIRS_IN_BLOCK, np.float64)
