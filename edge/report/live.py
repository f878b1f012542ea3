"""The live display of `framegate demo` and `framegate run`, and the table at the end.

On a terminal a few lines are redrawn in place; elsewhere one plain line is
printed each time the verdict, the context, the worst reason or the rules change. It draws
only when called and starts no thread, so it may live beside processes that fork.
What it is given decides what it prints; it reads no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group
from rich.live import Live as Screen
from rich.table import Table
from rich.text import Text

from edge.clock import MS, S
from edge.reasons import Reason
from edge.report.marks import Mark, mark_of
from edge.report.record import FrameDecision, GateTimes, Outcome, SceneRecord

STRIP_FRAMES = 60  # how many frames the verdict strip shows at most
_REDRAW_NS = 100 * MS  # of footage between two drawings
_TOP_REASONS = 3
_REASON_COLUMNS = 4 + max(len(reason.value) for reason in Reason)
_RULES_A_LINE = 4
_MAX_WORDS = 4  # reasons, and rules, named in one line

_LOOK = {  # the letter says it where there is no colour
    Mark.GOOD: ("█", "green"),
    Mark.BAD: ("x", "red"),
    Mark.WAIT: ("·", "yellow"),
    Mark.NONE: (" ", ""),
}


@dataclass(frozen=True, slots=True)
class LiveState:
    """The moment as the display shows it; `recent` ends with the newest decided frame."""

    recent: Sequence[FrameDecision]
    frames: int
    released: int
    fps: float | None = None
    gate_us: GateTimes | None = None
    received: int | None = None  # as the matcher reports it


class Live:
    """Shows one scene after another on `console`; always `close` it, or use `with`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._screen: Screen | None = None
        self._start_ns: int | None = None
        self._drawn_ns: int | None = None
        self._shown: object = None

    def scene(self, title: str) -> None:
        """Begin a scene; what the one before showed stays on the screen."""
        self.close()
        self._start_ns = self._drawn_ns = self._shown = None
        self._console.print(Text(title, style="bold"), soft_wrap=True)
        if self._console.is_terminal:
            self._screen = Screen(console=self._console, auto_refresh=False, transient=False)
            self._screen.start()

    def update(self, state: LiveState) -> None:
        """Show `state`; cheap when called for every frame."""
        if not state.recent:
            return
        newest = state.recent[-1]
        if self._start_ns is None:
            self._start_ns = state.recent[0].captured_ns
        shown = (newest.verdict, newest.context, newest.reasons[:1], newest.rules)
        if self._screen is None:
            if shown != self._shown:
                at_s = (newest.captured_ns - self._start_ns) / S
                self._console.print(_line(newest, at_s), soft_wrap=True)
        elif self._due(newest.captured_ns) or shown != self._shown:
            self._drawn_ns = newest.captured_ns
            self._screen.update(_panel(state), refresh=True)
        self._shown = shown

    def close(self) -> None:
        """Leave the terminal as it was found; harmless when called twice."""
        if self._screen is not None:
            self._screen.stop()
            self._screen = None

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _due(self, captured_ns: int) -> bool:
        return self._drawn_ns is None or captured_ns - self._drawn_ns >= _REDRAW_NS


def result_table(scenes: Sequence[SceneRecord]) -> Table:
    """The table at the end of a demo: one row a scene, one line a blocking reason."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column("scene")
    table.add_column("frames", justify="right")
    table.add_column("released", justify="right")
    table.add_column("received\nby the\nmatcher", justify="right")
    table.add_column("blocked by reason", no_wrap=True, min_width=_REASON_COLUMNS)
    table.add_column("gate µs", justify="right", no_wrap=True)
    table.add_column("audit", no_wrap=True)
    table.add_column("ok")
    for scene in scenes:
        table.add_row(*_cells(scene))
    return table


def _cells(scene: SceneRecord) -> list[str]:
    summary = scene.summary
    ranked = sorted(summary.blocked_by_reason.items(), key=lambda item: (-item[1], item[0].rank))
    reasons = [f"{count:3} {reason.value}" for reason, count in ranked[:_TOP_REASONS]]
    if len(ranked) > _TOP_REASONS:
        reasons.append(f"    and {len(ranked) - _TOP_REASONS} more")
    rules = sorted(
        {rule for d in scene.decisions if Reason.POLICY_DENY in d.reasons for rule in d.rules}
    )
    for i in range(0, len(rules), _RULES_A_LINE):
        reasons.append("    " + " ".join(rules[i : i + _RULES_A_LINE]))
    times = summary.gate_us
    return [
        scene.name,
        str(summary.frames),
        str(summary.passed),
        "-" if scene.received is None else str(scene.received),
        "\n".join(reasons) or "none",
        f"{times.p50:.0f} p50\n{times.p99:.0f} p99" if times else "-",
        {True: "holds", False: "BAD", None: "-"}[summary.audit_verified],
        {True: "yes", False: "NO", None: "-"}[scene.ok],
    ]


def _line(newest: FrameDecision, at_s: float) -> Text:
    """One change as a plain line."""
    return Text(f"  {at_s:7.2f} s  frame {newest.frame:<5} ").append_text(_words(newest))


def _panel(state: LiveState) -> Group:
    newest = state.recent[-1]
    strip = Text("  ")
    for decision in state.recent[-STRIP_FRAMES:]:
        sign, style = _LOOK[mark_of(decision)]
        strip.append(sign, style)
    counts = f"  {state.frames} frames, {state.released} released"
    if state.received is not None:
        counts += f", {state.received} received"
    if state.fps is not None:
        counts += f"  {state.fps:.0f} fps"
    if state.gate_us is not None:
        counts += f"  gate {state.gate_us.p50:.0f} µs p50, {state.gate_us.p99:.0f} µs p99"
    why = newest.reasons[0].happened if newest.reasons else ""
    return Group(
        strip,
        Text("  ").append_text(_words(newest)),
        Text(f"  {why}", style="dim"),
        Text(counts, style="dim"),
    )


def _words(decision: FrameDecision) -> Text:
    passed = decision.verdict is Outcome.PASS
    text = Text("passes" if passed else "blocked", style="green" if passed else "red")
    text.append(f"  {decision.context.value}", style="default")
    if decision.reasons:
        text.append("  " + _some([r.value for r in decision.reasons]), style="default")
    if decision.rules:
        text.append("  rules " + _some(decision.rules), style="default")
    return text


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MAX_WORDS
    return " ".join(names[:_MAX_WORDS]) + (f" and {more} more" if more > 0 else "")
