"""How figures are put: what was found, the goal, the verdict, and each special word.

The page and the terminal say the same words. `words.json` has how each question was
tried, and what the special words mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.evaluation.report.figure import Figure, Question, State
from edge.files import packaged
from edge.reasons import Reason

_SIGNS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_COUNTED = ("frames", "recordings", "places", "faces")  # the unit stands beside what was found
_CODE = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")

_TEXTS = json.loads(packaged("edge.evaluation.report").joinpath("words.json").read_bytes())
HOW: dict[Question, str] = {Question[name]: text for name, text in _TEXTS["how"].items()}
_WORDS: dict[str, str] = _TEXTS["words"]


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
