"""The fleet page as HTML: a table with a filter, states over time, and a page for each device.

Readable without scripts, kept fresh by a few lines where they run. No asset comes from
elsewhere, and everything that a device says is escaped. Words show the state; colour
and shape only repeat it. Pure: rows and the time come in.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from urllib.parse import quote, urlencode

from edge.clock import S
from edge.fleet.state.findings import Finding, moment
from edge.fleet.state.fleet import Row
from edge.report.style import CSS
from edge.report.timeline import DEFS, Mark, Run, Span, strip

ROWS = 100  # on one page
SPAN_S = 3600  # of the timelines
_BAD = frozenset(finding.value for finding in Finding)
_STYLE = (
    CSS
    + """
.alarm{border:2px dashed var(--bad);border-radius:.5rem;padding:.5rem 1rem;margin:1rem 0}
.fine{border:2px solid var(--good);border-radius:.5rem;padding:.5rem 1rem;margin:1rem 0}
form{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:end;margin:1rem 0}
input,select,button{font:inherit;min-height:2.75rem;padding:0 .6rem;border:1px solid var(--soft);
border-radius:.4rem;background:var(--rail);color:inherit}
pre{overflow-x:auto;background:var(--rail);padding:.5rem}
td svg{min-width:8rem}
:focus-visible{outline:3px solid currentColor;outline-offset:2px}
"""
)
_SCRIPT = """
const main=document.querySelector("main");
setInterval(async()=>{
  if(document.hidden)return;
  try{
    const answer=await fetch(location.href,{cache:"no-store"});
    const next=new DOMParser().parseFromString(await answer.text(),"text/html");
    const fresh=next.querySelector("main");
    if(fresh.innerHTML!==main.innerHTML)main.innerHTML=fresh.innerHTML;
    document.title=next.title;
  }catch(gone){document.getElementById("word").textContent="The fleet page does not answer.";}
},2000);
"""


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


CONTENT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_digest(_STYLE)}'; "
    f"script-src 'sha256-{_digest(_SCRIPT)}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
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
    pairs = [(key, "" if value is None else f"{value}") for key, value in row.data().items()]
    items = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>"
        for key, value in pairs
        if key != "findings"
    )
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
        link = escape(url, quote=True)
        last = state.size - 1 if state is not None and state.size else None
        proofs += f'<p>Its own page: <a href="{link}/" rel="noreferrer">{link}</a>'
        if last is not None:
            proofs += f', <a href="{link}/proof/{last}" rel="noreferrer">proof of entry {last}</a>'
        proofs += "</p>"
    kind = "alarm" if row.found else "fine"
    body = (
        f'<p><a href="/">all devices</a></p><div class="{kind}" role="status">'
        f'<strong id="word">{escape(row.shown)}</strong><ul>{found}</ul></div>'
        f"<section><h2>The last hour</h2>{_strip(one, now_s)}</section>"
        f"<section><h2>What is known</h2><dl>{items}</dl></section>"
        f"<section><h2>Proofs</h2>{proofs}</section>"
    )
    return _page(row.device.name, body, now_s, "")


def _page(title: str, body: str, now_s: int, head: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<noscript><meta http-equiv="refresh" content="5"></noscript>'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>framegate: {escape(title)}</h1></header>{head}<main>{DEFS}{body}"
        f"<p><small>As of {moment(now_s)}.</small></p></main>"
        '<footer><p><a href="/fleet.json">JSON</a></p></footer>'
        f"<script>{_SCRIPT}</script></body></html>"
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
        f'value="{escape(only.text, quote=True)}"></label>'
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
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    rows = []
    for one in listed:
        row = one.row
        state = None if row.heard is None else row.heard.state
        why = "; ".join(found.detail for found in row.found)
        if not why and state is not None:
            why = ", ".join(reason.value for reason in state.reasons)
        name = row.device.name
        cells = (
            f'<a href="/device/{quote(name)}">{escape(name)}</a>',
            f'<span class="{"no" if row.found else "ok"}">{escape(row.shown)}</span>',
            "-" if state is None else f"{state.size}",
            "-" if row.witnessed is None else f"{row.witnessed.head.size}",
            escape(why),
            _strip(one, now_s),
        )
        rows.append(
            "<tr>"
            + "".join(
                f'<td data-head="{name}">{cell}</td>'
                for name, cell in zip(heads, cells, strict=True)
            )
            + "</tr>"
        )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


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
