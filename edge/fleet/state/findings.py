"""Where a device, its broker and its witness disagree. Pure: no broker, no files, no clock.

The witness is the authority for a log. The broker only carries what devices say; what
counts of it is what the device's log key signed. Each finding names what is known,
and no cause that is not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from edge.audit.proofs.consistency import Inconsistent, check_consistency, shows_fork
from edge.fleet.state.message import DeviceState, Link, State
from edge.fleet.witness import Head

SILENT_PERIODS = 3
CLOCK_S = 300  # a device's clock may be this far ahead of the reader's


class Finding(Enum):
    """What is wrong with a device, the worst first; the value is what is printed."""

    LOG_FORKED = "LOG_FORKED"  # it signed two histories
    ROLLED_BACK = "ROLLED_BACK"  # its log is shorter than it was
    UNPROVEN = "UNPROVEN"  # a checkpoint that its log's key did not sign, or no proof
    MALFORMED = "MALFORMED"  # a message that the schema does not know
    LOST = "LOST"  # the broker announced its last will
    SILENT = "SILENT"
    ENDED = "ENDED"  # it took its leave
    NO_STATE = "NO_STATE"  # the broker has none of it
    NOT_WITNESSED = "NOT_WITNESSED"  # never, or not for too long
    CLOCK_AHEAD = "CLOCK_AHEAD"
    GUARD_ABSENT = "GUARD_ABSENT"  # the device is there, its guard is not


CRITICAL = frozenset({Finding.LOG_FORKED, Finding.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class Heard:
    """What a reader has of a device from its broker."""

    state: DeviceState | None = None  # the newest that is valid
    link: Link | None = None
    unproven: str = ""  # why a later message's checkpoint does not hold
    malformed: str = ""  # why a later message is none


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What the witness has of a log."""

    head: Head
    time_s: int | None  # when it was cosigned last
    evidence: bool  # two signed histories
    unproven: bool = False  # a signed tree without a proof that it continues the head


@dataclass(frozen=True, slots=True)
class Found:
    """One finding, with what is known of it."""

    finding: Finding
    detail: str


def findings(
    heard: Heard | None, witnessed: Witnessed | None, now_s: float, silent_s: int
) -> tuple[Found, ...]:
    """Everything wrong with one device, the worst first; nothing if all agree.

    Args:
        heard: None if no broker is read.
        witnessed: None if no witness is read.
        silent_s: how long a log may bring its witness nothing.
    """
    found: list[Found] = []
    if witnessed is not None:
        found += _of_witness(witnessed, now_s, silent_s)
    if heard is not None:
        found += _of_connection(heard, now_s)
        if heard.state is not None:
            found += _of_log(heard.state, witnessed)
    order = list(Finding)
    first = {one.finding: one for one in reversed(found)}  # the first of each kind says it
    return tuple(sorted(first.values(), key=lambda one: order.index(one.finding)))


def _of_witness(witnessed: Witnessed, now_s: float, silent_s: int) -> Iterator[Found]:
    if witnessed.evidence:
        yield Found(Finding.LOG_FORKED, "the witness has two histories signed by this log")
    if witnessed.unproven:
        detail = "the witness was sent a tree that this log signed, and no proof that it continues"
        yield Found(Finding.UNPROVEN, detail)
    if witnessed.time_s is None:
        yield Found(Finding.NOT_WITNESSED, "the witness has never seen this log")
    elif now_s - witnessed.time_s > silent_s:
        when = moment(witnessed.time_s)
        yield Found(Finding.NOT_WITNESSED, f"the witness saw it last at {when}")


def _of_connection(heard: Heard, now_s: float) -> Iterator[Found]:
    if heard.unproven:
        yield Found(Finding.UNPROVEN, heard.unproven)
    if heard.malformed:
        yield Found(Finding.MALFORMED, heard.malformed)
    if heard.link is Link.LOST:
        yield Found(Finding.LOST, "the broker lost its connection (last will)")
    if heard.link is Link.ENDED:
        yield Found(Finding.ENDED, "the device ended its connection in good order")
    state = heard.state
    if state is None:
        yield Found(Finding.NO_STATE, "the broker has no state of it")
        return
    if now_s - state.time_s > SILENT_PERIODS * state.period_s:
        yield Found(Finding.SILENT, f"its last message is of {moment(state.time_s)}")
    if state.time_s - now_s > CLOCK_S:
        yield Found(Finding.CLOCK_AHEAD, f"its message is of {moment(state.time_s)}")
    if state.state is State.ABSENT:
        yield Found(Finding.GUARD_ABSENT, "the device reports no running guard")


def _of_log(state: DeviceState, witnessed: Witnessed | None) -> Iterator[Found]:
    """What the device's own signed heads say, and what the witness's head says of them."""
    if state.forked:
        detail = "its courier reports that a witness has seen another history"
        yield Found(Finding.LOG_FORKED, detail)
    if state.old > state.size:
        detail = f"it signed {state.old} entries, and now publishes {state.size}"
        yield Found(Finding.ROLLED_BACK, detail)
    elif state.old:
        yield from _of_proof(state)
    if witnessed is not None and witnessed.head.size:
        yield from _of_heads(state, witnessed)


def _of_proof(state: DeviceState) -> list[Found]:
    """Whether the log continues the checkpoint that it says was cosigned."""
    if state.old < state.size and not state.path:
        detail = f"no proof that {state.size} entries continue the {state.old} cosigned ones"
        return [Found(Finding.UNPROVEN, detail)]
    between = (state.old, state.old_root, state.size, state.root, state.path)
    try:
        check_consistency(*between)
    except Inconsistent:
        if shows_fork(*between):
            detail = f"its {state.size} entries do not continue the {state.old} that it signed"
            if state.old == state.size:
                detail = f"it signed two trees of {state.size} entries"
            return [Found(Finding.LOG_FORKED, detail)]
        detail = f"its proof does not connect {state.old} cosigned entries with {state.size}"
        return [Found(Finding.UNPROVEN, detail)]
    return []


def _of_heads(state: DeviceState, witnessed: Witnessed) -> list[Found]:
    seen = witnessed.head
    for size, root in ((state.size, state.root), (state.old, state.old_root)):
        if size == seen.size and root != seen.root:
            detail = f"the device signed another tree of {size} entries than the witness cosigned"
            return [Found(Finding.LOG_FORKED, detail)]
    late = witnessed.time_s is not None and state.time_s > witnessed.time_s + CLOCK_S
    if state.size < seen.size and late:
        detail = (
            f"the witness cosigned {seen.size} entries, the device said {state.size} "
            f"at {moment(state.time_s)}, later"
        )
        return [Found(Finding.ROLLED_BACK, detail)]
    return []


def moment(time_s: float) -> str:
    """UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_s))
