"""Entries with made-up times, and a small log, for the tests of the audit log."""

from __future__ import annotations

from typing import Any

from edge.audit.proofs.verify import verify_log
from edge.audit.schema import (
    Board,
    Context,
    Deny,
    End,
    Enrolment,
    Permit,
    Release,
    Stamp,
    Start,
    Stop,
)
from edge.evidence.readings import Source
from edge.lease import Lane
from edge.reasons import Reason

NOON_NS = 1_767_268_800 * 10**9  # 2026-01-01T12:00:00Z


def stamp(t_s: float = 0.0, *, boot: int = 1) -> Stamp:
    """A moment `t_s` seconds after noon; the device was started an hour before."""
    return Stamp(
        boot_id=bytes([boot]) * 16,
        mono_ns=int((3600 + t_s) * 1e9),
        wall_ns=NOON_NS + int(t_s * 1e9),
        camera=b"\xca" * 16,
        policy=b"\xb0" * 32,
    )


def start(t_s: float = 0.0, *, boot: int = 1) -> Start:
    return Start(
        stamp(t_s, boot=boot),
        version="0.1.0",
        pack="strict",
        lane=Lane.VERIFY,
        dwell_s=3,
        release=Release.BRACKETED,
        virtual=True,
        enrolment=Enrolment.ENFORCED,
        board=Board.VIRTUAL,
    )


def permit(t_s: float, epoch: int = 1) -> Permit:
    return Permit(
        stamp(t_s),
        epoch=epoch,
        context=Context.CONTROLLED,
        from_ns=int((3600 + t_s - 0.3) * 1e9),
        rules=("FA-03",),
        good=(Source.VIEW, Source.DOCK),
    )


def end(t_s: float, epoch: int = 1, released: int = 30) -> End:
    return End(
        stamp(t_s),
        epoch=epoch,
        reasons=(Reason.VIEW_FOREIGN,),
        rules=("GD-07",),
        released=released,
        last_captured_ns=int((3600 + t_s - 0.1) * 1e9) if released else None,
    )


def deny(t_s: float) -> Deny:
    return Deny(stamp(t_s), Context.UNCONTROLLED, (Reason.MOTION,), ("MS-02",))


def stop(t_s: float, released: int | None = 30) -> Stop:
    return Stop(stamp(t_s), released=released, frames=300)


def read_all(where, key):
    """The fields of every entry of a log that verifies."""
    found = []
    verify_log(where, key, on_entry=lambda index, entry, fields: found.append(fields))
    return found


# Blocked until 60 s, permitted 60 to 120 s with frames, 200 to 260 s with none, off from 400 s.
DAY = [
    start(0),
    deny(30),
    permit(60, 1),
    end(120, 1, released=900),
    deny(150),
    permit(200, 2),
    end(260, 2, released=0),
    deny(300),
    stop(400, released=900),
    start(600),
    deny(601),
]


def reference_root(tree: Any, size: int) -> bytes:
    """The root that pymerkle gives; before its version 7 the call had another name."""
    return (getattr(tree, "get_root", None) or tree.get_state)(size)
