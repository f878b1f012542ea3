"""The details of an evaluation: scores, causes, splices, the scene model and every trial.

Pictures are drawn as SVG. The same numbers stand beside each in words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.audit.schema import Release
from edge.clock import S
from edge.evaluation.availability import by_cause
from edge.evaluation.figures import reliability
from edge.evaluation.report.html import name_of, unused
from edge.evaluation.run import Findings
from edge.evaluation.splices import Splice
from edge.evaluation.transitions import Kind
from edge.evaluation.trials import Trial
from edge.lease import MIN_VIEW_SCORE
from edge.reasons import worst_first
from edge.report.html import Markup, escape, facts, section, table, table_of

_BINS = 50
_WIDE, _HIGH = 720, 150


def details(found: Findings) -> str:
    """Everything behind the figures."""
    trials = (
        _trials("The own recording", found.twins)
        + _trials("Later recordings of an enrolled place", found.takes)
        + _trials("Uncontrolled recordings, everything but the picture forged", found.foreign)
        + _trials("Other rooms, everything but the picture forged", found.strangers)
        + _trials("Uncontrolled recordings, honest records", found.honest)
    )
    return (
        _available(found.daily)
        + _splices(found.splices)
        + _reliability(found.outside)
        + (section("Details: every trial", trials) if trials else "")
        + _codes([*found.twins, *found.takes, *found.foreign, *found.strangers, *found.honest])
        + unused(found.skipped)
    )


def scores(found: Findings) -> str:
    """The scores of single frames, own and foreign, one picture a place."""
    views = [v.clip.name for v in found.views if v.fingerprint]
    return "".join(_distribution(view, found) for view in views)


def _codes(trials: Sequence[Trial]) -> str:
    """What each reason code of these trials says."""
    codes = worst_first({reason for trial in trials for reason in trial.reasons})
    rows = [(reason.value, reason.happened) for reason in codes]
    return section("Details: the causes that the tables name", facts(rows)) if rows else ""


def _available(trials: Sequence[Trial]) -> str:
    """What of the time after the default dwell passed, and the cause of every blocked second."""
    if not trials:
        return ""
    causes = [
        [
            Markup(f"{escape(row.cause.happened)} <small>{row.cause.value}</small>"),
            f"{row.blocked_ns / S:.1f} s",
            f"{row.waiting_ns / S:.1f} s",
            f"{row.true_ns / S:.1f} s",
            str(row.clips),
        ]
        for row in by_cause(trial.availability for trial in trials)
    ]
    rows = []
    for trial in trials:
        found = trial.availability
        share = "too short" if found.share is None else f"{found.share:.1%}"
        seconds = ", ".join(
            f"{lost.second} s {lost.cause.value} {lost.blocked_ns / S:.2f}" for lost in found.lost
        )
        line = timeline(trial.decisions)
        rows.append([name_of(trial.clip), name_of(trial.view), share, line, seconds or "none"])
    lost = ["Cause", "Blocked", "Of it waiting for the dwell", "Of it a true cause", "Recordings"]
    each = ["Recording", "Place", "Time served", "Along the recording", "Blocked seconds, by cause"]
    due = any(trial.availability.due_ns for trial in trials)
    none = "Nothing was blocked." if due else "Not tried: no recording is longer than the dwell."
    what = table(lost, causes) if causes else f"<p>{none}</p>"
    return section("Details: what blocked an honest user", what + table(each, rows))


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
    rows = []
    for kind in Kind:
        for release in Release:
            some = [s for s in splices if s.kind is kind and s.release is release]
            if not some:
                continue
            shares = sorted(s.share for s in some)
            median = shares[len(shares) // 2]
            worst = max(some, key=lambda s: s.share)
            rows.append(
                {
                    "Kind": kind.value,
                    "Release": release.value,
                    "Splices": str(len(some)),
                    "While frames flowed": str(sum(s.lively for s in some)),
                    "Altered frames received": str(sum(s.altered for s in some)),
                    "Forbidden frames received": str(sum(s.forbidden for s in some)),
                    "Foreign share, median / largest": f"{median:.0%} / {shares[-1]:.0%}",
                    "Largest in": Markup(f"{name_of(worst.view)} to {name_of(worst.foreign)}"),
                }
            )
    if not rows:
        return ""
    stated = (
        "<p>Frames carry their numbers as a watermark, which is read from what a matcher gets.</p>"
    )
    return section("Details: splices", stated + table_of(rows))


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
    words = "; ".join(f"where it says {p:.0%}, {true:.0%} of {n} frames" for p, true, n in rows)
    return (
        "<section><h2>Details: the scene model</h2><figure><figcaption>Outdoors or in a "
        "vehicle, one frame a second of every recording whose scene is known: across what the "
        f"model says, upwards how often it is so: {words}.</figcaption>"
        f'<svg viewBox="-14 -14 {side + 28} {side + 28}" width="{side + 28}" role="img" '
        f'aria-label="{words}"><rect width="{side}" height="{side}" fill="none" '
        f'stroke="currentColor"/><line x1="0" y1="{side}" x2="{side}" y2="0" '
        f'stroke="currentColor" stroke-dasharray="4"/>{dots}</svg></figure></section>'
    )


def _trials(title: str, trials: Sequence[Trial]) -> str:
    if not trials:
        return ""
    body = table_of([_trial(trial) for trial in trials])
    return f"<details><summary>{title}: {len(trials)}</summary>{body}</details>"


def _trial(trial: Trial) -> dict[str, str]:
    causes = sorted(trial.reasons.items(), key=lambda item: -item[1])[:3]
    codes = ", ".join(f"{reason.value} {count}" for reason, count in causes)
    return {
        "Recording": name_of(trial.clip),
        "Place": name_of(trial.view or "-"),
        "Frames passed": f"{trial.passed} of {trial.frames}",
        "After the dwell": f"{trial.due_passed} of {trial.due}" if trial.due else "too short",
        "Margin; below 0 passes": f"{-trial.margin:.2f}" if trial.view else "-",
        "Along the recording": timeline(trial.decisions),
        "Most frequent causes": codes or "none",
    }


def timeline(passed: Sequence[bool]) -> Markup:
    """A strip: green where frames passed."""
    if not passed:
        return Markup()
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
    return Markup(
        '<svg viewBox="0 0 160 10" width="160" height="10" aria-hidden="true">'
        f'<rect width="160" height="10" fill="#b3372c55"/>{"".join(rects)}</svg>'
    )
