"""The matchers beside the first on a camera: what of each is counted, and what of it is shown.

The first matcher keeps the snapshot's own keys. Each other one is an entry of its list `also`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edge.guard.recorder import Recorder
from edge.guard.supervisor import Guard
from edge.status.snapshot import Ledger, explained


@dataclass(frozen=True, slots=True)
class Other:
    """What is seen of one of them while its guard runs."""

    name: str
    lane: str
    audit: str  # its log's folder
    recorder: Recorder
    escape: str  # what it tried to get out of its sandbox; empty if nothing
    lost: int  # matchers of this guard that ended by themselves
    lines: int  # that they printed and that were not shown


def seen(guard: Guard) -> tuple[Other, ...]:
    """What there is to see of the matchers beside the first."""
    return tuple(
        Other(
            name=other.plan.name,
            lane=other.session.operation.value,
            audit=str(other.plan.audit),
            recorder=other.recorder,
            escape=other.matcher.attempt,
            lost=other.matcher.lost,
            lines=other.matcher.lines_left_out,
        )
        for other in guard.others
    )


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

    def note(self, others: Sequence[Other], now_ns: int, wall_s: float) -> None:
        """Take what their recorders have; they keep none of it."""
        for other, ledger in self._kept(others):
            ledger.add(*other.recorder.take())
            ledger.note(other.recorder, now_ns, wall_s)

    def end(self, others: Sequence[Other]) -> None:
        """Take what guards that have ended left."""
        for other, ledger in self._kept(others):
            ledger.end(other.recorder)
            ledger.end_matcher(other.lost, other.lines)

    def _kept(self, others: Sequence[Other]) -> list[tuple[Other, Ledger]]:
        """Those that a reload did not take away, each with its counts."""
        return [(o, self._ledgers[o.name]) for o in others if o.name in self._ledgers]

    def shown(self, others: Sequence[Other], now_ns: int) -> list[dict[str, Any]]:
        """An entry for each; one whose guard does not run is blocked, and its counts stay."""
        running = {other.name: other for other in others}
        return [
            _shown(name, ledger, running.get(name), now_ns)
            for name, ledger in self._ledgers.items()
        ]


def _shown(name: str, ledger: Ledger, other: Other | None, now_ns: int) -> dict[str, Any]:
    recorder = None if other is None else other.recorder
    outlook = None if recorder is None else recorder.outlook
    reasons = () if recorder is None else recorder.why_not(now_ns)
    return {
        "name": name,
        "lane": "" if other is None else other.lane,
        "permitted": recorder is not None and recorder.passes(now_ns),
        "context": "uncontrolled" if outlook is None else outlook.setting.value,
        "reasons": explained(reasons),
        "rules": [] if outlook is None else list(outlook.rules),
        "escape": "" if other is None else other.escape,
        "strip": ledger.strip(now_ns),
        "frames": ledger.frames(recorder),
        "by_reason": dict(ledger.by_reason.most_common()),
        "checkpoint": ledger.checkpoint,
        "matcher_lost": ledger.matcher_lost + (0 if other is None else other.lost),
        "matcher_lines_left_out": ledger.matcher_lines + (0 if other is None else other.lines),
        "audit": "" if other is None else other.audit,
    }
