"""Was any frame released between two moments? What a run of entries says.

A permit begins with its entry and is over with the next `end`, `deny`, `start`,
`stop` or `unclean_stop`. What an `end` counted as no frame at all is none; a
permit that a crash ended counted nothing, so it may have released. A stop must
count what the ends before it counted. Times are the log's own, which never go
back. Pure: stored entries in, an answer out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.audit.forms import wall_ns
from edge.audit.schema import Kind
from edge.errors import AuditError

SLACK_NS = 10**9  # a permit may be dated this much after the clock showed it

Fields = Mapping[str, Any]
_SETTLED = {Kind.START, Kind.END, Kind.DENY, Kind.STOP, Kind.UNCLEAN_STOP}  # blocked after it


class NotProven(AuditError):
    """The log does not show that no frame was released in the span."""


@dataclass(frozen=True, slots=True)
class Span:
    """What was shown."""

    from_ns: int  # wall time
    to_ns: int
    permits: int  # within the span, each with no frame released


def find_run(
    entries: Sequence[Fields], from_ns: int, to_ns: int, distrusted: str = ""
) -> tuple[int, int]:
    """The shortest run (first, end) of entries that `judge_run` can judge the span by.

    Args:
        distrusted: dates from here on are wrong, as an entry before these said; "" for none.

    Raises:
        NotProven: the log does not reach from before the span to after it.
    """
    first = None
    for index, entry in enumerate(entries):
        if wall_ns(entry["wall"]) > from_ns - SLACK_NS:
            break
        if Kind(entry["kind"]) in _SETTLED:
            first = index
    if first is None:
        raise NotProven("the log has no entry from before the span that says frames were blocked")
    wrong = [wall_ns(e["not_yet"]) for e in entries if Kind(e["kind"]) is Kind.CLOCK_RESET]
    wrong += [wall_ns(distrusted)] if distrusted else []
    for index in range(first, len(entries)):
        if any(wall_ns(entries[index]["wall"]) >= not_yet_ns for not_yet_ns in wrong):
            raise NotProven(
                "the clock was wrong, and a signed record says so: entries from "
                f"{entries[index]['wall']} on have dates that prove nothing"
            )
        if wall_ns(entries[index]["wall"]) >= to_ns + SLACK_NS:
            return first, index + 1
    newest = entries[-1]["wall"]
    raise NotProven(f"the log says nothing after the span; its last entry is of {newest}")


def judge_run(run: Sequence[Fields], from_ns: int, to_ns: int) -> Span:
    """Whether consecutive entries show that no frame was released in the span.

    Raises:
        NotProven: they do not, and why.
    """
    if from_ns >= to_ns:
        raise NotProven("the span ends before it begins")
    walls = [wall_ns(entry["wall"]) for entry in run]
    if not run or Kind(run[0]["kind"]) not in _SETTLED or walls[0] > from_ns - SLACK_NS:
        raise NotProven("the run does not begin with a blocked guard before the span")
    if walls[-1] < to_ns + SLACK_NS:
        raise NotProven("the run ends before the span does")
    if walls != sorted(walls):
        raise NotProven("the run's times go back")
    if any(Kind(entry["kind"]) is Kind.CLOCK_RESET for entry in run):
        raise NotProven("the run holds dates that a signed record says are wrong")
    permits = 0
    counted: int | None = None  # frames released since a start, as the ends of permits say
    held: Fields | None = None
    for place, entry in enumerate(run):
        kind = Kind(entry["kind"])
        if held is not None and kind in _SETTLED:
            if not _released_nothing(held, entry, kind):
                raise NotProven(
                    f"a permit of {held['wall']} held into the span, until {entry['wall']}"
                )
            permits += 1
            held = None
        match kind:
            case Kind.START:
                counted = 0
            case Kind.END if counted is not None and entry["released"] is not None:
                counted += entry["released"]
            case Kind.END:
                counted = None
            case Kind.STOP if counted is not None and entry["released"] != counted:
                raise NotProven(f"the stop of {entry['wall']} counts other frames than the permits")
        if kind is Kind.PERMIT:
            if held is not None:
                raise NotProven(f"a permit of {entry['wall']} follows one that never ended")
            # frames may have been captured before the permit that released them
            reach_ns = int(entry["mono_ns"]) - int(entry["from_ns"])
            begins_ns = walls[place] - max(0, reach_ns)
            held = entry if begins_ns < to_ns + SLACK_NS else None
            if held is None and place != len(run) - 1:
                break
    if held is not None:
        raise NotProven(f"a permit of {held['wall']} has no end in the run")
    return Span(from_ns, to_ns, permits)


def _released_nothing(permit: Fields, entry: Fields, kind: Kind) -> bool:
    return kind is Kind.END and entry["epoch"] == permit["epoch"] and entry["released"] == 0
