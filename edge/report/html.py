"""What every page is built from: the shell, sections, tables, facts and pictures.

A page has no fonts and no outside links, and its content policy forbids them. It follows
the reader's light or dark setting and fits a phone. Style sheets and scripts are files
beside the module that uses them. `page.css` is every page's; its text contrast is at
least 4.5:1 in both schemes, and its classes `good`, `bad`, `wait` and `none` are those
of `marks.Mark`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from edge.files import packaged


def asset(package: str, name: str) -> str:
    """The text of a style sheet or a script of the product."""
    return packaged(package).joinpath(name).read_text(encoding="utf-8")


_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
CSS = asset("edge.report", "page.css")


def escape(words: str) -> str:
    """As `html.escape`, whose module holds a table of all entities in memory."""
    return words.translate(_ENTITIES)


class Markup(str):
    """HTML of our own making, which is not escaped again."""


def text(words: str) -> str:
    """As HTML: escaped, unless it is `Markup`."""
    return words if isinstance(words, Markup) else escape(words)


def file_page(title: str, body: str, *, style: str = "", images: bool = False) -> str:
    """A page to keep as a file, without scripts; `images` may stand in the page itself."""
    allowed = "img-src data:; " if images else ""
    policy = f"default-src 'none'; {allowed}style-src 'unsafe-inline'"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return _document(title, head, CSS + style, body)


def served_page(title: str, body: str, style: str, script: str) -> str:
    """A page that a server gives with `content_policy`: fresh without scripts, too."""
    head = '<noscript><meta http-equiv="refresh" content="5"></noscript>'
    return _document(title, head, style, f"{body}<script>{script}</script>")


def content_policy(style: str, script: str, forms: str = "'none'") -> str:
    """The header that lets a served page use these two and nothing else.

    Args:
        forms: where forms may be sent, as in `form-action`.
    """
    return (
        f"default-src 'none'; style-src 'sha256-{_digest(style)}'; "
        f"script-src 'sha256-{_digest(script)}'; connect-src 'self'; "
        f"base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
    )


def section(head: str, body: str) -> str:
    """A part of a page; `body` is HTML."""
    return f"<section><h2>{escape(head)}</h2>{body}</section>"


def facts(pairs: Iterable[tuple[str, object]], kind: str = "") -> str:
    """Names, each with what holds of it; `kind` is a class."""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(stated))}</dd></div>"
        for name, stated in pairs
    )
    return f"<dl{_class(kind)}>{items}</dl>"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    numbers: Collection[int] = (),
    kind: str = "",
) -> str:
    """A table, of which a phone shows each row as a list, each cell with its heading.

    Args:
        rows: the cells, which are escaped unless they are `Markup`.
        numbers: columns whose digits stand below each other.
        kind: a class.
    """
    cells = "".join(f'<th scope="col" role="columnheader">{escape(head)}</th>' for head in heads)
    lines = "".join(f'<tr role="row">{_cells(heads, row, numbers)}</tr>' for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<table role="table"{_class(kind)}>{title}<thead><tr role="row">{cells}</tr></thead>'
        f"<tbody>{lines}</tbody></table>"
    )


def table_of(rows: Sequence[Mapping[str, str]], **how: Any) -> str:
    """`table` of rows, at least one, whose cells stand under their headings in each."""
    return table(list(rows[0]), [list(row.values()) for row in rows], **how)


def image(data: bytes, kind: str, alt: str, width: int | None = None) -> str:
    """A picture inside the page; `kind` is png or jpeg, `width` in pixels."""
    wide = "" if width is None else f' width="{width}"'
    inside = base64.b64encode(data).decode()
    return f'<img{wide} alt="{escape(alt)}" src="data:image/{kind};base64,{inside}">'


def _document(title: str, head: str, style: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">{head}'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{body}</body></html>\n"
    )


def _cells(heads: Sequence[str], row: Sequence[str], numbers: Collection[int]) -> str:
    """The cells of a row; what is in one stays together where a phone shows a list."""
    return "".join(
        f'<td role="cell" data-head="{escape(head)}"{_class("num" if column in numbers else "")}>'
        f"{f'<div>{text(cell)}</div>' if cell else ''}</td>"
        for column, (head, cell) in enumerate(zip(heads, row, strict=True))
    )


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _digest(asset_text: str) -> str:
    return base64.b64encode(hashlib.sha256(asset_text.encode()).digest()).decode()
