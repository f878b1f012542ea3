"""Made-up devices with real keys and real trees, as the tests of fleet state need them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge.audit.note import Signer
from edge.audit.paths import root_of
from edge.audit.proofs.consistency import consistency_path
from edge.fleet.state.findings import Heard, Witnessed
from edge.fleet.state.message import DeviceState, State, device_of
from edge.fleet.witness import Head
from tests.fleet.histories import History

NOW_S = 1_800_000_000
SILENT_S = 10_800


def reported(
    history: History, size: int, old: int = 0, *, of: History | None = None
) -> DeviceState:
    """What a device says whose log has `size` entries, of which witnesses cosigned `old`.

    `of` has the cosigned entries, if the log does not continue its own.
    """
    before = of or history
    path = ()
    if 0 < old < size:
        path = tuple(
            consistency_path(old, size, lambda low, high: root_of(history.leaves[low:high]))
        )
    return DeviceState(
        device=device_of(history.signer.name),
        time_s=NOW_S - 10,
        period_s=30,
        state=State.BLOCKED,
        reasons=(),
        version="0.1.0",
        pack="strict",
        policy="ab" * 32,
        record="",
        size=size,
        root=history.root(size),
        checkpoint=history.note(size).decode(),
        cosigned=before.note(old).decode() if old else "",
        old=old,
        old_root=before.root(old) if old else b"",
        path=path,
        forked=False,
    )


def heard(state: DeviceState | None, **changed: Any) -> Heard:
    return Heard(state=state if state is None else replace(state, **changed))


def witnessed(history: History, size: int, ago_s: int = 60, **changed: Any) -> Witnessed:
    head = Head(size, history.root(size), history.note(size))
    return replace(Witnessed(head, NOW_S - ago_s, evidence=False), **changed)


def signer(number: int) -> Signer:
    return Signer.generate(f"framegate-{number:04}/log")
