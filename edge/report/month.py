"""A month of the audit log, added up: how long frames flowed, under which clause, why not.

Entries come in as they were verified, one after the other; nothing is read here.
A permit counts from its entry to the entry that ends it, cut at the month's bounds.
Where no end is there, the time to the next entry counts, and the row says so.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from edge.audit.forms import wall_ns
from edge.clock import S
from edge.errors import meaning
from edge.reasons import Reason

UNUSUAL = {
    "unclean_stop": "The guard ended without closing its log.",
    "clock_jump": "The clock was set.",
    "clock_reset": "A signed record took back dates that were wrong.",
    "escape": "The matcher tried to leave its sandbox, and was ended.",
    "recovered": "The log mended itself after trouble with the disk.",
    "gap": "Denials were left out of the log because there were very many.",
}
_NOT_REAL = {
    "virtual": (True, "A recording stood in for the camera."),
    "board": ("virtual", "A simulated board could stand in for the interlock."),
    "enrolment": ("unenforced", "The view was enrolled as a trial."),
}


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """The month in a text like 2026-11.

        Raises:
            UsageError: it is none.
        """
        with meaning(f"expected a month like 2026-11, got {text!r}", ValueError):
            day = dt.date.fromisoformat(f"{text}-01")
        return cls(day.year, day.month)

    @property
    def name(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def bounds_ns(self) -> tuple[int, int]:
        """From when to when, nanoseconds since 1970; the second is the next month's first."""
        year, month = (self.year, self.month + 1) if self.month < 12 else (self.year + 1, 1)
        return wall_ns(f"{self.name}-01T00:00:00.000Z"), wall_ns(
            f"{year:04d}-{month:02d}-01T00:00:00.000Z"
        )


@dataclass(frozen=True, slots=True)
class Flow:
    """One permit: frames may have been released from its entry to the end's."""

    permit: int  # index of the entry
    end: int | None  # None: the log has no end of it
    began: str  # UTC, RFC 3339
    seconds: float  # of it within the month
    released: int | None  # frames; None if not reported
    results: int  # of the matcher, passed on
    rules: tuple[str, ...]
    why_ended: tuple[str, ...]  # codes


@dataclass(frozen=True, slots=True)
class Event:
    """Something unusual."""

    index: int
    at: str
    kind: str
    words: str


@dataclass(slots=True)
class MonthReport:
    """What the month adds up to."""

    month: Month
    entries: int = 0
    flows: list[Flow] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    flow_s: dict[str, float] = field(default_factory=dict)  # by clause; of several, each in full
    blocked_s: dict[str, float] = field(default_factory=dict)  # by code; of several, each in full
    denials: Counter[str] = field(default_factory=Counter)  # by code
    handings: Counter[str] = field(default_factory=Counter)  # consent handed in or taken back
    pruned: str = ""  # what is missing of the month, in words; "" if nothing is
    unbegun: int = 0  # ends in the month of permits whose entry is not there

    @property
    def seconds(self) -> float:
        """How long frames flowed."""
        return sum(flow.seconds for flow in self.flows)

    @property
    def released(self) -> int:
        """Frames released, as far as the log knows."""
        return sum(flow.released or 0 for flow in self.flows)


class MonthCounter:
    """Takes the entries of a log in order."""

    def __init__(self, month: Month) -> None:
        self._report = MonthReport(month)
        self._from_ns, self._to_ns = month.bounds_ns
        self._permit: tuple[int, dict[str, Any]] | None = None
        self._blocked: tuple[int, tuple[str, ...]] | None = None  # since when, and why
        self._newest_ns = 0

    def take(self, index: int, fields: dict[str, Any]) -> None:
        """One entry with its index."""
        at_ns, kind = wall_ns(fields["wall"]), fields["kind"]
        self._newest_ns = at_ns
        inside = self._from_ns <= at_ns < self._to_ns
        self._report.entries += inside
        if kind == "permit":
            self._unblock(at_ns)
            self._permit = index, fields
        elif kind == "end":
            self._finish(index, fields, at_ns)
            self._blocked = at_ns, tuple(fields["reasons"])
        elif kind in ("start", "stop", "unclean_stop"):
            self._finish(None, {}, at_ns)
            self._unblock(at_ns)  # while the guard is off, no frame flows and nothing is decided
        elif kind == "deny":
            self._unblock(at_ns)
            self._blocked = at_ns, tuple(fields["reasons"])
        if inside:
            self._note(index, fields, kind)

    def finish(self) -> MonthReport:
        """The month, once every entry was taken; what still goes on counts to the newest entry."""
        self._finish(None, {}, self._newest_ns)
        self._unblock(self._newest_ns)
        return self._report

    def touches(self, until: str) -> bool:
        """Whether entries up to the date `until` could be of the month."""
        return wall_ns(until) >= self._from_ns

    def _note(self, index: int, fields: dict[str, Any], kind: str) -> None:
        report = self._report
        if kind in UNUSUAL:
            more = fields.get("tried") or fields.get("incident") or fields.get("by_s", "")
            words = f"{UNUSUAL[kind]} {more}".strip()
            report.events.append(Event(index, fields["wall"], kind, words))
        elif kind == "start":
            for name, (odd, words) in _NOT_REAL.items():
                if fields[name] == odd:
                    report.events.append(Event(index, fields["wall"], kind, words))
        elif kind == "deny":
            report.denials.update(fields["reasons"])
        elif kind == "token":
            report.handings[fields["handing"]] += 1

    def _finish(self, index: int | None, fields: dict[str, Any], at_ns: int) -> None:
        if self._permit is None:
            self._report.unbegun += index is not None and self._from_ns <= at_ns < self._to_ns
            return
        (began, permit), self._permit = self._permit, None
        seconds = self._within_s(wall_ns(permit["wall"]), at_ns)
        if seconds is None:
            return
        rules = tuple(permit["rules"])
        released, results = fields.get("released"), fields.get("results", 0)
        why = tuple(fields.get("reasons", ()))
        flow = Flow(began, index, permit["wall"], seconds, released, results, rules, why)
        self._report.flows.append(flow)
        for rule in rules or ("no clause named",):
            self._report.flow_s[rule] = self._report.flow_s.get(rule, 0.0) + seconds

    def _unblock(self, at_ns: int) -> None:
        if self._blocked is None:
            return
        (since_ns, reasons), self._blocked = self._blocked, None
        seconds = self._within_s(since_ns, at_ns)
        if seconds is None:
            return
        for reason in reasons:
            self._report.blocked_s[reason] = self._report.blocked_s.get(reason, 0.0) + seconds

    def _within_s(self, since_ns: int, until_ns: int) -> float | None:
        """How much of a span lies in the month; None if it does not touch it."""
        if until_ns < self._from_ns or since_ns >= self._to_ns:
            return None
        return (min(until_ns, self._to_ns) - max(since_ns, self._from_ns)) / S


def plain_reason(code: str) -> str:
    """What a code means, for a reader who knows no code."""
    found = {reason.value: reason.happened for reason in Reason}
    return found.get(code, code)
