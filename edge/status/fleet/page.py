"""The fleet page as HTML: a table with a filter, states over time, and a page for each device.

Readable without scripts, kept fresh by a few lines where they run. No asset comes from
elsewhere, and everything that a device says is escaped. Words show the state; colour
and shape only repeat it. Pure: rows and the time come in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import quote, urlencode

from edge.clock import S
from edge.fleet.state.findings import Finding, moment
from edge.fleet.state.fleet import Row
from edge.report.html import (
    CSS,
    Markup,
    asset,
    content_policy,
    escape,
    facts,
    section,
    served_page,
    table,
)
from edge.report.marks import Mark
from edge.report.timeline import DEFS, Run, Span, strip

ROWS = 100  # on one page
SPAN_S = 3600  # of the timelines
_BAD = frozenset(finding.value for finding in Finding)
_STYLE = CSS + asset("edge.status.fleet", "page.css")
_SCRIPT = asset("edge.status.fleet", "page.js")
CONTENT_POLICY = content_policy(_STYLE, _SCRIPT, forms="'self'")
Changes = Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Shown:
    """A device with its history."""

    row: Row
    changes: Changes  # when it began to be shown as what


@dataclass(frozen=True, slots=True)
class Filter:
    """Which devices to list."""

    text: str = ""  # part of a name
    state: str = ""  # a state or finding; "alarm" is every finding
    first: int = 0  # of those that match

    def takes(self, row: Row) -> bool:
        if self.text.lower() not in row.device.name.lower():
            return False
        if self.state == "alarm":
            return bool(row.found)
        return self.state in ("", row.shown, *(one.finding.value for one in row.found))


def overview(fleet: Sequence[Shown], only: Filter, now_s: int, trouble: str) -> str:
    """The page of all devices; `trouble`: why the broker is not read, or nothing."""
    counts = Counter(one.row.shown for one in fleet)
    found = sum(bool(one.row.found) for one in fleet)
    critical = sum(one.row.critical for one in fleet)
    word = "Every device is in order" if not found else f"{found} of {len(fleet)} need attention"
    if critical:
        word += f", {critical} with a forked or rolled back log"
    kind = "alarm" if found or trouble else "fine"
    matching = [one for one in fleet if only.takes(one.row)]
    listed = matching[only.first : only.first + ROWS]
    summary = ", ".join(f"{count} {escape(name)}" for name, count in sorted(counts.items()))
    note = f"<p>{escape(trouble)}</p>" if trouble else ""
    body = (
        f'<div class="{kind}" role="status"><strong id="word">{escape(word)}</strong>'
        f"<p>{summary}</p>{note}</div>"
        f"<p>{len(matching)} devices match; {len(listed)} are shown"
        f"{_more(only, len(matching))}.</p>"
        f"{_table(listed, now_s)}"
    )
    title = f"fleet: {found} alarms" if found else "fleet: in order"
    return _page(title, body, now_s, _form(only, counts))


def device_page(one: Shown, now_s: int, url: str) -> str:
    """The page of one device; `url`: of its own status page, or empty."""
    row = one.row
    state = None if row.heard is None else row.heard.state
    name = quote(row.device.name)
    found = "".join(f"<li><b>{f.finding.value}</b> {escape(f.detail)}</li>" for f in row.found)
    data = row.data().items()
    pairs = [(key, "" if value is None else value) for key, value in data if key != "findings"]
    proofs = "<p>The broker has no state of this device, and so no proofs.</p>"
    if state is not None:
        parts = [("checkpoint", state.checkpoint), ("cosigned", state.cosigned)]
        proofs = "".join(
            f'<h3>{what}</h3><p><a href="/device/{name}/{what}" download>download</a></p>'
            f"<pre>{escape(text) or 'none'}</pre>"
            for what, text in parts
        )
        proofs += (
            f'<h3>consistency proof</h3><p><a href="/device/{name}/proof" download>download</a>: '
            f"{len(state.path)} hashes, from {state.old} to {state.size} entries. "
            "<code>framegate audit verify-proof proof --checkpoint cosigned --key log.pub</code> "
            "checks it.</p>"
        )
    if url:
        link = escape(url)
        last = state.size - 1 if state is not None and state.size else None
        proofs += f'<p>Its own page: <a href="{link}/" rel="noreferrer">{link}</a>'
        if last is not None:
            proofs += f', <a href="{link}/proof/{last}" rel="noreferrer">proof of entry {last}</a>'
        proofs += "</p>"
    kind = "alarm" if row.found else "fine"
    body = (
        f'<p><a href="/">all devices</a></p><div class="{kind}" role="status">'
        f'<strong id="word">{escape(row.shown)}</strong><ul>{found}</ul></div>'
        + section("The last hour", _strip(one, now_s))
        + section("What is known", facts(pairs))
        + section("Proofs", proofs)
    )
    return _page(row.device.name, body, now_s, "")


def _page(title: str, body: str, now_s: int, head: str) -> str:
    return served_page(
        title,
        f"<header><h1>framegate: {escape(title)}</h1></header>{head}<main>{DEFS}{body}"
        f"<p><small>As of {moment(now_s)}.</small></p></main>"
        '<footer><p><a href="/fleet.json">JSON</a></p></footer>',
        _STYLE,
        _SCRIPT,
    )


def _form(only: Filter, counts: Counter[str]) -> str:
    words = ["", "alarm", *sorted({*counts, *_BAD})]
    options = "".join(
        f'<option value="{escape(word)}"{" selected" * (word == only.state)}>'
        f"{escape(word) or 'every state'}</option>"
        for word in words
    )
    return (
        '<form method="get" action="/"><label>name has <input name="q" '
        f'value="{escape(only.text)}"></label>'
        f'<label>state <select name="state">{options}</select></label>'
        "<button>Filter</button></form>"
    )


def _more(only: Filter, matching: int) -> str:
    if only.first + ROWS >= matching:
        return ""
    to = urlencode({"q": only.text, "state": only.state, "first": only.first + ROWS})
    return f': <a href="/?{escape(to)}">the next {ROWS}</a>'


def _table(listed: Sequence[Shown], now_s: int) -> str:
    heads = ("device", "state", "says", "witnessed", "why", "the last hour")
    rows = []
    for one in listed:
        row = one.row
        state = None if row.heard is None else row.heard.state
        why = "; ".join(found.detail for found in row.found)
        if not why and state is not None:
            why = ", ".join(reason.value for reason in state.reasons)
        name = row.device.name
        cells = (
            Markup(f'<a href="/device/{quote(name)}">{escape(name)}</a>'),
            Markup(f'<span class="{"no" if row.found else "ok"}">{escape(row.shown)}</span>'),
            "-" if state is None else f"{state.size}",
            "-" if row.witnessed is None else f"{row.witnessed.head.size}",
            why,
            Markup(_strip(one, now_s)),
        )
        rows.append(cells)
    return table(heads, rows)


def _strip(one: Shown, now_s: int) -> str:
    first_s = now_s - SPAN_S
    moments = [*one.changes, (now_s, "")]
    runs = [
        Run(max(0, at_s - first_s) * S, (until_s - first_s) * S, _mark(word), word)
        for (at_s, word), (until_s, _) in pairwise(moments)
        if until_s > first_s
    ]
    name = f"t-{one.row.device.name}"
    return strip(name, f"States of {one.row.device.name}", runs, Span(0, SPAN_S * S))


def _mark(word: str) -> Mark:
    if word in _BAD:
        return Mark.BAD
    return Mark.GOOD if word in ("passing", "ok") else Mark.WAIT
