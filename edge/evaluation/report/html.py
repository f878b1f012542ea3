"""What the evaluation's pages are built from: the head, names, and tables of figures."""

from __future__ import annotations

from collections.abc import Sequence

from edge.evaluation.report.figure import Figure, State
from edge.evaluation.report.words import HOW, Head, explained, found_text, goal_text, questions
from edge.report.html import Markup, asset, escape, facts, file_page, section, table

_VERDICTS = {
    State.HELD: ("ok", "✓ held"),
    State.MISSED: ("no", "✗ missed"),
    State.REPORTED: ("verdict", "reported"),
    State.NOT_TRIED: ("verdict", "– not tried"),
}


def shell(head: Head, body: str) -> str:
    """The whole page: three sentences, then `body`."""
    return file_page(
        "framegate evaluation",
        f"<header><h1>framegate evaluation</h1><p>{escape(head.asked)}</p>"
        f'<p>{escape(head.tried)}</p><p class="found">{escape(head.found)}</p></header>'
        f"<main>{body}</main>",
        style=asset("edge.evaluation.report", "page.css"),
        images=True,
    )


def unused(skipped: Sequence[str]) -> str:
    """The recordings that could not be used, and why; nothing where all were."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in skipped)
    return section("Recordings that could not be used", f"<ul>{lines}</ul>") if lines else ""


def name_of(recording: str) -> Markup:
    """A recording's name; a long one may go on in the next line after each word."""
    return Markup(escape(recording).replace("_", "_<wbr>"))


def tables(rows: Sequence[Figure]) -> str:
    """One table a question, with its special words."""
    heads = ["What was measured", "Found", "Goal", "Verdict"]
    found = ""
    for question, some in questions(rows).items():
        body = table(heads, [_figure(row) for row in some])
        stated = explained(some)
        words = facts(stated, "words") if stated else ""
        found += section(question.value, f"<p>{escape(HOW[question])}</p>{body}{words}")
    return found


def _figure(row: Figure) -> list[str]:
    kind, stated = _VERDICTS[row.state]
    note = f"<small>{escape(row.note)}</small>" if row.note else ""
    missing = row.state is State.NOT_TRIED
    return [
        row.name,
        Markup((note or "-") if missing else _number(found_text(row)) + note),
        _number(goal_text(row)),
        Markup(f'<b class="{kind}">{stated}</b>'),
    ]


def _number(text: str) -> Markup:
    """As HTML; a number stays with its per cent sign."""
    return Markup(escape(text).replace(" %", "&nbsp;%"))
