"""The status page as HTML: readable without scripts, kept fresh by a few lines where they run.

No asset comes from elsewhere. Words and shapes show the state, colour only
repeats it. There is no picture of the scene and no score of the view.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from typing import Any

from edge.audit.proofs.tiled import size_of
from edge.clock import S
from edge.report.style import CSS
from edge.report.timeline import DEFS, Mark, Run, Span, strip
from edge.status.alive import camera_silence, headline
from edge.status.scales import BUCKETS_US, STRIP_S

_MARKS = {"g": Mark.GOOD, "w": Mark.WAIT, "b": Mark.BAD, ".": Mark.NONE}
_WORDS = {"g": "frames passed", "w": "waiting", "b": "blocked for a cause", ".": "no frames"}
_PHASES = {
    "starting": "The guard is starting.",
    "waiting": "The guard ended and will start again:",
    "over": "The guard has ended:",
    "stopped": "The daemon has stopped.",
}
_STYLE = (
    CSS
    + """
.state{border:2px solid;border-radius:.5rem;padding:.75rem 1rem;margin:1rem 0}
.state strong{font-size:1.8rem;display:block}
.state.yes{border-color:var(--good)}.state.yes strong{color:var(--good)}
.state.no{border-color:var(--bad);border-style:dashed;white-space:normal;color:inherit}
.state.no strong{color:var(--bad)}
.bar{fill:var(--good)}
button{font:inherit;min-height:2.75rem;padding:0 1rem;border:1px solid var(--soft);
border-radius:.4rem;background:var(--rail);color:inherit;cursor:pointer}
.ends{display:flex;justify-content:space-between;margin:0}
:focus-visible{outline:3px solid currentColor;outline-offset:2px}
@media (max-width:40rem){.keep thead{position:static;width:auto;height:auto;clip-path:none}
.keep tr{display:table-row}.keep td{display:table-cell;padding:.25rem .6rem .25rem 0}
.keep td::before{content:none}.keep td:last-child{width:40%;overflow-wrap:anywhere}
table:not(.keep) td:empty{display:none}}
.skip{position:absolute;left:-99rem}.skip:focus{position:static}
"""
)
_SCRIPT = """
const main=document.querySelector("main");
async function fresh(){
  try{
    const answer=await fetch("/",{cache:"no-store"});
    const next=new DOMParser().parseFromString(await answer.text(),"text/html");
    const parts=next.querySelector("main").children;
    if(parts.length!==main.children.length)return location.reload();
    [...main.children].forEach((part,i)=>{  // what stays the same is left alone: focus, live region
      if(part.outerHTML===parts[i].outerHTML)return;
      part.className=parts[i].className;
      part.innerHTML=parts[i].innerHTML;
    });
    document.title=next.title;
  }catch(gone){document.getElementById("word").textContent="The daemon does not answer.";}
}
const pause=document.getElementById("pause");
pause.hidden=false;
setInterval(()=>{if(!document.hidden&&pause.getAttribute("aria-pressed")!=="true")fresh();},2000);
pause.onclick=()=>{
  const on=pause.getAttribute("aria-pressed")!=="true";
  pause.setAttribute("aria-pressed",on);
  pause.textContent=on?"Go on refreshing":"Pause refreshing";
};
"""


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


CONTENT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_digest(_STYLE)}'; "
    f"script-src 'sha256-{_digest(_SCRIPT)}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def render(snapshot: dict[str, Any], *, age_s: float, stale: bool) -> str:
    """The whole page; `stale` if the daemon reports nothing any more."""
    permitted = snapshot["permitted"] and not stale
    title = "passing" if permitted else "blocked"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<noscript><meta http-equiv="refresh" content="5"></noscript>'
        f"<title>framegate: {title}</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#evidence">Skip to the evidence</a>'
        f"<header><h1>framegate</h1><p>{_subject(snapshot)}</p>"
        '<button id="pause" aria-pressed="false" hidden>Pause refreshing</button></header>'
        f"<main>{DEFS}{_state(snapshot, age_s, stale, permitted)}{_others(snapshot, stale)}"
        f"{_strip(snapshot)}"
        f"{_evidence(snapshot)}{_latency(snapshot)}{_transitions(snapshot)}{_health(snapshot)}</main>"
        "<footer><p>This page shows no picture of the scene and no score of the view. "
        '<a href="/status.json">JSON</a> <a href="/metrics">metrics</a> '
        '<a href="/healthz">health</a></p></footer>'
        f"<script>{_SCRIPT}</script></body></html>"
    )


def _subject(snapshot: dict[str, Any]) -> str:
    facts = snapshot["facts"]
    if not facts:
        return "no guard is running"
    parts = [facts["site"] or "no site", f"lane {facts['lane']}", f"policy {facts['pack']}"]
    if facts["board_kind"] == "virtual":
        parts.append("virtual board")
    return escape(", ".join(parts))


def _state(snapshot: dict[str, Any], age_s: float, stale: bool, permitted: bool) -> str:
    word = "Everything is blocked" if stale else headline(snapshot).capitalize()
    kind = "yes" if permitted else "no"
    lines = []
    if stale:
        lines.append(f"The daemon has reported nothing for {age_s:.0f} s.")
    elif snapshot["phase"] != "running":
        lines.append(f"{escape(_PHASES[snapshot['phase']])} {escape(snapshot['trouble'])}")
    if silence := camera_silence(snapshot):
        lines.append(escape(silence))
    if snapshot["escape"]:
        lines.append(f"The matcher tried: <b>{escape(snapshot['escape'])}</b>.")
    lines += map(_reason, snapshot["reasons"])
    rules = "".join(
        f"<li><b>{escape(rule['id'])}</b> {_quoted(rule)}</li>" for rule in snapshot["rules"]
    )
    clauses = f"<h2>Rules that decided</h2><ul>{rules}</ul>" if rules else ""
    why = "".join(f"<p>{line}</p>" for line in lines)
    return (
        f'<div class="state {kind}" role="status"><strong id="word">{word}</strong>'
        f"<p>Context: {escape(snapshot['context'])}</p>{why}</div><div>{clauses}</div>"
    )


def _quoted(rule: dict[str, str]) -> str:
    if not rule["says"]:
        return ""
    return f"<q>{escape(rule['says'])}</q> <small>{escape(rule['source'])}</small>"


def _others(snapshot: dict[str, Any], stale: bool) -> str:
    """The matchers beside the first, a row each; nothing where there are none."""
    if not snapshot["also"]:
        return ""
    rows = [
        (
            o["name"],
            o["lane"],
            "frames pass" if o["permitted"] and not stale else "blocked",
            _why(o),
            f"{o['frames']['released']}",
            f"{o['frames']['blocked']}",
        )
        for o in snapshot["also"]
    ]
    heads = ("matcher", "lane", "state", "why", "released", "blocked")
    return (
        f"<section><h2>Other matchers on this camera</h2>{_table(heads, rows)}"
        "<p>What follows is the first matcher's.</p></section>"
    )


def _why(other: dict[str, Any]) -> str:
    """Why a matcher beside the first gets nothing, and what to do."""
    tried = [f"It tried: <b>{escape(other['escape'])}</b>."] if other["escape"] else []
    return _Markup("<br>".join([*tried, *map(_reason, other["reasons"])]))


def _reason(reason: dict[str, str]) -> str:
    return (
        f"<b>{escape(reason['code'])}</b> {escape(reason['happened'])} "
        f"<small>{escape(reason['next'])}</small>"
    )


def _strip(snapshot: dict[str, Any]) -> str:
    signs = snapshot["strip"]
    runs: list[Run] = []
    for second, sign in enumerate(signs):
        if runs and runs[-1].mark is _MARKS[sign]:
            runs[-1] = Run(runs[-1].from_ns, (second + 1) * S, runs[-1].mark, runs[-1].label)
        else:
            runs.append(Run(second * S, (second + 1) * S, _MARKS[sign], _WORDS[sign]))
    minutes = STRIP_S // 60
    picture = strip("verdicts", f"Verdicts of {minutes} minutes", runs, Span(0, STRIP_S * S))
    counts = snapshot["frames"]
    return (
        f"<section><h2>The last {minutes} minutes</h2><figure>{picture}"
        f'<p class="ends"><small>{minutes} minutes ago</small><small>now</small></p>'
        '<figcaption><span class="key"><i class="k-good"></i>frames passed</span>'
        '<span class="key"><i class="k-bad"></i>blocked for a cause</span>'
        '<span class="key"><i class="k-wait"></i>waiting</span>'
        '<span class="key"><i class="k-none"></i>no frames</span></figcaption></figure>'
        f"<p>{counts['released']} frames released, {counts['blocked']} blocked "
        f"since {_time(snapshot['began_s'])}.</p></section>"
    )


def _evidence(snapshot: dict[str, Any]) -> str:
    rows = [
        (r["source"], _holds(r["good"]), f"{r['age_s']:.1f} s", ", ".join(r["reasons"]))
        for r in snapshot["evidence"]
    ]
    heads = ("evidence", "state", "age", "why it is not good")
    table = _table(heads, rows, keep=True)
    return f'<section id="evidence" tabindex="-1"><h2>Evidence</h2>{table}</section>'


def _latency(snapshot: dict[str, Any]) -> str:
    counts: list[int] = snapshot["gate_buckets"]
    most = max(counts) or 1
    tops = [f"to {top} µs" if top < 1000 else f"to {top // 1000} ms" for top in BUCKETS_US]
    tops.append("longer")
    rows = "".join(
        f'<tr><td data-head="time">{top}</td><td class="num" data-head="frames">{count}</td>'
        f'<td><svg width="100%" height="12" aria-hidden="true">'
        f'<rect class="bar" width="{100 * count / most:.1f}%" height="12"/></svg></td></tr>'
        for top, count in zip(tops, counts, strict=True)
    )
    times = snapshot["gate_us"]
    line = (
        f"p50 {times['p50']:.0f} µs, p99 {times['p99']:.0f} µs, p99.9 {times['p999']:.0f} µs"
        if times
        else "no frame yet"
    )
    return (
        f"<section><h2>Time the gate spends on a frame</h2><p>{line}</p><table class='keep'>"
        '<thead><tr><th scope="col">time</th><th scope="col">frames</th><th scope="col">'
        f'<span aria-hidden="true">share</span></th></tr></thead><tbody>{rows}</tbody></table>'
        "</section>"
    )


def _transitions(snapshot: dict[str, Any]) -> str:
    signed = size_of(snapshot["checkpoint"])
    rows = [
        (
            _time(t["at_s"]),
            "permitted" if t["permitted"] else "blocked",
            t["context"],
            t.get("what") or ", ".join(t["reasons"]),
            ", ".join(t["rules"]),
            _proof(t.get("entry"), signed),
        )
        for t in snapshot["transitions"]
    ]
    audit = snapshot["facts"].get("audit", "")
    prove = ""
    if audit:
        prove = (
            "<p>The signed log keeps these changes. The number in the last column is the entry "
            "in the log; it links to a proof of the entry. Anybody who has the proof and the "
            "public key can check it with "
            "<code>framegate audit verify-proof N.proof --key log.pub</code>. "
            f"<code>framegate audit prove {escape(audit)} --entry N --out N.proof</code> writes "
            "the same proof.</p>"
        )
    heads = ("at", "verdict", "context", "why", "rules", "log entry")
    return f"<section><h2>Changes</h2>{_table(heads, rows)}{prove}</section>"


def _proof(entry: int | None, signed: int) -> str:
    """The entry's number; it leads to its proof once a checkpoint covers it."""
    if entry is None or entry >= signed:
        return "" if entry is None else str(entry)
    return _Markup(
        f'<a href="/proof/{entry:d}" download="{entry:d}.proof" '
        f'aria-label="proof of entry {entry:d}">{entry:d}</a>'
    )


def _health(snapshot: dict[str, Any]) -> str:
    facts, health = snapshot["facts"], snapshot["health"]
    pairs = [
        ("restarts", f"{health['restarts']}"),
        ("matchers lost", f"{health['matcher_lost']}"),
        ("lines of the matcher left out", f"{health['matcher_lines_left_out']}"),
        ("last problem", snapshot["trouble"] or "none"),
        *(
            (f"heartbeat of {name}", "never" if a is None else f"{a * 1000:.0f} ms ago")
            for name, a in health["beats_s"].items()
        ),
    ]
    if facts:
        left_out = ", ".join(facts["left_out"]) or "nothing"
        pairs += [
            ("camera", facts["camera"]),
            ("board", facts["board_kind"]),
            ("release", facts["release"]),
            ("dwell", f"{facts['dwell_s']:g} s"),
            ("policy digest", facts["policy"][:16]),
            ("sandbox layers left out", left_out),
            ("version", facts["version"]),
        ]
    items = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in pairs)
    return f"<section><h2>Health</h2><dl>{items}</dl></section>"


class _Markup(str):
    """HTML of our own making, which is not escaped again."""


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, keep: bool = False) -> str:
    """A table; on a phone each row becomes a list unless `keep`."""
    if not rows:
        return "<p>none yet</p>"
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-head="{escape(name)}">'
            f"{cell if isinstance(cell, _Markup) else escape(cell)}</td>"
            for name, cell in zip(heads, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    kind = ' class="keep"' if keep else ""
    return f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _holds(good: bool) -> str:
    return "good" if good else "not good"


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
