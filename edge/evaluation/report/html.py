"""What the evaluation's pages are built from: a shell, the head, pictures, and tables.

A page has no scripts, fonts or outside links, and its content policy forbids them.
It follows the reader's light or dark setting and fits a phone.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from edge.evaluation.report.figure import Figure, State
from edge.evaluation.report.words import (
    HOW,
    Head,
    explained,
    found_text,
    goal_text,
    questions,
)
from edge.report.style import CSS

_OWN_CSS = """
main p{max-width:46rem}
.found{font-size:1.1rem;font-weight:600}
.stills{display:grid;grid-template-columns:repeat(auto-fill,minmax(10rem,1fr));gap:1rem;margin-top:1rem}
.stills figure{margin:0}.stills img{width:100%;border:1px solid var(--line)}
.stills figcaption{display:block;margin-top:.25rem;overflow-wrap:anywhere}
.stills b{color:var(--text)}
svg{max-width:100%;height:auto}
td small{display:block}
td.ok,td.no,td.verdict{white-space:nowrap;font-weight:600}
td>div{min-width:0}
.words{font-size:.85rem}.words dd{margin-bottom:.25rem}
@media (max-width:40rem){td:first-child{font-weight:600}td:first-child::before{display:none}
td>div{overflow-wrap:anywhere}}
details{margin:1rem 0}summary{font-weight:600}
"""
_VERDICTS = {
    State.HELD: ("ok", "✓ held"),
    State.MISSED: ("no", "✗ missed"),
    State.REPORTED: ("verdict", "reported"),
    State.NOT_TRIED: ("verdict", "– not tried"),
}


def shell(head: Head, body: str) -> str:
    """The whole page: three sentences, then `body`."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>framegate evaluation</title><style>{CSS}{_OWN_CSS}</style></head><body>"
        f"<header><h1>framegate evaluation</h1><p>{escape(head.asked)}</p>"
        f'<p>{escape(head.tried)}</p><p class="found">{escape(head.found)}</p></header>'
        f"<main>{body}</main></body></html>\n"
    )


def name_of(recording: str) -> str:
    """A recording's name; a long one may go on in the next line after each word."""
    return escape(recording).replace("_", "_<wbr>")


def section(head: str, body: str) -> str:
    return f"<section><h2>{escape(head)}</h2>{body}</section>"


def image(data: bytes, kind: str, alt: str) -> str:
    """A picture inside the page; `kind` is png or jpeg."""
    text = base64.b64encode(data).decode()
    return f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{text}">'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already; on a phone each cell carries its heading."""
    return _table(
        heads, ["".join(_cell(*pair) for pair in zip(heads, row, strict=True)) for row in rows]
    )


def tables(rows: Sequence[Figure]) -> str:
    """One table a question, with its special words."""
    heads = ["What was measured", "Found", "Goal", "Verdict"]
    found = ""
    for question, some in questions(rows).items():
        body = _table(heads, [_figure(heads, row) for row in some])
        stated = explained(some)
        words = f'<dl class="words">{_items(stated)}</dl>' if stated else ""
        found += section(question.value, f"<p>{escape(HOW[question])}</p>{body}{words}")
    return found


def plain_facts(facts: Sequence[tuple[str, str]]) -> str:
    return f"<dl>{_items(facts)}</dl>"


def _items(facts: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(stated)}</dd></div>" for name, stated in facts
    )


def _figure(heads: Sequence[str], row: Figure) -> str:
    kind, stated = _VERDICTS[row.state]
    note = f"<small>{escape(row.note)}</small>" if row.note else ""
    missing = row.state is State.NOT_TRIED
    cells = [
        escape(row.name),
        (note or "-") if missing else _number(found_text(row)) + note,
        _number(goal_text(row)),
    ]
    return (
        "".join(_cell(*pair) for pair in zip(heads[:3], cells, strict=True))
        + f'<td class="{kind}" data-head="{heads[3]}">{stated}</td>'
    )


def _number(text: str) -> str:
    """As HTML; a number stays with its per cent sign."""
    return escape(text).replace(" %", "&nbsp;%")


def _cell(head: str, cell: str) -> str:
    return f'<td data-head="{escape(head)}"><div>{cell}</div></td>'


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
