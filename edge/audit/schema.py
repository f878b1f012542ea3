"""What an audit entry may hold: a closed set of kinds, each with typed fields.

There is no field for free text, pictures, boxes, names or positions, so none
can reach the log. Build entries with the classes below. The type of a field says
how it is stored (`edge.audit.forms`); `validate` checks the stored form, on
writing and again on reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, ClassVar, get_type_hints

import rfc8785

from edge.attempts import Attempt
from edge.audit.forms import (
    BootNs,
    BootNsOrNone,
    Causes,
    Count,
    CountOrNone,
    Digest16,
    Digest32,
    DwellS,
    Flag,
    Form,
    GoodEvidence,
    LaterCount,
    LaterReasons,
    PackName,
    Rules,
    SchemaError,
    Version,
    Whole,
    form_of_enum,
    wall_form,
)
from edge.lease import Lane

MAX_ENTRY_BYTES = 8192


class Kind(Enum):
    """The kind of an entry."""

    START = "start"  # the guard began, blocked
    PERMIT = "permit"  # frames may be released from here on
    END = "end"  # the permit ended
    DENY = "deny"  # a transition after which frames stay blocked
    STOP = "stop"  # the guard ended in good order
    UNCLEAN_STOP = "unclean_stop"  # the run before this one did not
    FLOOR = "floor"  # newest policy and time known
    TOKEN = "token"  # consent or authorisation was handed in or taken back
    CLOCK_JUMP = "clock_jump"  # the wall clock was set; leases know none
    CLOCK_RESET = "clock_reset"  # a signed record says that recorded times were wrong
    ESCAPE = "escape"  # the matcher tried to get out of its sandbox, and how
    GAP = "gap"  # denials left out of the log, and their reasons
    RECOVERED = "recovered"  # the log mended itself


class Context(Enum):
    """The capture context as the decision saw it."""

    CONTROLLED = "controlled"
    UNCONTROLLED = "uncontrolled"


class Enrolment(Enum):
    """How the view in force was enrolled."""

    ENFORCED = "enforced"
    OVERRIDDEN = "overridden"
    UNENFORCED = "unenforced"
    NONE = "none"


class Release(Enum):
    """When a frame may leave: bracketed by evidence, or at once."""

    BRACKETED = "bracketed"
    IMMEDIATE = "immediate"


class Board(Enum):
    """Which kind of board may report docking, stillness and tampering."""

    NONE = "none"  # the lane asks for no board
    REAL = "real"
    VIRTUAL = "virtual"  # a simulated one may stand in


class Handing(Enum):
    """What was handed in at the consent inbox."""

    RECEIPT = "receipt"
    AUTHORISATION = "authorisation"
    WITHDRAWAL = "withdrawal"
    OPT_OUT = "opt_out"
    REFUSED = "refused"  # unsigned, not by a trusted key, or invalid


class Incident(Enum):
    """What the log recovered from."""

    TORN_TAIL = "torn_tail"  # an unfinished write was cut off and kept aside
    SYNC_FAILED = "sync_failed"  # storage failed a write or sync; a new segment was begun
    DISK_FULL = "disk_full"  # the reserved block had to be used


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every entry carries; the caller takes the times."""

    boot_id: Digest16
    mono_ns: BootNs  # CLOCK_BOOTTIME
    wall_ns: Annotated[int, wall_form("wall")]  # UTC, since 1970
    camera: Digest16  # of the camera identity
    policy: Digest32  # of the policy in force


@dataclass(frozen=True, slots=True)
class Entry:
    """Base of the entries below; `fields` gives the stored form."""

    kind: ClassVar[Kind]
    stamp: Stamp

    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = {"kind": self.kind.value}
        for part in (self.stamp, self):
            for name, form in _FORMS[type(part)].items():
                found[form.name or name] = form.store(getattr(part, name))
        return found


@dataclass(frozen=True, slots=True)
class Start(Entry):
    """A run begins, blocked."""

    kind = Kind.START
    version: Version  # of this software
    pack: PackName
    lane: Lane
    dwell_s: DwellS
    release: Release
    virtual: Flag  # a recording stands in for the camera
    enrolment: Enrolment
    board: Board


@dataclass(frozen=True, slots=True)
class Permit(Entry):
    """Frames may be released from here on."""

    kind = Kind.PERMIT
    epoch: Count
    context: Context
    from_ns: BootNs  # no frame captured before this may be released
    rules: Rules
    good: GoodEvidence  # the evidence it rests on


@dataclass(frozen=True, slots=True)
class End(Entry):
    """The permit is over."""

    kind = Kind.END
    epoch: Count
    reasons: Causes
    rules: Rules
    released: CountOrNone  # frames released in this epoch; None if the gate did not say
    last_captured_ns: BootNsOrNone  # of the last released frame; None if there was none
    results: LaterCount = 0  # of the matcher since the end before, handed on; never what they say
    results_refused: LaterCount = 0  # the same, dropped: no result by their form, or too many


@dataclass(frozen=True, slots=True)
class Deny(Entry):
    """Blocked, and why: the cause is new, or another one."""

    kind = Kind.DENY
    context: Context
    reasons: Causes
    rules: Rules


@dataclass(frozen=True, slots=True)
class Stop(Entry):
    """The run ended in good order."""

    kind = Kind.STOP
    released: CountOrNone  # frames, in the whole run; None if the gate did not say
    frames: Count
    results: LaterCount = 0  # of the matcher in the whole run, handed on
    results_refused: LaterCount = 0  # the same, dropped


@dataclass(frozen=True, slots=True)
class UncleanStop(Entry):
    """Written by the log itself before the first entry of the next run."""

    kind = Kind.UNCLEAN_STOP


@dataclass(frozen=True, slots=True)
class Floor(Entry):
    """What no later run may go back behind."""

    kind = Kind.FLOOR
    policy_version: Count
    time_floor_ns: Annotated[int, wall_form("time_floor")]  # wall time known to have passed


@dataclass(frozen=True, slots=True)
class Token(Entry):
    """A token of consent was handed in or taken back."""

    kind = Kind.TOKEN
    handing: Handing
    digest: Digest32  # SHA-256 of the file that was handed in: it identifies no person


@dataclass(frozen=True, slots=True)
class ClockJump(Entry):
    """The wall clock moved against the boot clock."""

    kind = Kind.CLOCK_JUMP
    by_s: Whole  # forwards, or back if below 0


@dataclass(frozen=True, slots=True)
class ClockReset(Entry):
    """Dates from `not_yet_ns` on are wrong, wherever in the log they stand."""

    kind = Kind.CLOCK_RESET
    not_yet_ns: Annotated[int, wall_form("not_yet")]
    at_least_ns: Annotated[int, wall_form("at_least")]  # this has passed, the record says


@dataclass(frozen=True, slots=True)
class EscapeAttempt(Entry):
    """The matcher tried to leave its sandbox."""

    kind = Kind.ESCAPE
    tried: Attempt  # the first attempt; the matcher is ended then


@dataclass(frozen=True, slots=True)
class Gap(Entry):
    """Entries were left out, because too many came at once."""

    kind = Kind.GAP
    suppressed: Count
    reasons: LaterReasons  # every reason of the entries left out


@dataclass(frozen=True, slots=True)
class Recovered(Entry):
    """Written by the log itself before the next entry."""

    kind = Kind.RECOVERED
    incident: Incident
    count: Count = 0  # bytes cut off, or entries written again


# the stored form ------------------------------------------------------------------


def _forms(of: type) -> dict[str, Form]:
    """The form of each field that a stamp or an entry adds, by the field's name."""
    hints = get_type_hints(of, include_extras=True)
    return {
        name: form_of_enum(hint) if isinstance(hint, type) else hint.__metadata__[0]
        for name, hint in hints.items()
        if name not in Entry.__annotations__
    }


_FORMS: dict[type, dict[str, Form]] = {entry: _forms(entry) for entry in Entry.__subclasses__()}
_FORMS[Stamp] = _forms(Stamp)
_STORED = {  # the same, by the stored name
    entry.kind: {form.name or name: form for name, form in (_FORMS[Stamp] | _FORMS[entry]).items()}
    for entry in Entry.__subclasses__()
}


def validate(fields: Mapping[str, Any]) -> Kind:
    """The kind of an entry in its stored form.

    Raises:
        SchemaError: a field is missing, unknown or not of its type. The message
            names the field, never its value.
    """
    try:
        kind = Kind(fields.get("kind"))
    except ValueError as err:
        known = ", ".join(k.value for k in Kind)
        raise SchemaError(f"audit entry has no known kind, expected one of {known}") from err
    forms = _STORED[kind]
    for name in fields:
        if name != "kind" and name not in forms:
            raise SchemaError(f"audit entry of kind {kind.value} has an unknown field")
    for name, form in forms.items():
        if name not in fields:
            if form.later:
                continue
            raise SchemaError(f"audit entry of kind {kind.value} has no field {name}")
        if not form.check(fields[name]):
            raise SchemaError(f"field {name} of a {kind.value} entry is not what it should be")
    return kind


def canonical(fields: Mapping[str, Any]) -> bytes:
    """The bytes that are hashed and stored (RFC 8785), after `validate`."""
    validate(fields)
    data = rfc8785.dumps(dict(fields))
    if len(data) > MAX_ENTRY_BYTES:
        raise SchemaError(f"audit entry has {len(data)} bytes, at most {MAX_ENTRY_BYTES} fit")
    return data
