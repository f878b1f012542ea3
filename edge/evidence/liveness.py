"""Liveness: is this a working camera looking at something, now?

Fed with the sentinel's `Look` of every frame. Judged by time and share, not by
counts of frames, because rates differ and encoders repeat frames. It cannot
detect a recording that is injected once, without repeats; the view, the dock and
the board's sensors must. Times are nanoseconds of CLOCK_BOOTTIME.

A still with noise added changes by the same amount in every frame; a scene does
not. An empty room before a sensor without any compression can look alike: then
the answer is that it is not sure, and nothing is lost, for nobody is in view.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from edge.clock import MS, S
from edge.reasons import Reason, worst_first
from edge.view.look import Look

BAD_FOR_NS = 300 * MS  # a covered or blank picture this long, so that 500 ms holds
DARK_MEAN, BLANK_STD = 12.0, 7.0  # grey levels of the thumbnail
WHITE_MEAN = 243.0
MIN_DETAIL = 0.13  # mean Laplacian over standard deviation; in focus 0.2 and more
NOISE_GAIN = 3.6  # mean Laplacian of noise over its mean change between frames, and a margin
FROZEN_NS = 400 * MS  # without any change, so that 500 ms holds
FROZEN_SHARE = 0.9  # of the frames of a second identical to their predecessors
WINDOW_NS = 1500 * MS  # for frozen share and for noise
MIN_CHANGES = 10  # frames before the window says anything
EVEN_CHANGE = 0.035  # spread of the frame difference over its mean; scenes 0.06 and more
LOOP_NS = 800 * MS  # of repeated pictures, all at one distance, before it is a loop
LOOP_PICTURES = 8  # different ones among them, so that a still scene is no loop
MEMORY_NS = 120 * S  # how long a digest is remembered
MAX_MEMORY = 16_384  # digests
MAX_GAP_NS = 1 * S  # between two frames
MALFORMED_LIMIT = 10  # in a second


class Liveness:
    """Judges the frames of one camera, one after the other."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._dark_ns: int | None = None  # since when the picture has been so
        self._plain_ns: int | None = None
        self._changed_ns = 0  # when the picture last differed from the one before
        self._changes: deque[tuple[int, float, bool]] = deque()  # when, difference, identical
        self._malformed: deque[int] = deque()
        self._odd_ns: int | None = None  # when the times last made no sense
        self._digest = -1
        self._known: OrderedDict[int, int] = OrderedDict()  # digest: when last seen
        self._loop = _Loop()

    def see(self, look: Look, captured_ns: int) -> tuple[Reason, ...]:
        """Why this frame is not live evidence; empty if it is."""
        if look.malformed:
            return self._see_malformed(captured_ns)
        reasons = list(self._check_time(captured_ns))
        first = not self._changes
        identical = not first and look.digest == self._digest
        if not identical:
            self._changed_ns = captured_ns
        self._changes.append((captured_ns, look.difference, identical or first))
        while self._changes[0][0] < captured_ns - WINDOW_NS:
            self._changes.popleft()

        reasons += self._check_picture(look, captured_ns)
        reasons += self._check_frozen(captured_ns)
        reasons += self._check_loop(look.digest, identical, captured_ns)
        self._digest = look.digest
        if self._noise_only():
            reasons.append(Reason.LIVENESS_UNCERTAIN)
        return worst_first(reasons)

    def _see_malformed(self, captured_ns: int) -> tuple[Reason, ...]:
        """Bad frames are dropped one by one; ten in a second block what follows, too."""
        self._malformed.append(captured_ns)
        while len(self._malformed) > MALFORMED_LIMIT:
            self._malformed.popleft()
        return (Reason.FRAME_MALFORMED,)

    def _check_time(self, captured_ns: int) -> list[Reason]:
        last, self._last_ns = self._last_ns, captured_ns
        reasons = []
        if last is not None and captured_ns <= last:
            self._odd_ns = last
            self._last_ns = last
        if self._odd_ns is not None and abs(captured_ns - self._odd_ns) < S:
            reasons.append(Reason.FRAME_MALFORMED)
        many = len(self._malformed) >= MALFORMED_LIMIT
        if (
            many
            and self._malformed[-1] - self._malformed[0] < S > captured_ns - self._malformed[-1]
        ):
            reasons.append(Reason.FRAME_MALFORMED)
        if last is not None and captured_ns - last > MAX_GAP_NS:
            reasons.append(Reason.CAM_STALLED)
            self._changes.clear()
            self._changed_ns = captured_ns
        return reasons

    def _check_picture(self, look: Look, captured_ns: int) -> list[Reason]:
        dark = look.mean < DARK_MEAN or (look.std < BLANK_STD and look.mean < WHITE_MEAN)
        changes = [change for _, change, identical in self._changes if not identical]
        noise = NOISE_GAIN * min(changes, default=0.0)
        detail = max(0.0, look.sharpness**2 - noise**2) ** 0.5
        plain = look.mean > WHITE_MEAN or detail < MIN_DETAIL * look.std
        self._dark_ns = _since(self._dark_ns, dark, captured_ns)
        self._plain_ns = _since(self._plain_ns, plain, captured_ns)
        reasons = []
        if self._dark_ns is not None and captured_ns - self._dark_ns >= BAD_FOR_NS:
            reasons.append(Reason.CAM_COVERED)
        if self._plain_ns is not None and captured_ns - self._plain_ns >= BAD_FOR_NS:
            reasons.append(Reason.SCENE_UNINFORMATIVE)
        return reasons

    def _check_frozen(self, captured_ns: int) -> list[Reason]:
        if captured_ns - self._changed_ns >= FROZEN_NS:
            return [Reason.CAM_FROZEN]
        whole = captured_ns - self._changes[0][0] >= WINDOW_NS - 200 * MS
        same = sum(identical for _, _, identical in self._changes)
        if whole and len(self._changes) >= MIN_CHANGES and same > FROZEN_SHARE * len(self._changes):
            return [Reason.CAM_FROZEN]
        return []

    def _check_loop(self, digest: int, identical: bool, captured_ns: int) -> list[Reason]:
        before = self._known.get(digest)
        if not identical:
            self._loop.note(None if before is None else captured_ns - before, captured_ns)
        self._known[digest] = captured_ns
        self._known.move_to_end(digest)
        while len(self._known) > MAX_MEMORY or (
            next(iter(self._known.values())) < captured_ns - MEMORY_NS
        ):
            self._known.popitem(last=False)
        return [Reason.CAM_LOOP] if self._loop.found(captured_ns) else []

    def _noise_only(self) -> bool:
        moving = [change for _, change, identical in self._changes if not identical]
        span = self._changes[-1][0] - self._changes[0][0]
        if len(moving) < MIN_CHANGES or span < WINDOW_NS - 200 * MS:
            return False
        mean = sum(moving) / len(moving)
        spread = (sum((change - mean) ** 2 for change in moving) / len(moving)) ** 0.5
        return mean > 0 and spread < EVEN_CHANGE * mean


class _Loop:
    """A run of pictures that all came before, each the same time ago."""

    def __init__(self) -> None:
        self._lag_ns = 0
        self._begun_ns = 0
        self._pictures = 0
        self._found_ns: int | None = None

    def note(self, lag_ns: int | None, captured_ns: int) -> None:
        """A changed picture, and how long ago it was last seen, if ever."""
        if lag_ns is None:
            self._pictures = 0
            return
        if not self._pictures or abs(lag_ns - self._lag_ns) > 0.1 * self._lag_ns + 40 * MS:
            self._pictures, self._begun_ns = 0, captured_ns
        self._lag_ns = lag_ns
        self._pictures += 1
        if self._pictures >= LOOP_PICTURES and captured_ns - self._begun_ns >= LOOP_NS:
            self._found_ns = captured_ns

    def found(self, captured_ns: int) -> bool:
        """Whether a loop has been seen within the memory."""
        return self._found_ns is not None and captured_ns - self._found_ns < MEMORY_NS


def _since(begun_ns: int | None, now_so: bool, captured_ns: int) -> int | None:
    if not now_so:
        return None
    return captured_ns if begun_ns is None else begun_ns
