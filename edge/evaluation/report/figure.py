"""A figure: one number, the goal it was measured against, and the result.

A figure without a trial is "not tried": it is no failure, and it is never a success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """The result of a figure; reports and JSON show the value."""

    HELD = "held"
    MISSED = "missed"
    REPORTED = "reported"  # there is no goal
    NOT_TRIED = "not tried"


class Question(Enum):
    """What figures answer together; the value is what people read."""

    text: str
    safety: bool  # a safety figure without a trial does not hold

    def __new__(cls, text: str, safety: bool) -> Question:
        self = object.__new__(cls)
        self._value_ = self.text = text
        self.safety = safety
        return self

    FORGED = "Does a picture of another place ever pass?", True
    SPLICES = "What passes while the picture turns into another place?", True
    OWN = "Does the enrolled place itself pass?", False
    AVAILABLE = "How much of the time is an honest user served?", False
    DISTURBED = "Is the place still known when the picture is disturbed?", False
    DAY = "Is the place still known through the changes of a day?", False
    SCENE = "How far can the scene model be trusted?", False
    COST = "What does looking at the picture cost?", False
    COVERED = "Is every face covered before a frame leaves?", True
    RECOGNISED = "Does a face recogniser know anybody behind the mask?", True
    FLOWING = "Do the frames flow?", False
    COPY = "What does masking cost?", False


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number and its goal."""

    question: Question
    name: str
    value: float | str
    target: str  # "reported": there is no goal
    unit: str
    state: State
    note: str = ""  # of how many, of which recording, or why it was not tried

    @property
    def holds(self) -> bool:
        """Tried, and no goal was missed."""
        return self.state in (State.HELD, State.REPORTED)

    def as_json(self) -> dict[str, object]:
        return {
            "question": self.question.value,
            "name": self.name,
            "value": self.value,
            "target": self.target,
            "unit": self.unit,
            "holds": self.holds,
            "state": self.state.value,
            "note": self.note,
        }


def asked(
    question: Question,
    name: str,
    value: float | str,
    target: str,
    unit: str,
    *,
    holds: bool,
    note: str = "",
) -> Figure:
    """A figure with a goal."""
    state = State.HELD if holds else State.MISSED
    return Figure(question, name, value, target, unit, state, note)


def at_most(
    question: Question,
    name: str,
    value: float,
    most: float,
    unit: str,
    *,
    digits: int = 2,
    note: str = "",
) -> Figure:
    """A figure whose goal is at most this; it is shown with so many digits."""
    shown, target = round(value, digits), f"<= {most:g}"
    return asked(question, name, shown, target, unit, holds=value <= most, note=note)


def reported(
    question: Question, name: str, value: float | str, unit: str, note: str = ""
) -> Figure:
    """A figure without a goal."""
    return Figure(question, name, value, "reported", unit, State.REPORTED, note)


def not_tried(question: Question, name: str, target: str, unit: str, why: str) -> Figure:
    """A figure for which there was no trial, and why."""
    return Figure(question, name, "not tried", target, unit, State.NOT_TRIED, why)


def share(
    question: Question,
    name: str,
    part: float,
    whole: float,
    *,
    least: float | None = None,
    most: float | None = None,
    note: str = "",
    why: str = "",
) -> Figure:
    """`part` of `whole` in per cent; not tried, for the reason `why`, if `whole` is nothing.

    The goal is a share of at least `least` or at most `most`; without both there is none.
    """
    target = "reported"
    if least is not None:
        target, holds = f">= {100 * least:g}", part >= least * whole
    elif most is not None:
        target, holds = f"<= {100 * most:g}", part <= most * whole
    if not whole:
        return not_tried(question, name, target, "%", why)
    value = round(100 * part / whole, 2)
    if target == "reported":
        return reported(question, name, value, "%", note)
    return asked(question, name, value, target, "%", holds=holds, note=note)


def none_at_all(
    question: Question, name: str, count: int, unit: str, *, note: str = "", why: str = ""
) -> Figure:
    """A count whose goal is 0; not tried if `why` says so."""
    if why:
        return not_tried(question, name, "0", unit, why)
    return asked(question, name, count, "0", unit, holds=count == 0, note=note)


def counted(number: int, what: str) -> str:
    """As `1 place` or `2 places`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def exit_code(rows: Sequence[Figure], skipped: Sequence[str]) -> int:
    """1 if a goal was missed or a recording could not be used; what was not tried is no failure."""
    return 1 if skipped or any(row.state is State.MISSED for row in rows) else 0
