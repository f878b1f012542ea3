"""How a frame is shown in a strip: it passed, was blocked for a cause, or only had to wait."""

from __future__ import annotations

from enum import Enum

from edge.reasons import Family
from edge.report.record import FrameDecision, Outcome


class Mark(Enum):
    """How a stretch of time is drawn; the value is its CSS class."""

    GOOD = "good"
    BAD = "bad"
    WAIT = "wait"  # blocked without a cause: the guard is only not yet sure
    NONE = "none"


def mark_of(decision: FrameDecision) -> Mark:
    """Whether the frame passed, was blocked for a cause, or only had to wait."""
    if decision.verdict is Outcome.PASS:
        return Mark.GOOD
    waits = all(reason.family is Family.WAITING for reason in decision.reasons)
    return Mark.WAIT if waits else Mark.BAD
