"""People: what the faces of a picture mean. Boxes only, never a vector.

`judge` turns the boxes of `edge.evidence.faces` into reasons by the rules of the
signed record; nobody in view is controlled too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from edge.clock import S
from edge.reasons import Reason, worst_first
from edge.view.box import Box

SURE_SCORE = 0.7  # of the detector; a face at its edge has 0.5 to 0.6
SMALL_GONE_NS = 1 * S  # without a small face, until it no longer counts
_SMALL_IN, _SMALL_OF = 2, 3  # readings


@dataclass(frozen=True, slots=True)
class PeopleRules:
    """The `[people]` table of the device record."""

    max: int = 1
    min_height: float = 0.1  # of the picture's shorter side
    zone: tuple[float, float, float, float] | None = None  # left, top, right, bottom; 0 to 1


def judge(
    boxes: Sequence[Box], frame_height: int, rules: PeopleRules, *, frame_width: int | None = None
) -> tuple[Reason, ...]:
    """Why these faces are not a controlled scene; empty if they are, or if there is none.

    Args:
        boxes: in pixels of a frame `frame_height` high and `frame_width` wide.
        frame_width: needed where the rules name a zone, and where the picture is in portrait.
    """
    reasons = []
    side = frame_height if frame_width is None else min(frame_height, frame_width)
    if len(boxes) > rules.max:
        reasons.append(Reason.PEOPLE_CROWD)
    if any(box.height < rules.min_height * side for box in boxes):
        reasons.append(Reason.PEOPLE_SMALL)
    if rules.zone is not None and boxes:
        if frame_width is None:
            raise ValueError("a zone needs the frame's width")
        left, top, right, bottom = rules.zone
        for box in boxes:
            x = (box.left + box.right) / 2 / frame_width
            y = (box.top + box.bottom) / 2 / frame_height
            if not (left <= x <= right and top <= y <= bottom):
                reasons.append(Reason.PEOPLE_ZONE)
    return worst_first(reasons)


class PeopleWatch:
    """Judges the readings of one camera in order; steadies what a face at the detector's edge does.

    Such a face is now found, too small, and now not. Found surely, or in two readings of
    three, it counts; from then on it counts until none was found for a second. So it
    either blocks for as long as somebody stands there, or not at all.
    """

    def __init__(self, rules: PeopleRules) -> None:
        self._rules = rules
        self._found: deque[bool] = deque(maxlen=_SMALL_OF)  # a small face, in the last readings
        self._counts = False
        self._last_ns: int | None = None  # when a small face was last found
        self._judged: tuple[Sequence[Box], int, int, tuple[Reason, ...]] | None = None  # the last

    def read(
        self,
        boxes: Sequence[Box],
        captured_ns: int,
        frame_height: int,
        frame_width: int,
        faceless: int = 0,
    ) -> tuple[Reason, ...]:
        """Why the people of this moment are no controlled scene; see `judge`.

        `faceless` are people who hide the view and show no face; they count like any other.
        """
        last = self._judged
        if last is not None and last[0] is boxes and last[1:3] == (frame_height, frame_width):
            judged = last[3]  # the same faces: nobody looked anew, as nothing had changed
        else:
            judged = judge(boxes, frame_height, self._rules, frame_width=frame_width)
            if isinstance(boxes, tuple):  # which cannot change
                self._judged = boxes, frame_height, frame_width, judged
        if faceless and len(boxes) + faceless > self._rules.max:
            judged = worst_first([*judged, Reason.PEOPLE_CROWD])
        small = Reason.PEOPLE_SMALL in judged
        self._found.append(small)
        if small:
            self._last_ns = captured_ns
            side = self._rules.min_height * min(frame_height, frame_width)
            surely = any(box.height < side and box.score >= SURE_SCORE for box in boxes)
            self._counts = self._counts or surely or sum(self._found) >= _SMALL_IN
        elif self._last_ns is None or captured_ns - self._last_ns >= SMALL_GONE_NS:
            self._counts = False
        rest = [reason for reason in judged if reason is not Reason.PEOPLE_SMALL]
        return worst_first([*rest, *([Reason.PEOPLE_SMALL] if self._counts else [])])
