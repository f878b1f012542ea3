"""What an audit entry may hold: a closed set of kinds, each with typed fields.

There is no field for free text, pictures, boxes, names or positions, so none
can reach the log. Build entries with the classes below; `validate` judges the
stored form, on writing and again on reading. Nanoseconds are stored as
decimal strings, because a boot time outgrows the whole numbers that JSON
keeps exact after 104 days.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

import rfc8785

from edge.errors import AuditError
from edge.evidence.readings import Source
from edge.lease import Lane
from edge.reasons import Reason, worst_first
from edge.sandbox.attempts import Attempt

MAX_ENTRY_BYTES = 8192
_MAX_EXACT = 2**53 - 1  # largest whole number that JSON readers agree on


class SchemaError(AuditError):
    """An entry holds something the log does not take."""


class Kind(Enum):
    """What an entry tells."""

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
    """Whose word on docking, stillness and tampering is believed."""

    NONE = "none"  # the lane asks for no board
    REAL = "real"
    VIRTUAL = "virtual"  # a simulated one may stand in


class Handing(Enum):
    """What was handed in at the consent inbox."""

    RECEIPT = "receipt"
    AUTHORISATION = "authorisation"
    WITHDRAWAL = "withdrawal"
    OPT_OUT = "opt_out"
    REFUSED = "refused"  # unsigned, of nobody trusted, or not what it should be


class Incident(Enum):
    """What the log recovered from."""

    TORN_TAIL = "torn_tail"  # an unfinished write was cut off and kept aside
    SYNC_FAILED = "sync_failed"  # storage failed a write or sync; a new segment was begun
    DISK_FULL = "disk_full"  # the reserved block had to be used


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every entry carries; the caller takes the times."""

    boot_id: bytes  # 16 bytes
    mono_ns: int  # CLOCK_BOOTTIME
    wall_ns: int  # UTC, since 1970
    camera: bytes  # digest of the camera identity, 16 bytes
    policy: bytes  # digest of the policy in force, 32 bytes

    def fields(self) -> dict[str, Any]:
        return {
            "boot_id": self.boot_id.hex(),
            "mono_ns": str(self.mono_ns),
            "wall": wall_text(self.wall_ns),
            "camera": self.camera.hex(),
            "policy": self.policy.hex(),
        }


def wall_text(wall_ns: int) -> str:
    """UTC time as RFC 3339 with milliseconds; such texts sort as their times do."""
    if not 0 <= wall_ns < 253_402_300_800 * 10**9:
        raise SchemaError(f"wall time {wall_ns} ns is outside the years 1970 to 9999")
    moment = dt.datetime.fromtimestamp(wall_ns // 10**9, dt.timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_ns // 10**6 % 1000:03d}Z"


def wall_ns(text: str) -> int:
    """The inverse of `wall_text`."""
    if not _WALL.fullmatch(text):
        raise SchemaError(f"expected a time like 2026-01-31T12:00:00.000Z, got {text[:40]!r}")
    try:
        year, month, day, hour, minute, second = map(int, _NUMBER.findall(text[:19]))
        moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.timezone.utc)
    except ValueError as err:
        raise SchemaError(f"no such time: {text}") from err
    return int(moment.timestamp()) * 10**9 + int(text[20:23]) * 10**6


@dataclass(frozen=True, slots=True)
class Entry:
    """Base of the entries below; `fields` gives the stored form."""

    kind: ClassVar[Kind]
    stamp: Stamp

    def fields(self) -> dict[str, Any]:
        return {"kind": self.kind.value, **self.stamp.fields(), **self._own()}

    def _own(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class Start(Entry):
    kind = Kind.START
    version: str  # of this software
    pack: str
    lane: Lane
    dwell_s: float
    release: Release
    virtual: bool  # a recording stands in for the camera
    enrolment: Enrolment
    board: Board

    def _own(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "pack": self.pack,
            "lane": self.lane.value,
            "dwell_ms": round(self.dwell_s * 1000),
            "release": self.release.value,
            "virtual": self.virtual,
            "enrolment": self.enrolment.value,
            "board": self.board.value,
        }


@dataclass(frozen=True, slots=True)
class Permit(Entry):
    kind = Kind.PERMIT
    epoch: int
    context: Context
    from_ns: int  # no frame captured before this may be released
    rules: tuple[str, ...]
    good: tuple[Source, ...]  # the evidence it rests on

    def _own(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "context": self.context.value,
            "from_ns": str(self.from_ns),
            "rules": list(self.rules),
            "evidence": {source.value: "good" for source in self.good},
        }


@dataclass(frozen=True, slots=True)
class End(Entry):
    kind = Kind.END
    epoch: int
    reasons: tuple[Reason, ...]
    rules: tuple[str, ...]
    released: int | None  # frames released in this epoch; None if the gate did not say
    last_captured_ns: int | None  # of the last released frame; None if there was none
    results: int = 0  # of the matcher since the end before, handed on; never what they say
    results_refused: int = 0  # the same, dropped: no result by their form, or too many

    def _own(self) -> dict[str, Any]:
        last = self.last_captured_ns
        return {
            "epoch": self.epoch,
            "reasons": _reason_list(self.reasons),
            "rules": list(self.rules),
            "released": self.released,
            "last_captured_ns": None if last is None else str(last),
            "results": self.results,
            "results_refused": self.results_refused,
        }


@dataclass(frozen=True, slots=True)
class Deny(Entry):
    kind = Kind.DENY
    context: Context
    reasons: tuple[Reason, ...]
    rules: tuple[str, ...]

    def _own(self) -> dict[str, Any]:
        return {
            "context": self.context.value,
            "reasons": _reason_list(self.reasons),
            "rules": list(self.rules),
        }


@dataclass(frozen=True, slots=True)
class Stop(Entry):
    kind = Kind.STOP
    released: int | None  # frames, in the whole run; None if the gate did not say
    frames: int
    results: int = 0  # of the matcher in the whole run, handed on
    results_refused: int = 0  # the same, dropped

    def _own(self) -> dict[str, Any]:
        return {
            "released": self.released,
            "frames": self.frames,
            "results": self.results,
            "results_refused": self.results_refused,
        }


@dataclass(frozen=True, slots=True)
class UncleanStop(Entry):
    """Written by the log itself before the first entry of the next run."""

    kind = Kind.UNCLEAN_STOP


@dataclass(frozen=True, slots=True)
class Floor(Entry):
    kind = Kind.FLOOR
    policy_version: int
    time_floor_ns: int  # wall time that is known to have passed

    def _own(self) -> dict[str, Any]:
        return {
            "policy_version": self.policy_version,
            "time_floor": wall_text(self.time_floor_ns),
        }


@dataclass(frozen=True, slots=True)
class Token(Entry):
    kind = Kind.TOKEN
    handing: Handing
    digest: bytes  # SHA-256 of what was handed in: it names nobody

    def _own(self) -> dict[str, Any]:
        return {"handing": self.handing.value, "digest": self.digest.hex()}


@dataclass(frozen=True, slots=True)
class ClockJump(Entry):
    kind = Kind.CLOCK_JUMP
    by_s: int  # forwards, or back if below 0

    def _own(self) -> dict[str, Any]:
        return {"by_s": self.by_s}


@dataclass(frozen=True, slots=True)
class ClockReset(Entry):
    """Dates from `not_yet_ns` on are wrong, wherever in the log they stand."""

    kind = Kind.CLOCK_RESET
    not_yet_ns: int
    at_least_ns: int  # this has passed, so the record says

    def _own(self) -> dict[str, Any]:
        return {
            "not_yet": wall_text(self.not_yet_ns),
            "at_least": wall_text(self.at_least_ns),
        }


@dataclass(frozen=True, slots=True)
class EscapeAttempt(Entry):
    kind = Kind.ESCAPE
    tried: Attempt  # what was tried first; it is ended then

    def _own(self) -> dict[str, Any]:
        return {"tried": self.tried.value}


@dataclass(frozen=True, slots=True)
class Gap(Entry):
    kind = Kind.GAP
    suppressed: int
    reasons: tuple[Reason, ...]  # every reason that those left out had

    def _own(self) -> dict[str, Any]:
        held = sorted(set(self.reasons), key=lambda reason: reason.rank)
        return {"suppressed": self.suppressed, "reasons": [reason.value for reason in held]}


@dataclass(frozen=True, slots=True)
class Recovered(Entry):
    """Written by the log itself before the next entry."""

    kind = Kind.RECOVERED
    incident: Incident
    count: int = field(default=0)  # bytes cut off, or entries written again

    def _own(self) -> dict[str, Any]:
        return {"incident": self.incident.value, "count": self.count}


def _reason_list(reasons: tuple[Reason, ...]) -> list[str]:
    return [reason.value for reason in worst_first(reasons)]


# the stored form ------------------------------------------------------------------

_WALL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_NUMBER = re.compile(r"[0-9]+")
_RULE = re.compile(r"[A-Z][A-Z0-9]{0,7}-[A-Z0-9]{1,8}")
_NS = re.compile(r"0|-?[1-9][0-9]{0,18}")
Check = Callable[[Any], bool]


def _text(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda v: isinstance(v, str) and compiled.fullmatch(v) is not None


def _member(of: type[Enum]) -> Check:
    known = {member.value for member in of}
    return lambda v: isinstance(v, str) and v in known


def _count(v: Any) -> bool:
    return type(v) is int and 0 <= v <= _MAX_EXACT


def _ns(v: Any) -> bool:
    return isinstance(v, str) and _NS.fullmatch(v) is not None


def _wall(v: Any) -> bool:
    if not isinstance(v, str):
        return False
    try:
        wall_ns(v)
    except SchemaError:
        return False
    return True


def _rules(v: Any) -> bool:
    return (
        isinstance(v, list)
        and len(v) <= 64
        and all(isinstance(r, str) and _RULE.fullmatch(r) is not None for r in v)
    )


_reason = _member(Reason)
_source = _member(Source)


def _reasons(v: Any) -> bool:
    return isinstance(v, list) and len(v) == len({str(r) for r in v}) and all(map(_reason, v))


def _evidence(v: Any) -> bool:
    return isinstance(v, dict) and all(_source(k) and state == "good" for k, state in v.items())


_STAMP: dict[str, Check] = {
    "boot_id": _text(r"[0-9a-f]{32}"),
    "mono_ns": _ns,
    "wall": _wall,
    "camera": _text(r"[0-9a-f]{32}"),
    "policy": _text(r"[0-9a-f]{64}"),
}
_OWN: dict[Kind, dict[str, Check]] = {
    Kind.START: {
        "version": _text(r"[0-9][0-9A-Za-z.+-]{0,31}"),
        "pack": _text(r"[a-z][a-z0-9_-]{0,31}"),
        "lane": _member(Lane),
        "dwell_ms": _count,
        "release": _member(Release),
        "virtual": lambda v: isinstance(v, bool),
        "enrolment": _member(Enrolment),
        "board": _member(Board),
    },
    Kind.PERMIT: {
        "epoch": _count,
        "context": _member(Context),
        "from_ns": _ns,
        "rules": _rules,
        "evidence": _evidence,
    },
    Kind.END: {
        "epoch": _count,
        "reasons": _reasons,
        "rules": _rules,
        "released": lambda v: v is None or _count(v),
        "last_captured_ns": lambda v: v is None or _ns(v),
        "results": _count,
        "results_refused": _count,
    },
    Kind.DENY: {"context": _member(Context), "reasons": _reasons, "rules": _rules},
    Kind.STOP: {
        "released": lambda v: v is None or _count(v),
        "frames": _count,
        "results": _count,
        "results_refused": _count,
    },
    Kind.UNCLEAN_STOP: {},
    Kind.FLOOR: {"policy_version": _count, "time_floor": _wall},
    Kind.TOKEN: {"handing": _member(Handing), "digest": _text(r"[0-9a-f]{64}")},
    Kind.CLOCK_JUMP: {"by_s": lambda v: type(v) is int and abs(v) <= _MAX_EXACT},
    Kind.CLOCK_RESET: {"not_yet": _wall, "at_least": _wall},
    Kind.ESCAPE: {"tried": _member(Attempt)},
    Kind.GAP: {"suppressed": _count, "reasons": _reasons},
    Kind.RECOVERED: {"incident": _member(Incident), "count": _count},
}

_RESULTS = frozenset({"results", "results_refused"})
_LATER = {  # fields that entries of older versions lack
    Kind.GAP: frozenset({"reasons"}),
    Kind.END: _RESULTS,
    Kind.STOP: _RESULTS,
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
    checks = {**_STAMP, **_OWN[kind]}
    for name in fields:
        if name != "kind" and name not in checks:
            raise SchemaError(f"audit entry of kind {kind.value} has an unknown field")
    for name, check in checks.items():
        if name not in fields:
            if name in _LATER.get(kind, ()):
                continue
            raise SchemaError(f"audit entry of kind {kind.value} has no field {name}")
        if not check(fields[name]):
            raise SchemaError(f"field {name} of a {kind.value} entry is not what it should be")
    return kind


def canonical(fields: Mapping[str, Any]) -> bytes:
    """The bytes that are hashed and stored (RFC 8785), after `validate`."""
    validate(fields)
    data = rfc8785.dumps(dict(fields))
    if len(data) > MAX_ENTRY_BYTES:
        raise SchemaError(f"audit entry has {len(data)} bytes, at most {MAX_ENTRY_BYTES} fit")
    return data
