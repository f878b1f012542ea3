"""How a field of an audit entry is stored, and what its stored form may be.

The types below annotate the fields of `edge.audit.schema`. Nanoseconds of the boot
clock are stored as decimal strings, because a boot time outgrows the whole numbers
that JSON keeps exact after 104 days.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

from edge.errors import AuditError, meaning
from edge.evidence.readings import Source
from edge.reasons import Reason, worst_first

_MAX_EXACT = 2**53 - 1  # largest whole number that JSON readers agree on
_WALL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_NUMBER = re.compile(r"[0-9]+")
_Check = Callable[[Any], bool]


class SchemaError(AuditError):
    """An entry holds something the log does not take."""


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
    with meaning(f"no such time: {text}", ValueError, as_=SchemaError):
        year, month, day, hour, minute, second = map(int, _NUMBER.findall(text[:19]))
        moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.timezone.utc)
    return int(moment.timestamp()) * 10**9 + int(text[20:23]) * 10**6


@dataclass(frozen=True, slots=True)
class Form:
    """The stored form of a field."""

    check: _Check  # whether a stored value is what it should be
    store: Callable[[Any], Any] = lambda value: value
    name: str = ""  # of the stored field, if it differs
    later: bool = False  # entries of older versions lack it


def form_of_enum(of: type[Enum]) -> Form:
    """An enum is stored by its value."""
    return Form(_member(of), lambda member: member.value)


def _text(pattern: str) -> _Check:
    compiled = re.compile(pattern)
    return lambda v: isinstance(v, str) and compiled.fullmatch(v) is not None


def _member(of: type[Enum]) -> _Check:
    known = {member.value for member in of}
    return lambda v: isinstance(v, str) and v in known


def _count(v: Any) -> bool:
    return type(v) is int and 0 <= v <= _MAX_EXACT


def _wall(v: Any) -> bool:
    if not isinstance(v, str):
        return False
    try:
        wall_ns(v)
    except SchemaError:
        return False
    return True


_ns = _text(r"0|-?[1-9][0-9]{0,18}")
_rule = _text(r"[A-Z][A-Z0-9]{0,7}-[A-Z0-9]{1,8}")
_reason = _member(Reason)
_source = _member(Source)


def _rules(v: Any) -> bool:
    return isinstance(v, list) and len(v) <= 64 and all(map(_rule, v))


def _reasons(v: Any) -> bool:
    return isinstance(v, list) and len(v) == len({str(r) for r in v}) and all(map(_reason, v))


def _evidence(v: Any) -> bool:
    return isinstance(v, dict) and all(_source(k) and state == "good" for k, state in v.items())


def _causes(reasons: Iterable[Reason]) -> list[str]:
    return [reason.value for reason in worst_first(reasons)]


def _codes(reasons: Iterable[Reason]) -> list[str]:
    return [reason.value for reason in sorted(set(reasons), key=lambda reason: reason.rank)]


Flag = Annotated[bool, Form(lambda v: isinstance(v, bool))]
Count = Annotated[int, Form(_count)]
CountOrNone = Annotated[int | None, Form(lambda v: v is None or _count(v))]
LaterCount = Annotated[int, Form(_count, later=True)]
Whole = Annotated[int, Form(lambda v: type(v) is int and abs(v) <= _MAX_EXACT)]
BootNs = Annotated[int, Form(_ns, str)]
BootNsOrNone = Annotated[
    int | None, Form(lambda v: v is None or _ns(v), lambda ns: None if ns is None else str(ns))
]
DwellS = Annotated[float, Form(_count, lambda s: round(s * 1000), "dwell_ms")]
Digest16 = Annotated[bytes, Form(_text(r"[0-9a-f]{32}"), bytes.hex)]
Digest32 = Annotated[bytes, Form(_text(r"[0-9a-f]{64}"), bytes.hex)]
Version = Annotated[str, Form(_text(r"[0-9][0-9A-Za-z.+-]{0,31}"))]
PackName = Annotated[str, Form(_text(r"[a-z][a-z0-9_-]{0,31}"))]
Rules = Annotated[tuple[str, ...], Form(_rules, list)]
Causes = Annotated[tuple[Reason, ...], Form(_reasons, _causes)]  # waiting only where no cause is
LaterReasons = Annotated[tuple[Reason, ...], Form(_reasons, _codes, later=True)]  # all of them
GoodEvidence = Annotated[
    tuple[Source, ...],
    Form(_evidence, lambda good: {source.value: "good" for source in good}, "evidence"),
]


def wall_form(name: str) -> Form:
    """Wall time in nanoseconds, stored as text in the field `name`."""
    return Form(_wall, wall_text, name)
