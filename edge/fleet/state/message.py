"""The state that a device publishes: a closed schema of public facts, and how it is read.

    framegate/DEVICE/state    one JSON object, retained
    framegate/DEVICE/link     {"link": "up"}, "lost" as the last will, or "ended"; retained

DEVICE is the name of the device's log without `/log`. A reader knows the log's
public key. It accepts no state whose checkpoint this key did not sign, so
neither a broker nor a stolen client certificate can make up a log's size. The other
fields are only as good as the connection they came over. There is no picture, no
score and no place. Pure.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from edge.audit.note import NoteError, Verifier, decoded
from edge.audit.proofs.consistency import MAX_HASHES
from edge.audit.proofs.merkle import HASH_BYTES
from edge.audit.segment import signed_head
from edge.errors import UsageError
from edge.fleet.result_message import parsed
from edge.reasons import Reason

ROOT_TOPIC = "framegate"
SCHEMA = 1
MAX_BYTES = 16 * 1024  # of a message; the longest proof makes it 6 KiB
MAX_REASONS = 16
PERIODS_S = (1, 3600)
MAX_NOTE = 4096
_MAX_TIME_S = 2**40
CODES = {reason.value: reason for reason in Reason}
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEX = re.compile(r"([0-9a-f]{64})?")
_WORD = re.compile(r"[A-Za-z0-9._+-]{0,64}")


class State(Enum):
    """What the guard of a device does; the value is what is published."""

    PASSING = "passing"  # frames pass to the first matcher
    BLOCKED = "blocked"
    STARTING = "starting"
    WAITING = "waiting"  # to start again
    OVER = "over"  # a recording has ended
    STOPPED = "stopped"
    ABSENT = "absent"  # there is no guard, or it says nothing


class Link(Enum):
    """The connection of a device to its broker."""

    UP = "up"
    LOST = "lost"  # the last will: the broker says that the device is gone
    ENDED = "ended"  # the device took its leave


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What one device says of itself."""

    device: str
    time_s: int  # POSIX, by the device's clock
    period_s: int  # the next message comes after this time
    state: State
    reasons: tuple[Reason, ...]  # why it is blocked, the worst first
    version: str
    pack: str  # the policy's name
    policy: str  # its digest, hex SHA-256; empty where there is none
    record: str  # digest of the signed device record, as well
    size: int  # of the log
    root: bytes
    checkpoint: str  # that says so, as the device signed it
    cosigned: str  # the checkpoint that witnesses cosigned last, with their lines; may be empty
    old: int  # size of that one; 0 if there is none
    old_root: bytes  # and its root; empty if there is none, and not a field of its own
    path: tuple[bytes, ...]  # proof that the log continues it
    forked: bool  # the courier's alarm: a witness has seen another history


def device_of(origin: str) -> str:
    """The device whose log is called `origin`.

    Raises:
        UsageError: its name cannot be part of a topic.
    """
    name = origin.removesuffix("/log")
    if name == origin or not _DEVICE.fullmatch(name):
        raise UsageError(f"expected a log called DEVICE/log, got {origin[:80]!r}")
    return name


def state_topic(device: str) -> str:
    return f"{ROOT_TOPIC}/{device}/state"


def link_topic(device: str) -> str:
    return f"{ROOT_TOPIC}/{device}/link"


def written(state: DeviceState) -> bytes:
    """The message."""
    stored = {
        "schema": SCHEMA,
        "state": state.state.value,
        "reasons": [reason.value for reason in state.reasons],
        "root": _text_of(state.root),
        "path": [_text_of(step) for step in state.path],
    }
    facts = {**stored, **{name: getattr(state, name) for name in _AS_IT_IS}}
    fields = {name: facts[name] for name in _CHECKS}  # in the schema's order
    return json.dumps(fields, separators=(",", ":")).encode()


def read_state(message: bytes, device: str, key: Verifier) -> DeviceState:
    """The state in a message that came on the device's topic.

    Args:
        key: of the device's log.

    Raises:
        UsageError: it is none; the message names the field, never its value.
        NoteError: its checkpoint is not signed by this key.
    """
    found = _object(message)
    if set(found) != _FIELDS:
        raise UsageError(f"expected the fields {', '.join(sorted(_FIELDS))}, and no others")
    for name, right in _CHECKS.items():
        if not right(found[name]):
            raise UsageError(f"{name}: not as the schema says")
    if found["device"] != device:
        raise UsageError("device: it is not the topic's")
    size, root = signed_head(found["checkpoint"].encode(), key)
    if (size, _text_of(root)) != (found["size"], found["root"]):
        raise NoteError("size and root are not those of the signed checkpoint")
    cosigned = found["cosigned"].encode()
    old, old_root = signed_head(cosigned, key) if cosigned else (0, b"")
    if found["old"] != old:
        raise NoteError("old is not the size of the cosigned checkpoint")
    return DeviceState(
        **{name: found[name] for name in _AS_IT_IS},
        state=State(found["state"]),
        reasons=tuple(CODES[code] for code in found["reasons"]),
        root=root,
        old_root=old_root,
        path=tuple(base64.b64decode(step) for step in found["path"]),
    )


def written_link(link: Link) -> bytes:
    return json.dumps({"link": link.value}).encode()


def read_link(message: bytes) -> Link:
    """The link in a message.

    Raises:
        UsageError: it is none.
    """
    found = _object(message)
    if set(found) != {"link"} or not _is_one_of(_LINKS)(found["link"]):
        raise UsageError("expected the field link: up, lost or ended")
    return Link(found["link"])


def _object(message: bytes) -> dict[str, Any]:
    found = parsed(message, MAX_BYTES)
    if not isinstance(found, dict):
        raise UsageError("expected one JSON object")
    return found


def _text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _is_int(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_text(form: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and form.fullmatch(value) is not None


def _is_note(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value.encode()) <= MAX_NOTE
    except UnicodeEncodeError:  # JSON can spell half a character
        return False


def _is_one_of(values: frozenset[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in values


def _is_hash(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(decoded(value, "a hash")) == HASH_BYTES
    except NoteError:
        return False


def _are(right: Callable[[Any], bool], most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(right, value))


_LINKS = frozenset(link.value for link in Link)
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "schema": _is_int(SCHEMA, SCHEMA),
    "device": _is_text(_DEVICE),
    "time_s": _is_int(0, _MAX_TIME_S),
    "period_s": _is_int(*PERIODS_S),
    "state": _is_one_of(frozenset(state.value for state in State)),
    "reasons": _are(_is_one_of(frozenset(CODES)), MAX_REASONS),
    "version": _is_text(_WORD),
    "pack": _is_text(_WORD),
    "policy": _is_text(_HEX),
    "record": _is_text(_HEX),
    "size": _is_int(0, 10**15),
    "root": _is_hash,
    "checkpoint": _is_note,
    "cosigned": _is_note,
    "old": _is_int(0, 10**15),
    "path": _are(_is_hash, MAX_HASHES),
    "forked": lambda value: isinstance(value, bool),
}
_FIELDS = frozenset(_CHECKS)
_AS_IT_IS = _FIELDS - {"schema", "state", "reasons", "root", "path"}
