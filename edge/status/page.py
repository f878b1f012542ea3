"""The status page as HTML: readable without scripts, kept fresh by a few lines where they run.

No asset comes from elsewhere. Words and shapes show the state, colour only
repeats it. There is no picture of the scene and no score of the view.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from edge.audit.proofs.tiled import size_of
from edge.clock import S
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
    table_of,
)
from edge.report.marks import Mark
from edge.report.timeline import DEFS, Run, Span, strip
from edge.status.alive import camera_silence, headline, unproven_board
from edge.status.scales import BUCKETS_US, STRIP_S

_MARKS = {"g": Mark.GOOD, "w": Mark.WAIT, "b": Mark.BAD, ".": Mark.NONE}
_NONE_YET = "<p>none yet</p>"
_WORDS = {"g": "frames passed", "w": "waiting", "b": "blocked for a cause", ".": "no frames"}
_PHASES = {
    "starting": "The guard is starting.",
    "waiting": "The guard ended and will start again:",
    "over": "The guard has ended:",
    "stopped": "The daemon has stopped.",
}
_STYLE, _SCRIPT = CSS + asset("edge.status", "page.css"), asset("edge.status", "page.js")
CONTENT_POLICY = content_policy(_STYLE, _SCRIPT)


def render(snapshot: dict[str, Any], *, age_s: float, stale: bool) -> str:
    """The whole page; `stale` if the daemon reports nothing any more."""
    permitted = snapshot["permitted"] and not stale
    title = "passing" if permitted else "blocked"
    return served_page(
        f"framegate: {title}",
        '<a class="skip" href="#evidence">Skip to the evidence</a>'
        f"<header><h1>framegate</h1><p>{_subject(snapshot)}</p>"
        '<button id="pause" aria-pressed="false" hidden>Pause refreshing</button></header>'
        f"<main>{DEFS}{_state(snapshot, age_s, stale, permitted)}{_others(snapshot, stale)}"
        f"{_strip(snapshot)}"
        f"{_evidence(snapshot)}{_latency(snapshot)}{_transitions(snapshot)}{_health(snapshot)}</main>"
        "<footer><p>This page shows no picture of the scene and no score of the view. "
        '<a href="/status.json">JSON</a> <a href="/metrics">metrics</a> '
        '<a href="/healthz">health</a></p></footer>',
        _STYLE,
        _SCRIPT,
    )


def _subject(snapshot: dict[str, Any]) -> str:
    facts = snapshot["facts"]
    if not facts:
        return "no guard is running"
    parts = [facts["site"] or "no site", f"lane {facts['lane']}", f"policy {facts['pack']}"]
    if board := unproven_board(facts):
        parts.append(board)
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
        {
            "matcher": o["name"],
            "lane": o["lane"],
            "state": "frames pass" if o["permitted"] and not stale else "blocked",
            "why": _why(o),
            **{of: str(o["frames"][of]) for of in ("released", "blocked")},
        }
        for o in snapshot["also"]
    ]
    note = "<p>What follows is the first matcher's.</p>"
    return section("Other matchers on this camera", table_of(rows) + note)


def _why(other: dict[str, Any]) -> Markup:
    """Why a matcher beside the first gets nothing, and what to do."""
    tried = [f"It tried: <b>{escape(other['escape'])}</b>."] if other["escape"] else []
    return Markup("<br>".join([*tried, *map(_reason, other["reasons"])]))


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
    return section(
        f"The last {minutes} minutes",
        f"<figure>{picture}"
        f'<p class="ends"><small>{minutes} minutes ago</small><small>now</small></p>'
        '<figcaption><span class="key"><i class="k-good"></i>frames passed</span>'
        '<span class="key"><i class="k-bad"></i>blocked for a cause</span>'
        '<span class="key"><i class="k-wait"></i>waiting</span>'
        '<span class="key"><i class="k-none"></i>no frames</span></figcaption></figure>'
        f"<p>{counts['released']} frames released, {counts['blocked']} blocked "
        f"since {_time(snapshot['began_s'])}.</p>",
    )


def _evidence(snapshot: dict[str, Any]) -> str:
    rows = [
        (r["source"], _holds(r["good"]), f"{r['age_s']:.1f} s", ", ".join(r["reasons"]))
        for r in snapshot["evidence"]
    ]
    heads = ("evidence", "state", "age", "why it is not good")
    body = table(heads, rows, kind="keep") if rows else _NONE_YET
    return f'<section id="evidence" tabindex="-1"><h2>Evidence</h2>{body}</section>'


def _latency(snapshot: dict[str, Any]) -> str:
    counts: list[int] = snapshot["gate_buckets"]
    most = max(counts) or 1
    tops = [f"to {top} µs" if top < 1000 else f"to {top // 1000} ms" for top in BUCKETS_US]
    tops.append("longer")
    rows = [(top, str(n), _bar(n / most)) for top, n in zip(tops, counts, strict=True)]
    times = snapshot["gate_us"]
    line = (
        f"p50 {times['p50']:.0f} µs, p99 {times['p99']:.0f} µs, p99.9 {times['p999']:.0f} µs"
        if times
        else "no frame yet"
    )
    body = table(("time", "frames", "share"), rows, numbers=(1,), kind="keep")
    return section("Time the gate spends on a frame", f"<p>{line}</p>{body}")


def _bar(share: float) -> Markup:
    return Markup(
        '<svg width="100%" height="12" aria-hidden="true">'
        f'<rect class="bar" width="{100 * share:.1f}%" height="12"/></svg>'
    )


def _transitions(snapshot: dict[str, Any]) -> str:
    signed = size_of(snapshot["checkpoint"])
    rows = [
        {
            "at": _time(t["at_s"]),
            "verdict": "permitted" if t["permitted"] else "blocked",
            "context": t["context"],
            "why": t.get("what") or ", ".join(t["reasons"]),
            "rules": ", ".join(t["rules"]),
            "log entry": _proof(t.get("entry"), signed),
        }
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
    return section("Changes", (table_of(rows) if rows else _NONE_YET) + prove)


def _proof(entry: int | None, signed: int) -> str:
    """The entry's number; it leads to its proof once a checkpoint covers it."""
    if entry is None or entry >= signed:
        return "" if entry is None else str(entry)
    return Markup(
        f'<a href="/proof/{entry:d}" download="{entry:d}.proof" '
        f'aria-label="proof of entry {entry:d}">{entry:d}</a>'
    )


def _health(snapshot: dict[str, Any]) -> str:
    known, health = snapshot["facts"], snapshot["health"]
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
    if known:
        left_out = ", ".join(known["left_out"]) or "nothing"
        pairs += [
            ("camera", known["camera"]),
            ("board", unproven_board(known) or known["board_kind"]),
            ("release", known["release"]),
            ("dwell", f"{known['dwell_s']:g} s"),
            ("policy digest", known["policy"][:16]),
            ("sandbox layers left out", left_out),
            ("version", known["version"]),
        ]
    return section("Health", facts(pairs))


def _holds(good: bool) -> str:
    return "good" if good else "not good"


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
