"""How figures are put: what was found, the goal, the verdict, and each special word.

The page and the terminal say the same words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.evaluation.report.figure import Figure, Question, State
from edge.reasons import Reason

_SIGNS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_COUNTED = ("frames", "recordings", "places", "faces")  # the unit stands beside what was found
_CODE = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")

HOW = {
    Question.FORGED: "Each recording of another place is played against each enrolled place. "
    "Dock, sensors and session are forged and say that all is well: the picture alone must block.",
    Question.SPLICES: "A recording of an enrolled place turns into one of another place. What "
    "counts is what a matcher would have received.",
    Question.OWN: "Each enrolled place sees its own recording again, and later ones of it.",
    Question.AVAILABLE: "Recordings of fixed places, with the settings that a guard comes with. "
    "Each blocked second has a cause; some causes are true, such as two people before the camera.",
    Question.DISTURBED: "Light, exposure, compression and vibration are changed frame by frame.",
    Question.DAY: "A change begins after five seconds, or is there from the start. It is fine if "
    "the frames still pass, and if they are blocked for a cause that names the change.",
    Question.SCENE: "What the scene model says of a frame, beside what the manifest says.",
    Question.COST: "Processor time for one second of video, on the machine named below.",
    Question.COVERED: "Faces are looked for again in the pictures before masking, at twice as many "
    "pixels a side, and compared with the masks. What neither search finds is not counted.",
    Question.RECOGNISED: "A face recogniser is told where each face is, in the clear picture "
    "and in the masked one.",
    Question.FLOWING: "A mask that blocks everything would be safe and useless.",
    Question.COPY: "A frame is masked while it is copied to the matcher. Both copies are made by "
    "turns on the machine named below.",
}

_WORDS = {
    "95 % confidence": "what the number of trials allows to say: with so many trials, a worse "
    "share would show with a chance of 95 in 100",
    "bracketed release": "a frame leaves when the picture was good before it and after it",
    "calibration error": "how far the model's own probability is from how often it is right",
    "coarse grid": "the whole picture in at most 8 x 8 cells",
    "dwell": "how long everything must be good before frames flow",
    "ego-motion": "movement of the camera itself",
    "enrol": "to enrol a place is to record and sign its picture once; a site may not enrol a "
    "place whose picture tells too little, or that is not empty",
    "falsely blocked": "blocked, and no cause is known to be true",
    "forbidden": "a frame is forbidden if at least half of it shows the other place",
    "foreign share": "the part of a frame that shows the other place",
    "freshness": "whether the picture is live, no still and no loop",
    "immediate release": "a frame leaves at once; the guard's stricter setting is bracketed",
    "margin": "by how much a reading fell short of the nearest limit",
    "p99": "the time that 99 of 100 copies do not exceed",
    "px": "pixels",
    "reading": "what the check of the picture says at one moment",
    "score": "the part of the enrolled place that a frame agrees with; the limit is 80 %",
    "slow loop": "the part of the guard that reads the picture a few times a second",
    "splice": "one recording that turns into another",
    "true cause": "a cause that the manifest names, or a place that enrolment refuses",
    "uncontrolled": "with a camera that moves, or of a place that is open to anybody",
}


@dataclass(frozen=True, slots=True)
class Head:
    """What the report begins with: three sentences."""

    asked: str
    tried: str
    found: str


def found_text(row: Figure) -> str:
    """What was found, with its unit."""
    if row.state is State.NOT_TRIED:
        return State.NOT_TRIED.value
    if isinstance(row.value, str):
        return row.value
    value, unit = _scaled(row.value, row.unit)
    unit = unit[:-1] if value == 1 and unit in _COUNTED else unit
    return f"{value:,g} {unit}" if abs(value) < 1e5 else f"{value:,.0f} {unit}"


def goal_text(row: Figure) -> str:
    """The goal in words."""
    if row.target == "reported":
        return "no goal"
    first, _, causes = row.target.partition(" or ")
    sign, _, number = first.rpartition(" ")
    try:
        value, unit = _scaled(float(number), row.unit)
    except ValueError:
        return row.target
    counted = unit if unit not in _COUNTED else ""
    stated = " ".join(part for part in (_SIGNS.get(sign, ""), f"{value:g}", counted) if part)
    return (
        f"{stated}, or a cause that is clear: {causes.replace(' or ', ', ')}" if causes else stated
    )


def _scaled(value: float, unit: str) -> tuple[float, str]:
    return (round(100 * value, 2), "%") if unit == "share" else (value, unit)


def questions(rows: Iterable[Figure]) -> dict[Question, list[Figure]]:
    """The figures by question, in the order of `Question`; none without figures."""
    rows = list(rows)
    by = {question: [row for row in rows if row.question is question] for question in Question}
    return {question: some for question, some in by.items() if some}


def explained(rows: Iterable[Figure]) -> list[tuple[str, str]]:
    """Each special word and reason code that these figures use, and what it means."""
    text = " ".join(f"{row.name} {row.note} {goal_text(row)} {found_text(row)}" for row in rows)
    words = [(word, stated) for word, stated in _WORDS.items() if re.search(rf"\b{word}", text)]
    codes = sorted(set(_CODE.findall(text)) & set(Reason.__members__))
    return [*words, *((code, Reason[code].happened) for code in codes)]


def verdict(rows: Sequence[Figure], skipped: Sequence[str]) -> str:
    """The whole of it in one line; a question of safety without a trial is never left out."""
    goals = [row for row in rows if row.state in (State.HELD, State.MISSED)]
    missed = sum(row.state is State.MISSED for row in goals)
    if not goals:
        lines = ["No goal was tried."]
    elif missed:
        failed = [row.question for row in goals if row.state is State.MISSED]
        asked = dict.fromkeys(f'"{question.value}"' for question in failed)
        lines = [f"{missed} of {len(goals)} goals missed: {', '.join(asked)}."]
    else:
        lines = [f"{_all(len(goals))} reached."]
    for question, some in questions(rows).items():
        aimed = [row for row in some if row.target != "reported"]
        untried = [row for row in aimed if row.state is State.NOT_TRIED]
        if untried and question.safety:
            part = "at all" if len(untried) == len(aimed) else "in part"
            why = "; ".join(dict.fromkeys(row.note for row in untried))
            lines.append(f'Not tried {part}, so not shown to be safe: "{question.value}" ({why}).')
    others = sum(row.state is State.NOT_TRIED and not row.question.safety for row in rows)
    if others:
        lines.append(f"{others} other {'figures were' if others > 1 else 'figure was'} not tried.")
    if skipped:
        lines.append(f"{len(skipped)} recording{'s' * (len(skipped) != 1)} could not be used.")
    return " ".join(lines)


def _all(count: int) -> str:
    return "The one goal that was tried is" if count == 1 else f"All {count} goals tried are"
