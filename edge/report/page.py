"""`report.html`: what happened in each scene, as one file that needs nothing else.

A table says in words what each picture shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

from edge.clock import S
from edge.evidence.readings import Reading, Source
from edge.reasons import Family
from edge.report.html import Markup, escape, facts, file_page, image, table, table_of
from edge.report.record import FrameDecision, Outcome, SceneRecord, write_atomic
from edge.report.timeline import (
    DEFS,
    MARK_PX,
    STRIP_PX,
    Run,
    Span,
    axis,
    context_runs,
    evidence_runs,
    reason_runs,
    span_of,
    strip,
    verdict_runs,
)

TITLE = "framegate report"
_MAX_ROWS = 40  # stretches listed per scene; the rest are in decisions.jsonl


def write_report(path: Path, scenes: Sequence[SceneRecord]) -> None:
    """Write the report of `scenes` to `path`, whole or not at all."""
    write_atomic(path, render(scenes))


def render(scenes: Sequence[SceneRecord]) -> str:
    """The report as text of an HTML page."""
    body = "".join(_scene(i, scene) for i, scene in enumerate(scenes, 1))
    pictured = any(scene.pictures for scene in scenes)
    holds = _PICTURED if pictured else "This file holds no picture, face or position."
    return file_page(
        TITLE,
        f"{DEFS}<header><h1>{TITLE}</h1><p>Which frames passed the gate, which did not, and why. "
        f"framegate {escape(_version())}.</p></header><main>{_overview(scenes)}{body}</main>"
        f"<footer><p>Times are seconds from the first frame of a scene. {holds}</p></footer>",
        images=pictured,
    )


def _overview(scenes: Sequence[SceneRecord]) -> str:
    if len(scenes) < 2:
        return ""
    rows = [
        {
            "Scene": Markup(f'<a href="#scene-{i}">{escape(scene.name)}</a>'),
            "What must happen": scene.must_happen,
            "Frames": str(scene.summary.frames),
            "Passed": str(scene.summary.passed),
            "Received by the matcher": "-" if scene.received is None else str(scene.received),
            "Result": _ok(scene),
        }
        for i, scene in enumerate(scenes, 1)
    ]
    return table_of(rows, caption="All scenes", numbers=(2, 3, 4))


def _scene(number: int, scene: SceneRecord) -> str:
    key = f"s{number}"
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in scene.notes)
    must = f"<p>{escape(scene.must_happen)}</p>" if scene.must_happen else ""
    return (
        f'<section id="scene-{number}" aria-labelledby="{key}-h">'
        f'<h2 id="{key}-h">{escape(scene.name)} {_ok(scene)}</h2>'
        f"{must}{notes}{_facts(scene)}{_pictures(scene)}{_picture(key, scene)}"
        f"{_reasons(scene)}{_rules(scene)}{_stretches(scene)}</section>"
    )


def _facts(scene: SceneRecord) -> str:
    summary = scene.summary
    times = summary.gate_us
    known = [
        ("Footage", scene.footage),
        ("Frames", f"{summary.frames}: {summary.passed} passed, {summary.blocked} blocked"),
        ("Received by the matcher", "no matcher" if scene.received is None else scene.received),
        ("First passed", _or_never(summary.first_pass_s)),
        ("Dwell", f"{summary.dwell_s:g} s"),
        ("Release", summary.release),
        ("Enrolment", summary.enrolment or "-"),
        ("Board", _BOARD.get(summary.board, summary.board)),
        ("Gate, p50 / p99", f"{times.p50:.0f} / {times.p99:.0f} µs" if times else "-"),
        ("Evidence", f"{summary.evidence_hz:.1f} a second" if summary.evidence_hz else "-"),
        ("Audit log", _AUDIT[summary.audit_verified]),
    ]
    return facts(known)


def _pictures(scene: SceneRecord) -> str:
    """What the viewer got, where the scene kept some of it."""
    if not scene.pictures:
        return ""
    shown = " ".join(
        image(picture, "png", f"Frame {number} as the viewer got it", 320)
        for number, picture in enumerate(scene.pictures, 1)
    )
    return f"<figure>{shown}<figcaption>As the viewer got them</figcaption></figure>"


def _picture(key: str, scene: SceneRecord) -> str:
    """Verdict, context, the reasons in force and each evidence source over one time axis."""
    span = span_of(scene.decisions)
    rows = [
        _row(f"{key}-v", "Verdict", verdict_runs(scene.decisions, span), span),
        _row(f"{key}-c", "Context", context_runs(scene.decisions, span), span),
    ]
    for reason in scene.summary.blocked_by_reason:
        runs = reason_runs(scene.decisions, reason, span)
        rows.append(_row(f"{key}-{reason.value}", reason.value, runs, span, small=True))
    for source in Source:
        readings = [r for r in scene.readings if r.source is source]
        if readings:
            runs = evidence_runs(readings, span)
            label = f"Evidence: {source.value}"
            rows.append(_row(f"{key}-{source.name}", label, runs, span, codes=_codes(readings)))
    keys = "".join(
        f'<span class="key"><i class="k-{mark}"></i>{text}</span> ' for mark, text in _KEY
    )
    return (
        f'<figure><div class="strips">{"".join(rows)}{axis(span)}</div>'
        f"<figcaption>{keys}</figcaption></figure>"
    )


def _row(
    key: str, label: str, runs: Sequence[Run], span: Span, *, small: bool = False, codes: str = ""
) -> str:
    note = f" <small>{escape(codes)}</small>" if codes else ""
    size = MARK_PX if small else STRIP_PX
    return (
        f'<div class="row{" small" if small else ""}"><span>{escape(label)}{note}</span>'
        f"{strip(key, label, runs, span, size)}</div>"
    )


def _codes(readings: Sequence[Reading]) -> str:
    """The complaints of one source, most frequent first; three at most."""
    counted = Counter(reason for reading in readings for reason in reading.reasons)
    codes = ", ".join(reason.value for reason, _ in counted.most_common(3))
    return codes + (f" and {len(counted) - 3} more" if len(counted) > 3 else "")


def _reasons(scene: SceneRecord) -> str:
    blocked = scene.summary.blocked_by_reason
    if not blocked:
        return "<p>No frame was blocked.</p>"
    rows = [
        [_code(r.value), str(count), _FAMILY[r.family], r.happened, r.next_step]
        for r, count in blocked.items()
    ]
    heads = ["Reason", "Frames", "Found by", "What happened", "What to do next"]
    caption = "Blocked frames by reason; one frame may have several"
    return table(heads, rows, caption=caption, numbers=(1,))


def _rules(scene: SceneRecord) -> str:
    counted = Counter(rule for decision in scene.decisions for rule in decision.rules)
    if not counted:
        return ""
    rows = []
    for rule, frames in counted.items():
        note = scene.rules.get(rule)
        says = f"{escape(note.says)}<br>" if note else ""
        known = f", {note.status}" if note and note.status else ""
        source = f"<small>{escape(note.source + known)}</small>" if note else ""
        effect = f" {escape(note.effect)}s" if note else ""
        rows.append([Markup(f"{_code(rule)}{effect}"), str(frames), Markup(f"{says}{source}")])
    heads = ["Rule", "Frames", "What it says"]
    return table(heads, rows, caption="Rules that decided", numbers=(1,))


def _stretches(scene: SceneRecord) -> str:
    """The verdict strip in words: one row for each stretch of equal decisions."""
    rows = []
    for _, stretch in groupby(scene.decisions, _said_of):
        first, *others = stretch
        at_s = (first.captured_ns - scene.decisions[0].captured_ns) / S
        rows.append(
            {
                "From, s": f"{at_s:.2f}",
                "First frame": str(first.frame),
                "Frames": str(1 + len(others)),
                "Verdict": "passed" if first.verdict is Outcome.PASS else "blocked",
                "Context": first.context.value,
                "Reasons": Markup(" ".join(_code(r.value) for r in first.reasons) or "-"),
                "Rules": " ".join(first.rules) or "-",
            }
        )
    more = len(rows) - _MAX_ROWS
    rest = f"<p>decisions.jsonl has {more} more rows.</p>" if more > 0 else ""
    caption = "Frames with equal decisions"
    shown = rows[:_MAX_ROWS]
    words = table_of(shown, caption=caption, numbers=(0, 1, 2)) if shown else ""
    return f"<details><summary>The same in words, step by step</summary>{words}{rest}</details>"


def _said_of(decision: FrameDecision) -> tuple[object, ...]:
    return decision.verdict, decision.context, decision.reasons, decision.rules


def _code(word: str) -> Markup:
    return Markup(f"<code>{escape(word)}</code>")


def _ok(scene: SceneRecord) -> Markup:
    if scene.ok is None:
        return Markup()
    kind, words = ("ok", "✓ as expected") if scene.ok else ("no", "✗ unexpected")
    return Markup(f'<b class="{kind}">{words}</b>')


def _or_never(at_s: float | None) -> str:
    return "never" if at_s is None else f"{at_s:.2f} s"


def _version() -> str:
    try:
        return version("framegate")
    except PackageNotFoundError:
        return "(not installed)"


_KEY = (
    ("good", "tall, plain: passed, controlled or good"),
    ("bad", "lower, hatched: blocked, uncontrolled or bad"),
    ("wait", "lowest, dotted: blocked while waiting"),
    ("none", "empty: no data"),
)
_PICTURED = "Its pictures are masked frames of public demo footage; it holds no face or position."
_BOARD = {"virtual": "simulated, or could be", None: "-"}
_AUDIT = {True: "verified", False: "does not verify", None: "-"}
_FAMILY = {
    Family.INTEGRITY: "integrity",
    Family.BOARD: "board",
    Family.RECORD: "signed record",
    Family.VISION: "picture",
    Family.SESSION: "session",
    Family.POLICY: "policy",
    Family.MATCHER: "matcher",
    Family.WAITING: "waiting only",
}
