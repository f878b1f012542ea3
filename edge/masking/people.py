"""People masks: where people may be between two looks at them.

A frame is masked by the readings before and after it. Each face becomes a head, and
its place grows by a margin, by what a person can move in that time and by what the
camera moved. A face that only one of the two readings has is masked in all frames
between them; one that no reading has any more is remembered for a second. On any
doubt the whole picture becomes a grid. No clock and no pixels: times, boxes and
the camera's shift come in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.clock import MS, S
from edge.masking import blocks
from edge.masking.blocks import Levels
from edge.view.box import Box
from edge.view.silhouette import HEAD_ABOVE, HEAD_ASIDE

CAPACITY = 24  # faces in one reading; more is a crowd, of which a detector misses some
BRACKET_NS = 500 * MS  # readings further apart say nothing of what lies between them
REMEMBERED_NS = 1 * S  # how long a face that is no longer found is masked
HEAD_BELOW = 0.3  # of the face's height: chin, beard, a face that looks down
MARGIN = 0.25  # of the head's size, all round
SPEED = 5.0  # face heights a second, across the picture: a brisk walk
MOST_PLACES = 200  # in one mask
CARRIED = 1.5  # what is near moves more than the middle of the picture when the camera does
SAME = 0.75  # face heights between two boxes of one face, beyond what the camera moved
SPREAD_NS = 300 * MS  # a remembered place grows for this long
MOST_SHIFT = 0.12  # picture widths between two readings; a mask cannot follow more
BODY = (1.5, 7.0)  # a body's half width and height below the chin, of the face's height


@dataclass(frozen=True, slots=True)
class Look:
    """One look for people."""

    captured_ns: int
    boxes: tuple[Box, ...] | None  # None: the detector failed
    shift: float | None  # widths that the camera moved since the last look; None: unknown


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody may be: a rectangle in pixels, to be covered by cells of `level`."""

    level: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class PeopleMask:
    """What covers the frames captured in [from_ns, to_ns]."""

    from_ns: int
    to_ns: int
    places: tuple[Place, ...] | None  # None: the whole picture


@dataclass(frozen=True, slots=True)
class _Seen:
    """A face, when it was last found, and how far the camera has moved since."""

    box: Box
    seen_ns: int
    shift: float = 0.0


class PeopleMasker:
    """Turns looks at one camera's people, in order, into masks."""

    def __init__(self, height: int, width: int, *, bodies: bool = False) -> None:
        """`bodies` masks the whole of each person, as far as the face tells where that is."""
        self._size = height, width
        self._bodies = bodies
        self._last_ns: int | None = None  # of the last look
        self._good = False  # that look was one to go by
        self._found: list[_Seen] = []  # in the last look
        self._lost: list[_Seen] = []  # before it, and not found again

    def look(self, look: Look) -> PeopleMask | None:
        """Take one look; returns the mask of the frames since the one before, if there was one."""
        last_ns, good = self._last_ns, self._good
        if last_ns is not None and look.captured_ns <= last_ns:
            self._good = False  # time went back, so this reading cannot be trusted
            return None
        self._last_ns = now_ns = look.captured_ns
        self._good = look.boxes is not None and len(look.boxes) <= CAPACITY
        shift = CARRIED * look.shift if look.shift is not None else 0.0
        before = [replace(seen, shift=seen.shift + shift) for seen in self._found + self._lost]
        now = [_Seen(box, now_ns) for box in look.boxes or ()]
        pairs = _pairs(before, now, self._size[1])
        again = {i for _, i, _ in pairs}
        lost = [seen for i, seen in enumerate(before) if i not in again]
        self._found = now
        self._lost = [seen for seen in lost if now_ns - seen.seen_ns < REMEMBERED_NS]
        if last_ns is None:
            return None
        if look.shift is None:  # then a face that is in both looks must tell
            followed = bool(pairs) or not (before or now)
            shift = max((apart for apart, _, _ in pairs), default=0.0) / self._size[1]
            before = [replace(seen, shift=seen.shift + shift) for seen in before]
        else:
            followed = look.shift <= MOST_SHIFT
        fresh = now_ns - last_ns <= BRACKET_NS
        few = len(before) + len(now) <= MOST_PLACES
        if not (good and self._good and followed and fresh and few):
            return PeopleMask(last_ns, now_ns, None)
        known = [*before, *(replace(seen, shift=shift) for seen in now)]
        return PeopleMask(last_ns, now_ns, tuple(self._place(s, last_ns, now_ns) for s in known))

    def _place(self, seen: _Seen, from_ns: int, to_ns: int) -> Place:
        """Where this face's head may be from one look to the next; `shift` is the camera's then."""
        box = seen.box
        wide, high = box.right - box.left, box.height
        left, right = box.left - HEAD_ASIDE * wide, box.right + HEAD_ASIDE * wide
        top, bottom = box.top - HEAD_ABOVE * high, box.bottom + HEAD_BELOW * high
        head = max(right - left, bottom - top)
        age_ns = max(to_ns - seen.seen_ns, seen.seen_ns - from_ns)
        walked = SPEED * max(wide, high) * min(age_ns, SPREAD_NS + to_ns - from_ns) / S
        more = MARGIN * head + walked + seen.shift * self._size[1]
        if self._bodies:
            aside, below = BODY
            middle = (box.left + box.right) / 2
            left, right = min(left, middle - aside * high), max(right, middle + aside * high)
            bottom = max(bottom, box.bottom + below * high)
        return Place(blocks.level_for(head), left - more, top - more, right + more, bottom + more)


def _pairs(
    before: Sequence[_Seen], now: Sequence[_Seen], width: int
) -> list[tuple[float, int, int]]:
    """Which box of now is which face known before, nearest first: (pixels apart, before, now)."""
    near = []
    for i, seen in enumerate(before):
        for j, found in enumerate(now):
            high, other = seen.box.height, found.box.height
            apart = _apart(seen.box, found.box)
            alike = min(high, other) >= max(high, other) / 2
            if alike and apart <= SAME * max(high, other) + seen.shift * width:
                near.append((apart, i, j))
    pairs: list[tuple[float, int, int]] = []
    for apart, i, j in sorted(near):
        if all(i != one and j != other for _, one, other in pairs):
            pairs.append((apart, i, j))
    return pairs


def _apart(a: Box, b: Box) -> float:
    """Between the middles of two boxes."""
    across = (a.left + a.right - b.left - b.right) / 2
    down = (a.top + a.bottom - b.top - b.bottom) / 2
    return math.hypot(across, down)


def levels(mask: PeopleMask, height: int, width: int) -> Levels:
    """The block map of a picture of this size in pixels."""
    if mask.places is None:
        return np.full(blocks.grid(height, width), blocks.whole(height, width), np.uint8)
    found = np.zeros(blocks.grid(height, width), np.uint8)
    for place in mask.places:
        blocks.cover(found, place.level, place.left, place.top, place.right, place.bottom)
    return found


def covered(boxes: Sequence[Box], found: Levels) -> tuple[bool, ...]:
    """For each face, whether no block that it touches is clear."""
    hidden = []
    for box in boxes:
        rows = slice(
            max(0, int(box.top // blocks.BLOCK_PX)), int(box.bottom // blocks.BLOCK_PX) + 1
        )
        columns = slice(
            max(0, int(box.left // blocks.BLOCK_PX)), int(box.right // blocks.BLOCK_PX) + 1
        )
        hidden.append(bool(found[rows, columns].all()))
    return tuple(hidden)
