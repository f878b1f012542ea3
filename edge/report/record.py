"""What a run leaves behind: one decision a frame, a summary, and how both are stored.

`decisions.jsonl` has one line a frame, keys always in the same order, so two
equal runs give equal bytes. `summary.json` counts them. Readers are strict:
a line that is not what the writer would have written is refused. Times are
integer nanoseconds as the clip or CLOCK_BOOTTIME counts them; `t_s` is seconds
from the first frame.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from edge.audit.schema import Context
from edge.clock import S
from edge.errors import RecordError, wrong_in
from edge.evidence.readings import Reading
from edge.files import named_by_user, write_whole
from edge.reasons import Reason


class Outcome(Enum):
    """The verdict on one frame; the value is what `decisions.jsonl` stores."""

    PASS = "pass"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class FrameDecision:
    """The final word on one frame: it passed, or every reason why not, worst first."""

    frame: int
    captured_ns: int
    verdict: Outcome
    context: Context
    reasons: tuple[Reason, ...] = ()
    rules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.verdict is Outcome.PASS) == bool(self.reasons):
            raise ValueError(
                f"frame {self.frame}: a frame either passes or has reasons, "
                f"got {self.verdict.value} with {len(self.reasons)} reasons"
            )


@dataclass(frozen=True, slots=True)
class ContextChange:
    """The context became `to` at `t_s` seconds; the reasons are why it is not controlled."""

    t_s: float
    to: Context
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class GateTimes:
    """Time the gate spent on a frame, in microseconds."""

    p50: float
    p99: float
    p999: float

    @classmethod
    def of(cls, times_ns: Sequence[int]) -> GateTimes | None:
        """The percentiles of these times; None if there are none."""
        if not times_ns:
            return None
        ordered = sorted(times_ns)
        p50, p99, p999 = (
            round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000, 1)
            for share in (0.5, 0.99, 0.999)
        )
        return cls(p50, p99, p999)

    def as_json(self) -> dict[str, float]:
        return {"p50": self.p50, "p99": self.p99, "p999": self.p999}


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts and settings of one run; `as_json` is the layout of `summary.json`."""

    frames: int
    passed: int
    blocked: int
    blocked_by_reason: Mapping[Reason, int]  # a frame with two causes counts under both
    context_changes: tuple[ContextChange, ...]
    first_pass_s: float | None
    dwell_s: float
    gate_us: GateTimes | None = None
    evidence_hz: float | None = None
    audit_verified: bool | None = None
    release: str = "bracketed"
    enrolment: str | None = None
    board: str | None = None  # "real", "virtual" or "none"
    not_judged: int = 0  # pictures of the recording that were not decoded or had no usable time
    recording: str = ""  # what is wrong with the recording; empty if all of it was judged

    def as_json(self) -> dict[str, Any]:
        times = self.gate_us
        return {name: getattr(self, name) for name in self.__slots__} | {
            "blocked_by_reason": {r.value: n for r, n in self.blocked_by_reason.items()},
            "context_changes": [
                {"t_s": c.t_s, "to": c.to.value, "reasons": [r.value for r in c.reasons]}
                for c in self.context_changes
            ],
            "gate_us": times and times.as_json(),
        }


@dataclass(frozen=True, slots=True)
class RuleNote:
    """What the report prints of a rule that decided."""

    rule: str
    effect: str  # "forbid" or "permit"
    says: str
    source: str
    status: str = ""  # how well the source's words are known


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """One scene of a demo or one replay, with all the report needs to draw it."""

    name: str
    footage: str
    must_happen: str
    decisions: Sequence[FrameDecision]
    summary: Summary
    readings: Sequence[Reading] = ()
    received: int | None = None  # counted by the matcher; None without one
    ok: bool | None = None  # whether what must happen did; None where nothing must
    notes: tuple[str, ...] = ()
    rules: Mapping[str, RuleNote] = field(default_factory=dict)
    pictures: tuple[bytes, ...] = ()  # PNG; masked frames of demo footage, and nothing else


def summarise(decisions: Sequence[FrameDecision], **settings: Any) -> Summary:
    """Count decisions, given in frame order; `settings` are the other fields, `dwell_s` at least.

    Changes of context are read off the frames unless they are given.
    """
    start_ns = decisions[0].captured_ns if decisions else 0
    blocked: Counter[Reason] = Counter()
    changes: list[ContextChange] = []
    context: Context | None = None
    first_pass_s: float | None = None
    for decision in decisions:
        t_s = round((decision.captured_ns - start_ns) / S, 6)
        blocked.update(decision.reasons)
        if decision.verdict is Outcome.PASS and first_pass_s is None:
            first_pass_s = t_s
        if decision.context is not context:
            context = decision.context
            changes.append(ContextChange(t_s, context, decision.reasons))
    passed = sum(d.verdict is Outcome.PASS for d in decisions)
    return Summary(
        frames=len(decisions),
        passed=passed,
        blocked=len(decisions) - passed,
        blocked_by_reason={r: blocked[r] for r in sorted(blocked, key=lambda r: r.rank)},
        first_pass_s=first_pass_s,
        **{"context_changes": tuple(changes), **settings},
    )


def write_decisions(path: Path, decisions: Iterable[FrameDecision]) -> None:
    """Write `decisions.jsonl`."""
    write_atomic(path, decision_lines(decisions))


def write_summary(path: Path, summary: Summary) -> None:
    """Write `summary.json`."""
    write_atomic(path, json.dumps(summary.as_json(), indent=2) + "\n")


def decision_line(decision: FrameDecision) -> str:
    """One decision as one line of JSON, without the line's end."""
    return json.dumps(
        {
            "frame": decision.frame,
            "captured_ns": decision.captured_ns,
            "verdict": decision.verdict.value,
            "context": decision.context.value,
            "reasons": [reason.value for reason in decision.reasons],
            "rules": list(decision.rules),
        }
    )


def decision_lines(decisions: Iterable[FrameDecision]) -> str:
    """All of `decisions.jsonl`: the lines of `decision_line`.

    Most frames differ from the one before them in number and time only.
    """
    lines: list[str] = []
    last: FrameDecision | None = None
    rest = ""
    for one in decisions:
        if (
            last is None
            or one.reasons is not last.reasons
            or one.rules is not last.rules
            or one.context is not last.context
            or one.verdict is not last.verdict
        ):
            line = decision_line(one)
            rest = line[line.index(', "verdict"') :]
        lines.append(f'{{"frame": {one.frame}, "captured_ns": {one.captured_ns}{rest}\n')
        last = one
    return "".join(lines)


def decisions_in(data: bytes, name: str) -> list[FrameDecision]:
    """The decisions in the bytes of a `decisions.jsonl`; `name` says which.

    Raises:
        RecordError: a line is not a decision.
    """
    with wrong_in(f"cannot read decisions from {name}", UnicodeDecodeError, as_=RecordError):
        lines = data.decode().splitlines()
    return [_decision(line, f"{name}, line {i}") for i, line in enumerate(lines, 1)]


def write_atomic(path: Path, text: str) -> None:
    """Put a whole file at `path`, or leave what is there.

    Raises:
        UsageError: the folder cannot be written.
    """
    with named_by_user("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())


_KEYS = ["frame", "captured_ns", "verdict", "context", "reasons", "rules"]


def _decision(line: str, where: str) -> FrameDecision:
    with wrong_in(f"{where}: not a decision", ValueError, KeyError, TypeError, as_=RecordError):
        found = json.loads(line)
        if list(found) != _KEYS:
            raise ValueError(f"expected the keys {', '.join(_KEYS)}")
        if type(found["frame"]) is not int or type(found["captured_ns"]) is not int:
            raise ValueError("expected whole numbers for frame and captured_ns")
        decision = FrameDecision(
            found["frame"],
            found["captured_ns"],
            Outcome(found["verdict"]),
            Context(found["context"]),
            tuple(Reason[code] for code in found["reasons"]),
            tuple(str(rule) for rule in found["rules"]),
        )
        if decision_line(decision) != line:
            raise ValueError(f"expected {decision_line(decision)}")
    return decision
