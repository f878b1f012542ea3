"""Timeline pictures: runs of equal moments, drawn as strips of inline SVG.

Each strip is an SVG of its own with a title and a description. Positions in
time are percentages and heights are pixels, so that a strip fits any screen
and nothing is scaled. Good is tall and plain, bad is low and hatched, and
"nothing known" is an outline: the colour only repeats what the shape says.
All times are integer nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge.audit.schema import Context
from edge.clock import S
from edge.evidence.readings import Reading
from edge.reasons import Family, Reason
from edge.report.html import escape
from edge.report.marks import Mark, mark_of
from edge.report.record import FrameDecision, Outcome

STRIP_PX = 22
MARK_PX = 10
_HOLD = 3  # a reading speaks for at most this many usual periods


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch [from_ns, to_ns) of equal moments; `label` says what holds in it."""

    from_ns: int
    to_ns: int
    mark: Mark
    label: str


@dataclass(frozen=True, slots=True)
class Span:
    """The time the picture covers."""

    from_ns: int
    to_ns: int

    @property
    def seconds(self) -> float:
        return (self.to_ns - self.from_ns) / S

    def percent(self, at_ns: int) -> float:
        """Where `at_ns` lies, 0 to 100."""
        share = (at_ns - self.from_ns) / (self.to_ns - self.from_ns)
        return round(100 * min(max(share, 0.0), 1.0), 3)


def span_of(decisions: Sequence[FrameDecision]) -> Span:
    """From the first frame to one usual frame period after the last."""
    times = [d.captured_ns for d in decisions]
    if not times:
        return Span(0, S)
    return Span(times[0], times[-1] + max(_period_ns(times), 1))


def verdict_runs(decisions: Sequence[FrameDecision], span: Span) -> list[Run]:
    """Frames that passed, that were blocked for a cause, and that only had to wait."""
    return _runs([(d.captured_ns, mark_of(d), _verdict_label(d)) for d in decisions], span)


def context_runs(decisions: Sequence[FrameDecision], span: Span) -> list[Run]:
    """The capture context, frame by frame."""
    marks = {Context.CONTROLLED: Mark.GOOD, Context.UNCONTROLLED: Mark.BAD}
    return _runs([(d.captured_ns, marks[d.context], d.context.value) for d in decisions], span)


def reason_runs(decisions: Sequence[FrameDecision], reason: Reason, span: Span) -> list[Run]:
    """The stretches in which frames were blocked for `reason`, among others."""
    mark = Mark.WAIT if reason.family is Family.WAITING else Mark.BAD
    runs = _runs(
        [(d.captured_ns, mark if reason in d.reasons else Mark.NONE, "") for d in decisions], span
    )
    return [run for run in runs if run.mark is not Mark.NONE]


def evidence_runs(readings: Iterable[Reading], span: Span) -> list[Run]:
    """The readings of one source; the picture is blank where there is none."""
    ordered = sorted(readings, key=lambda r: r.captured_ns)
    times = [r.captured_ns for r in ordered]
    hold_ns = _HOLD * (_period_ns(times) or span.to_ns - span.from_ns)
    moments: list[tuple[int, Mark, str]] = []
    for reading, until_ns in zip(ordered, [*times[1:], span.to_ns], strict=True):
        label = ", ".join(r.value for r in reading.reasons) or "good"
        moments.append((reading.captured_ns, Mark.GOOD if reading.good else Mark.BAD, label))
        if until_ns - reading.captured_ns > hold_ns:
            moments.append((reading.captured_ns + hold_ns, Mark.NONE, "silent"))
    return _runs(moments, span)


def strip(key: str, title: str, runs: Sequence[Run], span: Span, height_px: int = STRIP_PX) -> str:
    """One strip as SVG; `key` makes its ids unique in the page."""
    bars = "".join(_bar(run, span, height_px) for run in runs if run.mark is not Mark.NONE)
    return (
        f'<svg role="img" width="100%" height="{height_px}" '
        f'aria-labelledby="{key}-t {key}-d"><title id="{key}-t">{escape(title)}</title>'
        f'<desc id="{key}-d">{escape(describe(runs, span))}</desc>'
        f'<rect class="rail" width="100%" height="{height_px}"/>{bars}</svg>'
    )


def axis(span: Span) -> str:
    """The time axis: a tick every so many seconds since the first frame."""
    step_s = next((s for s in _STEPS_S if span.seconds / s <= 6), _STEPS_S[-1])
    marks = []
    for i in range(int(span.seconds / step_s + 1e-6) + 1):
        x = span.percent(span.from_ns + round(i * step_s * S))
        side = "start" if x < 3 else "end" if x > 95 else "middle"
        marks.append(
            f'<line x1="{x}%" x2="{x}%" y1="0" y2="5"/>'
            f'<text x="{x}%" y="17" text-anchor="{side}">{i * step_s:g} s</text>'
        )
    return f'<svg class="axis" width="100%" height="22" aria-hidden="true">{"".join(marks)}</svg>'


def describe(runs: Sequence[Run], span: Span) -> str:
    """The strip in words, for those who do not see it."""
    if not runs:
        return "No data."
    parts = [
        f"{_seconds(run.from_ns, span)} to {_seconds(run.to_ns, span)} s: "
        f"{run.label or run.mark.value}"
        for run in runs[:_MAX_WORDS]
    ]
    more = len(runs) - _MAX_WORDS
    return "; ".join(parts) + (f"; and {more} more." if more > 0 else ".")


DEFS = (
    '<svg width="0" height="0" aria-hidden="true" focusable="false" class="defs"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="6" height="6" class="bad-ground"/>'
    '<rect width="2.5" height="6" class="bad-line"/></pattern>'
    '<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<rect width="6" height="6" class="wait-ground"/><circle cx="3" cy="3" r="1.4" '
    'class="wait-dot"/></pattern></defs></svg>'
)

_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_MAX_WORDS = 12
_HEIGHT = {Mark.GOOD: 1.0, Mark.BAD: 0.6, Mark.WAIT: 0.4, Mark.NONE: 0.0}


def _bar(run: Run, span: Span, height_px: int) -> str:
    x, end = span.percent(run.from_ns), span.percent(run.to_ns)
    high = height_px * (1.0 if height_px == MARK_PX else _HEIGHT[run.mark])
    return (
        f'<rect class="{run.mark.value}" x="{x}%" y="{height_px - high:g}" '
        f'width="{max(end - x, 0.15):.3f}%" height="{high:g}"/>'
    )


def _runs(moments: Sequence[tuple[int, Mark, str]], span: Span) -> list[Run]:
    runs: list[Run] = []
    for (at_ns, mark, label), (until_ns, _, _) in pairwise([*moments, (span.to_ns, Mark.NONE, "")]):
        until_ns = min(until_ns, span.to_ns)
        if until_ns <= span.from_ns or at_ns >= until_ns:
            continue
        if runs and (runs[-1].mark, runs[-1].label) == (mark, label):
            runs[-1] = Run(runs[-1].from_ns, until_ns, mark, label)
        else:
            runs.append(Run(max(at_ns, span.from_ns), until_ns, mark, label))
    return runs


def _verdict_label(decision: FrameDecision) -> str:
    if decision.verdict is Outcome.PASS:
        return "passed"
    return "blocked: " + ", ".join(reason.value for reason in decision.reasons)


def _period_ns(times: Sequence[int]) -> int:
    """The median step, the lower one of two; 0 if there is none."""
    steps = sorted(b - a for a, b in pairwise(times) if b > a)
    return steps[(len(steps) - 1) // 2] if steps else 0


def _seconds(at_ns: int, span: Span) -> str:
    return f"{(at_ns - span.from_ns) / S:.2f}"
