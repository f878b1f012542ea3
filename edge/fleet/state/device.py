"""What a device publishes of itself, out of public files alone: status, checkpoint, tiles.

It reads no key and no camera, and it tells the guard nothing. What is missing is left
empty or said as `absent`; only a log without a checkpoint has nothing to publish.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.audit.note import Verifier, first_signature_alone
from edge.audit.proofs.consistency import consistency_path
from edge.audit.proofs.tiled import roots_of
from edge.audit.segment import signed_head
from edge.errors import AuditError
from edge.files import read_named
from edge.fleet.courier import CHECKPOINT, COSIGNED, FORKED
from edge.fleet.state.message import CODES, MAX_NOTE, MAX_REASONS, DeviceState, State, device_of
from edge.reasons import Reason
from edge.version import VERSION

FRESH_S = 3.0  # the daemon writes its status twice a second
_MAX_STATUS = 1024 * 1024
_MAX_RECORD = 1024 * 1024
_PHASES = {
    "starting": State.STARTING,
    "waiting": State.WAITING,
    "over": State.OVER,
    "stopped": State.STOPPED,
}


@dataclass(frozen=True, slots=True)
class Places:
    """Where the public files of a device are."""

    log: Path  # `checkpoint` and `tile/`
    courier: Path  # `checkpoint.cosigned` and `checkpoint.forked`; often the same folder
    status: Path | None  # what the daemon writes for `framegate status`
    record: Path | None  # the signed device record


@dataclass(frozen=True, slots=True)
class Doing:
    """What the guard does, as its status says."""

    state: State
    reasons: tuple[Reason, ...] = ()
    version: str = VERSION
    pack: str = ""
    policy: str = ""


def doing(snapshot: dict[str, Any] | None, now_s: float) -> Doing:
    """What a status says at `now_s` (POSIX); an old one or one from the future says nothing."""
    if snapshot is None:
        return Doing(State.ABSENT)
    try:
        if abs(now_s - float(snapshot["at_s"])) > FRESH_S:
            return Doing(State.ABSENT)
        codes = [str(reason["code"]) for reason in snapshot["reasons"]]
        running = State.PASSING if snapshot["permitted"] is True else State.BLOCKED
        facts = snapshot["facts"]
        return Doing(
            running if snapshot["phase"] == "running" else _PHASES[snapshot["phase"]],
            tuple(CODES[code] for code in codes if code in CODES)[:MAX_REASONS],
            str(facts.get("version", VERSION)),
            str(facts.get("pack", "")),
            str(facts.get("policy", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return Doing(State.ABSENT)  # it is no status of this version


def gathered(places: Places, key: Verifier, period_s: int, now_s: float) -> DeviceState:
    """The state of the device at `now_s`.

    Args:
        key: of the device's log.

    Raises:
        AuditError: there is no checkpoint by this key.
        OSError: a file cannot be read.
    """
    checkpoint = first_signature_alone(_text(places.log / CHECKPOINT))
    size, root = signed_head(checkpoint.encode(), key)
    cosigned, old, old_root = _cosigned(places.courier / COSIGNED, key)
    now = doing(None if places.status is None else _status(places.status), now_s)
    return DeviceState(
        device=device_of(key.name),
        time_s=int(now_s),
        period_s=period_s,
        **asdict(now),
        record=_digest(places.record),
        size=size,
        root=root,
        checkpoint=checkpoint,
        cosigned=cosigned,
        old=old,
        old_root=old_root,
        path=_path(places.log / "tile", old, size),
        forked=(places.courier / FORKED).exists(),
    )


def _cosigned(place: Path, key: Verifier) -> tuple[str, int, bytes]:
    """What witnesses cosigned last, and its size; nothing if it is not this log's, or too long."""
    note = _text(place)
    if not note or len(note) > MAX_NOTE:
        return "", 0, b""
    try:
        return note, *signed_head(note.encode(), key)
    except AuditError:
        return "", 0, b""


def _path(tiles: Path, old: int, size: int) -> tuple[bytes, ...]:
    """The proof; none where the log is shorter or its tiles are gone, and the reader says so."""
    if not 0 < old < size:
        return ()
    try:
        return tuple(consistency_path(old, size, roots_of(tiles, size)))
    except AuditError:
        return ()


def _status(place: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(read_named(place, _MAX_STATUS))
    except (FileNotFoundError, ValueError, RecursionError):
        return None  # the daemon removes it when it ends
    return found if isinstance(found, dict) else None


def _digest(place: Path | None) -> str:
    return "" if place is None else hashlib.sha256(read_named(place, _MAX_RECORD)).hexdigest()


def _text(place: Path) -> str:
    try:
        return read_named(place, 2 * MAX_NOTE).decode(errors="replace")
    except FileNotFoundError:
        return ""
