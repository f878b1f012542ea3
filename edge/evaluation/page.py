"""The evaluation's report: one page, pictures drawn as SVG, no scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from edge.audit.schema import Release
from edge.clock import S
from edge.evaluation.availability import by_cause
from edge.evaluation.figures import Figure, reliability
from edge.evaluation.run import Findings
from edge.evaluation.splices import Splice
from edge.evaluation.transitions import Kind
from edge.evaluation.trials import Trial
from edge.lease import MIN_VIEW_SCORE
from edge.report.style import CSS

_BINS = 50
_WIDE, _HIGH = 720, 150


def render(found: Findings, rows: Sequence[Figure]) -> str:
    """The whole page."""
    views = "".join(
        f"<tr><td>{escape(v.clip.name)}</td><td>{v.fingerprint.pairs if v.fingerprint else '-'}"
        f"</td><td>{escape(v.refusal or 'accepted')}</td></tr>"
        for v in found.views
    )
    skipped = "".join(f"<li>{escape(line)}</li>" for line in found.skipped)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>framegate evaluation</title><style>{CSS}</style></head><body>"
        "<header><h1>framegate evaluation</h1><p>Every recording against every enrolled view, "
        "with dock, sensors and session forged: only the picture blocks.</p></header><main>"
        f"<section><h2>Figures</h2>{_figures(rows)}</section>"
        "<section><h2>Views</h2><table><tr><th>Recording</th><th>Pairs</th>"
        f"<th>Enrolment's own checks</th></tr>{views}</table></section>"
        "<section><h2>Scores of single frames, own and foreign</h2>"
        f"{''.join(_distribution(v.clip.name, found) for v in found.views if v.fingerprint)}"
        f"</section>{_available(found.daily)}{_splices(found.splices)}{_reliability(found.outside)}"
        "<section><h2>Every trial</h2>"
        f"{_trials('Own recording', found.twins)}{_trials('Other takes', found.takes)}"
        f"{_trials('Uncontrolled, forged', found.foreign)}"
        f"{_trials('Another room, forged', found.strangers)}"
        f"{_trials('Uncontrolled, honest', found.honest)}</section>"
        + (f"<section><h2>Skipped</h2><ul>{skipped}</ul></section>" if skipped else "")
        + "</main></body></html>\n"
    )


def _available(trials: Sequence[Trial]) -> str:
    """What of the time after the default dwell passed, and the cause of every blocked second."""
    if not trials:
        return ""
    causes = "".join(
        f"<tr><td>{row.cause.value}</td><td>{row.blocked_ns / S:.1f} s</td>"
        f"<td>{row.waiting_ns / S:.1f} s</td><td>{row.clips}</td></tr>"
        for row in by_cause(trial.availability for trial in trials)
    )
    body = ""
    for trial in trials:
        found = trial.availability
        share = "too short" if found.share is None else f"{found.share:.1%}"
        seconds = ", ".join(
            f"{lost.second} s {lost.cause.value} {lost.blocked_ns / S:.2f}" for lost in found.lost
        )
        body += (
            f"<tr><td>{escape(trial.clip)}</td><td>{escape(trial.view)}</td><td>{share}</td>"
            f"<td>{_timeline(trial.decisions)}</td><td>{seconds}</td></tr>"
        )
    return (
        "<section><h2>Availability at the default dwell</h2><table><tr><th>Cause</th>"
        "<th>Blocked</th><th>Of it dwell</th><th>Recordings</th></tr>"
        f"{causes}</table><table><tr><th>Recording</th><th>View</th><th>Passed</th>"
        f"<th>Frames that passed</th><th>Blocked seconds</th></tr>{body}</table></section>"
    )


def _figures(rows: Sequence[Figure]) -> str:
    body = "".join(
        f"<tr><td>{escape(f.name)}</td><td>{escape(str(f.value))} {escape(f.unit)}</td>"
        f"<td>{escape(f.target)}</td><td>{'holds' if f.holds else '<strong>does not</strong>'}"
        "</td></tr>"
        for f in rows
    )
    return f"<table><tr><th>Figure</th><th>Value</th><th>Target</th><th></th></tr>{body}</table>"


def _distribution(view: str, found: Findings) -> str:
    """Shares of frames by score: own above the line, foreign below."""
    own = [s for t in (*found.twins, *found.takes) if t.view == view for s in t.scores]
    foreign = [s for t in (*found.foreign, *found.strangers) if t.view == view for s in t.scores]
    bars = _bars(own, up=True) + _bars(foreign, up=False)
    limit = MIN_VIEW_SCORE * _WIDE
    middle = _HIGH / 2
    scores = (
        f"own: lowest {min(own, default=0):.2f}, foreign: highest {max(foreign, default=0):.2f}, "
        f"limit {MIN_VIEW_SCORE:.2f}"
    )
    return (
        f"<figure><figcaption>{escape(view)}: {scores}</figcaption>"
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(view)}: {scores}">'
        f'{bars}<line x1="0" x2="{_WIDE}" y1="{middle}" y2="{middle}" stroke="currentColor"/>'
        f'<line x1="{limit}" x2="{limit}" y1="0" y2="{_HIGH}" stroke="currentColor" '
        'stroke-dasharray="4"/></svg></figure>'
    )


def _bars(scores: Sequence[float], *, up: bool) -> str:
    if not scores:
        return ""
    counts, _ = np.histogram(scores, bins=_BINS, range=(0, 1))
    wide, middle = _WIDE / _BINS, _HIGH / 2
    colour = "#2a7d4f" if up else "#b3372c"
    bars = []
    for number, count in enumerate(counts):
        if count:
            high = max(1.0, middle * float(np.sqrt(count / len(scores))))
            top = middle - high if up else middle
            bars.append(
                f'<rect x="{number * wide:.1f}" y="{top:.1f}" width="{wide - 1:.1f}" '
                f'height="{high:.1f}" fill="{colour}"/>'
            )
    return "".join(bars)


def _splices(splices: Sequence[Splice]) -> str:
    """What was received of each kind of splice, and the largest foreign share in it."""
    rows = ""
    for kind in Kind:
        for release in Release:
            some = [s for s in splices if s.kind is kind and s.release is release]
            if not some:
                continue
            shares = sorted(s.share for s in some)
            worst = max(some, key=lambda s: s.share)
            rows += (
                f"<tr><td>{kind.value}</td><td>{release.value}</td><td>{len(some)}</td>"
                f"<td>{sum(s.lively for s in some)}</td><td>{sum(s.altered for s in some)}</td>"
                f"<td>{sum(s.forbidden for s in some)}</td>"
                f"<td>{shares[len(shares) // 2]:.2f} / {shares[-1]:.2f}</td>"
                f"<td>{escape(worst.view)} to {escape(worst.foreign)}</td></tr>"
            )
    if not rows:
        return ""
    return (
        "<section><h2>Splices</h2><p>From a view's own recording into another one, counted by "
        "watermark in the release ring. A frame is forbidden from a foreign share of one half."
        "</p><table><tr><th>Kind</th><th>Release</th><th>Splices</th><th>While frames flowed</th>"
        "<th>Altered frames received</th><th>Forbidden</th><th>Share, median / largest</th>"
        f"<th>Largest in</th></tr>{rows}</table></section>"
    )


def _reliability(outside: Sequence[tuple[float, bool]]) -> str:
    """What the scene model says against how often it is true; on the line is right."""
    rows = reliability(outside)
    if not rows:
        return ""
    side = 240
    most = max(n for _, _, n in rows)
    dots = "".join(
        f'<circle cx="{predicted * side:.1f}" cy="{(1 - true) * side:.1f}" '
        f'r="{3 + 9 * (n / most) ** 0.5:.1f}" fill="#2a6d9f" fill-opacity="0.7">'
        f"<title>predicted {predicted:.2f}, true {true:.2f}, {n} frames</title></circle>"
        for predicted, true, n in rows
    )
    words = "; ".join(f"predicted {p:.2f}, true {true:.2f} ({n})" for p, true, n in rows)
    return (
        "<section><h2>Reliability of the scene model</h2><figure><figcaption>Outdoors or in a "
        "vehicle, one frame a second of every recording whose scene is known: across what the "
        f"model says, upwards how often it is so. {words}.</figcaption>"
        f'<svg viewBox="-14 -14 {side + 28} {side + 28}" width="{side + 28}" role="img" '
        f'aria-label="{words}"><rect width="{side}" height="{side}" fill="none" '
        f'stroke="currentColor"/><line x1="0" y1="{side}" x2="{side}" y2="0" '
        f'stroke="currentColor" stroke-dasharray="4"/>{dots}</svg></figure></section>'
    )


def _trials(title: str, trials: Sequence[Trial]) -> str:
    if not trials:
        return ""
    body = "".join(_trial(t) for t in trials)
    return (
        f"<h3>{title}</h3><table><tr><th>Recording</th><th>View</th><th>Passed</th>"
        "<th>After the dwell</th><th>Margin</th><th>Frames that passed</th><th>Causes</th></tr>"
        f"{body}</table>"
    )


def _trial(trial: Trial) -> str:
    causes = sorted(trial.reasons.items(), key=lambda item: -item[1])[:3]
    codes = ", ".join(f"{reason.value} {count}" for reason, count in causes)
    margin = f"{-trial.margin:.2f}" if trial.view else "-"
    return (
        f"<tr><td>{escape(trial.clip)}</td><td>{escape(trial.view or '-')}</td>"
        f"<td>{trial.passed} of {trial.frames}</td><td>{trial.due_passed} of {trial.due}</td>"
        f"<td>{margin}</td><td>{_timeline(trial.decisions)}</td><td>{codes}</td></tr>"
    )


def _timeline(passed: Sequence[bool]) -> str:
    """A strip: green where frames passed."""
    if not passed:
        return ""
    wide = 160 / len(passed)
    rects, start = [], None
    for number, ok in enumerate([*passed, False]):
        if ok and start is None:
            start = number
        elif not ok and start is not None:
            rects.append(
                f'<rect x="{start * wide:.1f}" width="{(number - start) * wide:.1f}" height="10" '
                'fill="#2a7d4f"/>'
            )
            start = None
    return (
        '<svg viewBox="0 0 160 10" width="160" height="10" aria-hidden="true">'
        f'<rect width="160" height="10" fill="#b3372c55"/>{"".join(rects)}</svg>'
    )
