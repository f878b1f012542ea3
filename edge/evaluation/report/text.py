"""The report on the terminal: the same words as on the page, without its pictures."""

from __future__ import annotations

from collections.abc import Sequence

from edge.evaluation.report.figure import Figure, State
from edge.evaluation.report.words import Head, explained, found_text, goal_text, questions


def lines(head: Head, rows: Sequence[Figure]) -> list[str]:
    """What was asked, then each question with its figures and special words."""
    stated = [head.asked, head.tried]
    for question, some in questions(rows).items():
        stated += ["", question.value, *(f"  {_line(row)}" for row in some)]
        stated += [f"    {word}: {meaning}" for word, meaning in explained(some)]
    return stated


def _line(row: Figure) -> str:
    note = f" ({row.note})" if row.note else ""
    if row.state is State.NOT_TRIED:
        return f"NOT TRIED  {row.name}{note}"
    if row.state is State.REPORTED:
        return f"           {row.name}: {found_text(row)}{note}"
    mark = "held     " if row.state is State.HELD else "MISSED   "
    return f"{mark}  {row.name}: {found_text(row)}{note}, goal {goal_text(row)}"
