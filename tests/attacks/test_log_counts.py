"""The log counts every frame that left, whatever ends the guard; where it cannot, it says so."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.audit.forms import wall_ns, wall_text
from edge.audit.proofs.span import NotProven, judge_run
from edge.audit.proofs.verify import verify_log
from edge.clock import S
from tests.support.guards import Running, Site, running, site

pytestmark = pytest.mark.guard

RING_SLOTS = 8


@pytest.fixture(scope="module")
def kiosk(
    tmp_path_factory: pytest.TempPathFactory, lived_in: Callable[[int], Path], face_model: Path
) -> Site:
    """A commissioned room, long enough to be ended in the middle of a permit."""
    clip = lived_in(300)
    return site(tmp_path_factory.mktemp("counts") / "site", clip, clip, face_model)


def in_permit(guard: Running) -> None:
    """Wait until frames have flowed for a while."""
    now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    guard.line.wait_for(True, now_ns, timeout_s=90.0)
    time.sleep(1.0)


def logged(kiosk: Site, guard: Running) -> tuple[list[bytes], list[dict[str, Any]]]:
    """The run's entries as stored, and their fields."""
    stored: list[bytes] = []
    fields: list[dict[str, Any]] = []

    def take(index: int, entry: bytes, found: dict[str, Any]) -> None:
        stored.append(entry)
        fields.append(found)

    verify_log(guard.out / "audit", kiosk.store.log_key().verifier, on_entry=take)
    return stored, fields


def test_a_guard_ended_in_a_permit_has_counted_what_its_matcher_got(kiosk: Site) -> None:
    with running(kiosk) as guard:
        in_permit(guard)
        printed = guard.stop()
        received = json.loads((guard.out / "matcher" / "received.json").read_text())["received"]
        summary = json.loads((guard.out / "summary.json").read_text())
        stored, fields = logged(kiosk, guard)

    ends = [entry["released"] for entry in fields if entry["kind"] == "end"]
    stop = fields[-1]
    assert received > 10, printed
    assert (stop["kind"], stop["released"]) == ("stop", sum(ends))
    assert received <= stop["released"] <= received + RING_SLOTS  # wiped before they were read
    assert (summary["passed"], summary["frames"]) == (stop["released"], stop["frames"])
    assert not proven(kiosk, guard, stored, fields)


@pytest.mark.long
def test_a_gate_that_cannot_say_what_it_released_leaves_it_unknown(kiosk: Site) -> None:
    with running(kiosk) as guard:
        in_permit(guard)
        gate = guard.pid("gate")
        os.kill(gate, signal.SIGSTOP)
        try:
            guard.stop()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(gate, signal.SIGCONT)
        stored, fields = logged(kiosk, guard)

    ends = [entry["released"] for entry in fields if entry["kind"] == "end"]
    assert ends[-1] is None
    assert (fields[-1]["kind"], fields[-1]["released"]) == ("stop", None)
    assert not proven(kiosk, guard, stored, fields)


def proven(kiosk: Site, guard: Running, stored: list[bytes], fields: list[dict[str, Any]]) -> bool:
    """Whether the log, once it goes on, proves that its only permit released nothing."""
    later = fields[-1] | {"kind": "deny", "context": "uncontrolled", "reasons": [], "rules": []}
    del later["released"], later["frames"]
    permit = next(entry for entry in fields if entry["kind"] == "permit")
    before, after = wall_ns(permit["wall"]), wall_ns(fields[-1]["wall"])
    shifted = [dict(fields[0], wall=wall_text(before - 9 * S)), *fields[1:]]
    shifted.append(dict(later, wall=wall_text(after + 9 * S)))
    try:
        judge_run(shifted, before - 2 * S, after + 2 * S)
    except NotProven:
        return False
    return True
