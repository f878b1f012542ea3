"""Availability: how much of the time an honest user was served, and what cost the rest.

Users switch off a guard that blocks its own room. So all the time after the dwell is
accounted for in every controlled recording: a frame passed, or it has one cause. While
the guard only waits for the dwell again, the time is charged to the cause that ended
the last permit; a frame with several causes is charged to the worst and the others
are named. Some causes are true: two people where one may be, or a view that enrolment
refuses and says why. What they block is rightly blocked, and counted apart.
Pure; times are nanoseconds from the recording's first frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from edge.clock import S
from edge.reasons import Family, Reason, worst_first
from edge.report.record import FrameDecision, Outcome


@dataclass(frozen=True, slots=True)
class Lost:
    """The blocked time of one second of a recording that has one cause."""

    second: int  # 0 is the recording's first
    cause: Reason
    blocked_ns: int
    waiting_ns: int  # of it: nothing spoke against the frame any more but the dwell
    also: tuple[Reason, ...]  # the other reasons, worst first
    true: bool = False  # the cause is known to be true of the recording


@dataclass(frozen=True, slots=True)
class Availability:
    """All the time after the dwell of one recording."""

    due_ns: int
    passed_ns: int
    lost: tuple[Lost, ...]  # in order of time; with `passed_ns` it adds up to `due_ns`

    @property
    def share(self) -> float | None:
        """0 to 1; None where the recording is over before the dwell."""
        return self.passed_ns / self.due_ns if self.due_ns else None

    @property
    def rightly_ns(self) -> int:
        """Blocked for a cause that is true."""
        return sum(lost.blocked_ns for lost in self.lost if lost.true)

    @property
    def falsely_ns(self) -> int:
        """Blocked, and not for a cause that is known to be true."""
        return self.due_ns - self.passed_ns - self.rightly_ns


@dataclass(frozen=True, slots=True)
class CauseRow:
    """What one cause cost over several recordings."""

    cause: Reason
    blocked_ns: int
    waiting_ns: int
    true_ns: int  # of it: where the cause is true
    clips: int


def account(
    decisions: Sequence[FrameDecision],
    after_ns: int,
    true: frozenset[Reason] = frozenset(),
    true_at: Mapping[int, frozenset[Reason]] = MappingProxyType({}),
) -> Availability:
    """Account for every frame from `after_ns` on; each stands for the time to the next.

    Args:
        decisions: of one recording, in order of capture.
        after_ns: the dwell and what it takes to settle.
        true: causes that are true of the recording; one of them is charged before a worse one.
        true_at: by second, causes that are true then. Waiting for the dwell goes with its cause.
    """
    due_ns = passed_ns = 0
    lost: dict[tuple[int, Reason, bool], tuple[int, int, set[Reason]]] = {}
    blame: tuple[Reason, bool] | None = None  # of the last frame that something spoke against
    for decision, long_ns in _lengths(decisions):
        causes = [r for r in decision.reasons if r.family is not Family.WAITING]
        second = decision.captured_ns // S
        known = true | true_at.get(second, frozenset())
        causes.sort(key=lambda reason, known=known: reason not in known)  # type: ignore[misc]
        passed = decision.verdict is Outcome.PASS
        blame = None if passed else (causes[0], causes[0] in known) if causes else blame
        if decision.captured_ns < after_ns:
            continue
        due_ns += long_ns
        if passed:
            passed_ns += long_ns
            continue
        key = (second, *(blame or (decision.reasons[0], decision.reasons[0] in known)))
        blocked_ns, waiting_ns, also = lost.get(key, (0, 0, set()))
        waited_ns = 0 if causes else long_ns
        lost[key] = (blocked_ns + long_ns, waiting_ns + waited_ns, also.union(causes[1:]))
    return Availability(
        due_ns,
        passed_ns,
        tuple(
            Lost(second, cause, blocked_ns, waiting_ns, worst_first(also), rightly)
            for (second, cause, rightly), (blocked_ns, waiting_ns, also) in lost.items()
        ),
    )


def by_cause(found: Iterable[Availability]) -> list[CauseRow]:
    """What each cause cost over all of these, the dearest first."""
    sums: dict[Reason, tuple[int, int, int, int]] = {}
    for one in found:
        for cause in {lost.cause for lost in one.lost}:
            own = [lost for lost in one.lost if lost.cause is cause]
            blocked_ns, waiting_ns, true_ns, clips = sums.get(cause, (0, 0, 0, 0))
            sums[cause] = (
                blocked_ns + sum(lost.blocked_ns for lost in own),
                waiting_ns + sum(lost.waiting_ns for lost in own),
                true_ns + sum(lost.blocked_ns for lost in own if lost.true),
                clips + 1,
            )
    rows = [CauseRow(cause, *costs) for cause, costs in sums.items()]
    return sorted(rows, key=lambda row: (-row.blocked_ns, row.cause.rank))


def _lengths(decisions: Sequence[FrameDecision]) -> Iterable[tuple[FrameDecision, int]]:
    """Each decision and the time to the next; the last stands for as long as the one before."""
    last_ns = 0
    for number, decision in enumerate(decisions):
        if number + 1 < len(decisions):
            last_ns = max(0, decisions[number + 1].captured_ns - decision.captured_ns)
        yield decision, last_ns


def summary(clip: str, found: Availability, dwell_s: float) -> str:
    """One line of progress."""
    if found.share is None:
        return f"{clip}: over before a dwell of {dwell_s:g} s"
    return f"{clip}: passed {found.share:.1%} of the time after {dwell_s:g} s{_causes(found)}"


def _causes(found: Availability) -> str:
    rows = by_cause([found])
    causes = ", ".join(f"{row.cause.value} {row.blocked_ns / S:.1f} s" for row in rows)
    return f"; lost to {causes}" if causes else ""


def table(found: Sequence[Availability]) -> list[str]:
    """What each cause cost over these recordings, as lines of text."""
    due_ns = sum(one.due_ns for one in found)
    if not due_ns:
        return ["not tried: no recording of a fixed place is longer than the dwell"]
    lines = ["cause                      blocked s   of it dwell  of it true   share %  recordings"]
    for row in by_cause(found):
        lines.append(
            f"{row.cause.value:<24} {row.blocked_ns / S:11.1f} {row.waiting_ns / S:13.1f} "
            f"{row.true_ns / S:11.1f} {100 * row.blocked_ns / due_ns:9.2f} {row.clips:11}"
        )
    return lines if len(lines) > 1 else ["nothing was blocked"]


def as_json(found: Sequence[tuple[str, str, Availability]], dwell_s: float) -> dict[str, object]:
    """Everything, from (recording, view, availability)."""
    return {
        "dwell_s": dwell_s,
        "recordings": [
            {
                "recording": clip,
                "view": view,
                "due_s": _seconds(one.due_ns),
                "passed_s": _seconds(one.passed_ns),
                "rightly_blocked_s": _seconds(one.rightly_ns),
                "falsely_blocked_s": _seconds(one.falsely_ns),
                "lost": [
                    {
                        "second": lost.second,
                        "cause": lost.cause.value,
                        "blocked_s": _seconds(lost.blocked_ns),
                        "dwell_s": _seconds(lost.waiting_ns),
                        "true": lost.true,
                        "also": [reason.value for reason in lost.also],
                    }
                    for lost in one.lost
                ],
            }
            for clip, view, one in found
        ],
        "causes": [
            {
                "cause": row.cause.value,
                "blocked_s": _seconds(row.blocked_ns),
                "dwell_s": _seconds(row.waiting_ns),
                "true_s": _seconds(row.true_ns),
                "recordings": row.clips,
            }
            for row in by_cause(one for _, _, one in found)
        ],
    }


def _seconds(ns: int) -> float:
    return round(ns / S, 3)
