"""What an operator may see of a running guard, as one plain value.

The service makes a snapshot a few times a second and sends it to the status
process. It holds decisions, reasons, ages and counts: no picture, no score of
a view, nothing that would help to aim at one. Times are seconds.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.clock import S
from edge.decision.monitor import Wrote
from edge.guard.recorder import Recorder
from edge.heartbeat import LEASED, NEVER_NS, Beats, Role
from edge.reasons import Reason
from edge.report.marks import Mark, mark_of
from edge.report.record import FrameDecision, GateTimes, Outcome, RuleNote
from edge.status.scales import BUCKETS_US, EMPTY_SECOND, STRIP_S

MAX_TRANSITIONS = 30
_TIMES = 3000  # newest gate times that percentiles are taken of
_SIGN = {Mark.GOOD: "g", Mark.WAIT: "w", Mark.BAD: "b"}
_WORSE = "gwb"  # a second is drawn as the worst of its frames


@dataclass(slots=True)
class Ledger:
    """Counts that outlast a guard: they grow until the daemon ends."""

    began_s: float  # wall clock
    released: int = 0
    blocked: int = 0
    dropped: int = 0  # of guards that ended
    by_reason: Counter[str] = field(default_factory=Counter)
    by_bucket: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_US) + 1))
    gate_sum_s: float = 0.0
    checkpoint: str = ""  # of the log, the newest
    restarts: int = 0
    reloads: int = 0
    matcher_lost: int = 0  # matchers of guards that ended, which ended by themselves
    matcher_lines: int = 0  # lines that they printed and that were not shown
    _times_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_TIMES))
    _seconds: dict[int, str] = field(default_factory=dict)  # second of capture -> worst sign
    _transitions: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=200))
    _last: tuple[bool, bool, str] | None = None  # passes, permitted, context
    _entry: int = -1  # of the log, the newest that a transition has

    def add(self, decisions: Iterable[FrameDecision], gate_ns: Iterable[int]) -> None:
        """Take what a recorder handed over."""
        for decision in decisions:
            if decision.verdict is Outcome.PASS:
                self.released += 1
            else:
                self.blocked += 1
                self.by_reason.update(reason.value for reason in decision.reasons)
            second = decision.captured_ns // S
            sign = _SIGN[mark_of(decision)]
            self._seconds[second] = max(sign, self._seconds.get(second, sign), key=_WORSE.index)
        for time_ns in gate_ns:
            self._times_ns.append(time_ns)
            self.gate_sum_s += time_ns / S
            us = time_ns / 1000
            self.by_bucket[next((i for i, top in enumerate(BUCKETS_US) if us <= top), -1)] += 1

    def note(self, recorder: Recorder, now_ns: int, wall_s: float) -> None:
        """Note that frames began or ceased to pass, and which entry of the log says so."""
        self.checkpoint = recorder.checkpoint or self.checkpoint
        self._note_change(recorder, now_ns, wall_s)
        recorder.wrote = [wrote for wrote in recorder.wrote if not self._found(wrote)][-2:]

    def end(self, recorder: Recorder) -> None:
        """Take what a guard that has ended left."""
        self.add(*recorder.take())
        self.dropped += recorder.dropped
        self.checkpoint = recorder.checkpoint or self.checkpoint

    def end_matcher(self, lost: int, lines: int) -> None:
        """Take what the matchers of a guard that has ended came to."""
        self.matcher_lost += lost
        self.matcher_lines += lines

    def _found(self, wrote: Wrote) -> bool:
        """Give an entry to the newest transition it can be of; the other may be yet to come."""
        newest = self._transitions[-1] if self._transitions else None
        if newest is None or "entry" not in newest or newest["permitted"] != wrote.permitted:
            return False
        if newest["entry"] is None and wrote.index > self._entry:
            newest["entry"] = self._entry = wrote.index
        return True

    def _note_change(self, recorder: Recorder, now_ns: int, wall_s: float) -> None:
        outlook = recorder.outlook
        if outlook is None or recorder.settles(now_ns):
            return
        passes = recorder.passes(now_ns)
        now = (passes, outlook.permitted, outlook.setting.value)
        if self._last == now:
            return
        self._last = now
        change: dict[str, Any] = {
            "at_s": round(wall_s, 3),
            "permitted": passes,
            "context": outlook.setting.value,
            "reasons": [reason.value for reason in recorder.why_not(now_ns)],
            "rules": list(outlook.rules),
        }
        if passes == outlook.permitted:  # the log has the decider's word, not the gate's alone
            change["entry"] = None
        self._transitions.append(change)

    def lost(self, why: str, wall_s: float) -> None:
        """Note that a guard ended."""
        self._last = None
        nothing: dict[str, Any] = {"context": "uncontrolled", "reasons": [], "rules": []}
        self._transitions.append(
            {"at_s": round(wall_s, 3), "permitted": False, **nothing, "what": why}
        )

    def strip(self, now_ns: int) -> str:
        """One sign a second, the newest last; seconds that left the strip are forgotten."""
        newest = now_ns // S
        for second in [s for s in self._seconds if s <= newest - STRIP_S]:
            del self._seconds[second]
        return "".join(
            self._seconds.get(second, EMPTY_SECOND)
            for second in range(newest - STRIP_S + 1, newest + 1)
        )

    @property
    def transitions(self) -> list[dict[str, Any]]:
        """The newest first."""
        return list(self._transitions)[: -MAX_TRANSITIONS - 1 : -1]

    @property
    def gate_us(self) -> dict[str, float] | None:
        times = GateTimes.of(list(self._times_ns))
        return None if times is None else times.as_json()

    def frames(self, recorder: Recorder | None) -> dict[str, int]:
        """Frames by what became of them, those of the guard that runs with them."""
        dropped = self.dropped + (recorder.dropped if recorder is not None else 0)
        return {"released": self.released, "blocked": self.blocked, "dropped": dropped}


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change while one guard runs."""

    version: str
    camera: str
    lane: str
    site: str
    pack: str
    policy: str  # digest
    release: str
    dwell_s: float
    audit: str
    left_out: tuple[str, ...]  # layers of the matcher's sandbox that the record goes without
    board: bool
    board_kind: str  # "real", "virtual" (a simulated one may stand in), or "none"
    board_at: str  # its serial port, or "virtual"


def snapshot(
    phase: str,
    ledger: Ledger,
    *,
    now_ns: int,
    wall_s: float,
    recorder: Recorder | None = None,
    beats: Beats | None = None,
    facts: Facts | None = None,
    notes: Mapping[str, RuleNote] | None = None,
    verified: bool = False,
    trouble: str = "",
    escape: str = "",
    matcher_lost: int = 0,
    matcher_lines: int = 0,
    also: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The state of the daemon at `now_ns` (CLOCK_BOOTTIME) and `wall_s`.

    Args:
        phase: "starting", "running", "waiting" (to start again), "over" (a recording) or "stopped".
        verified: a fresh decision and board status were just seen.
        trouble: why the last guard ended; empty if none did.
        escape: what the matcher tried to get out of its sandbox; empty if nothing.
        matcher_lost: matchers of this guard that ended by themselves.
        matcher_lines: lines of them that were left out, for there were too many.
        also: the other matchers on the camera, see `edge.status.others`.
    """
    outlook = recorder.outlook if recorder is not None else None
    running = phase == "running" and outlook is not None
    permitted = running and recorder is not None and recorder.passes(now_ns)
    reasons = recorder.why_not(now_ns) if running and recorder is not None else ()
    rules = outlook.rules if running and outlook is not None else ()
    return {
        "phase": phase,
        "at_s": round(wall_s, 3),
        "began_s": round(ledger.began_s, 3),
        "permitted": permitted,
        "context": outlook.setting.value if running and outlook is not None else "uncontrolled",
        "verified": verified,
        "trouble": trouble,
        "escape": escape,
        "reasons": explained(reasons),
        "rules": [_rule(rule, notes or {}) for rule in rules],
        "evidence": _evidence(recorder, now_ns) if recorder is not None else [],
        "camera_silent_s": _silent_s(recorder, now_ns) if running else None,
        "strip": ledger.strip(now_ns),
        "frames": ledger.frames(recorder),
        "by_reason": dict(ledger.by_reason.most_common()),
        "gate_us": ledger.gate_us,
        "gate_buckets": list(ledger.by_bucket),
        "gate_sum_s": round(ledger.gate_sum_s, 6),
        "transitions": ledger.transitions,
        "checkpoint": ledger.checkpoint,
        "health": {
            "restarts": ledger.restarts,
            "reloads": ledger.reloads,
            "matcher_lost": ledger.matcher_lost + matcher_lost,
            "matcher_lines_left_out": ledger.matcher_lines + matcher_lines,
            "beats_s": _beats(beats, facts, now_ns),
        },
        "facts": _facts(facts),
        "also": list(also),
    }


def explained(reasons: Iterable[Reason]) -> list[dict[str, str]]:
    """What an operator reads of each."""
    return [{"code": r.value, "happened": r.happened, "next": r.next_step} for r in reasons]


def _silent_s(recorder: Recorder | None, now_ns: int) -> float | None:
    """For how long no frame has come; None before the first one."""
    if recorder is None or recorder.seen_ns is None:
        return None
    return round(max(0, now_ns - recorder.seen_ns) / S, 1)


def _rule(rule: str, notes: Mapping[str, RuleNote]) -> dict[str, str]:
    note = notes.get(rule)
    if note is None:
        return {"id": rule, "says": "", "source": ""}
    return {"id": rule, "says": note.says, "source": note.source}


def _evidence(recorder: Recorder, now_ns: int) -> list[dict[str, Any]]:
    return [
        {
            "source": source.value,
            "age_s": round(max(0, now_ns - reading.captured_ns) / S, 2),
            "good": reading.good,
            "reasons": [reason.value for reason in reading.reasons],
        }
        for source, reading in recorder.newest.items()
    ]


def _beats(beats: Beats | None, facts: Facts | None, now_ns: int) -> dict[str, float | None]:
    if beats is None:
        return {}
    roles = (*LEASED, Role.BRIDGE) if facts is not None and facts.board else LEASED
    ages = {role.name.lower(): beats.age_ns(role, now_ns) for role in roles}
    return {name: None if age >= NEVER_NS else round(age / S, 3) for name, age in ages.items()}


def _facts(facts: Facts | None) -> dict[str, Any]:
    return {} if facts is None else {name: getattr(facts, name) for name in Facts.__slots__}
