"""The matchers beside the first on a camera: what of each is counted, and what of it is shown.

The first matcher keeps the snapshot's own keys. Each other one is an entry of its list `also`;
of its guard, `plan`, `session`, `recorder` and `matcher` are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from edge.guard.supervisor import Guard
from edge.status.snapshot import Ledger, explained


class Others:
    """Their counts, by name; they outlast a guard, as those of the first do."""

    def __init__(self, began_s: float, names: Iterable[str]) -> None:
        self._began_s = began_s
        self._ledgers: dict[str, Ledger] = {}
        self.keep(names)

    def keep(self, names: Iterable[str]) -> None:
        """From now on there are these; counts of the others are forgotten."""
        known = self._ledgers
        self._ledgers = {name: known.get(name) or Ledger(self._began_s) for name in names}

    def note(self, others: Sequence[Guard], now_ns: int, wall_s: float) -> None:
        """Take what their recorders have; they keep none of it."""
        for other, ledger in self._kept(others):
            ledger.add(*other.recorder.take())
            ledger.note(other.recorder, now_ns, wall_s)

    def end(self, others: Sequence[Guard]) -> None:
        """Take what guards that have ended left."""
        for other, ledger in self._kept(others):
            ledger.end(other.recorder)
            ledger.end_matcher(other.matcher.lost, other.matcher.lines_left_out)

    def _kept(self, others: Sequence[Guard]) -> list[tuple[Guard, Ledger]]:
        """Those that a reload did not take away, each with its counts."""
        return [(o, self._ledgers[o.plan.name]) for o in others if o.plan.name in self._ledgers]

    def shown(self, others: Sequence[Guard], now_ns: int) -> list[dict[str, Any]]:
        """An entry for each; one whose guard does not run is blocked, and its counts stay."""
        running = {other.plan.name: other for other in others}
        return [
            _shown(name, ledger, running.get(name), now_ns)
            for name, ledger in self._ledgers.items()
        ]


def _shown(name: str, ledger: Ledger, other: Guard | None, now_ns: int) -> dict[str, Any]:
    recorder = None if other is None else other.recorder
    matcher = None if other is None else other.matcher
    lost, left_out = (0, 0) if matcher is None else (matcher.lost, matcher.lines_left_out)
    outlook = None if recorder is None else recorder.outlook
    reasons = () if recorder is None else recorder.why_not(now_ns)
    return {
        "name": name,
        "lane": "" if other is None else other.session.operation.value,
        "permitted": recorder is not None and recorder.passes(now_ns),
        "context": "uncontrolled" if outlook is None else outlook.setting.value,
        "reasons": explained(reasons),
        "rules": [] if outlook is None else list(outlook.rules),
        "escape": "" if matcher is None else matcher.attempt,
        "strip": ledger.strip(now_ns),
        "frames": ledger.frames(recorder),
        "by_reason": dict(ledger.by_reason.most_common()),
        "checkpoint": ledger.checkpoint,
        "matcher_lost": ledger.matcher_lost + lost,
        "matcher_lines_left_out": ledger.matcher_lines + left_out,
        "audit": "" if other is None else str(other.plan.audit),
    }
