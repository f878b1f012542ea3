"""A guard that was killed: the next one says so first, and blocks until its own dwell is over."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.audit.proofs.verify import verify_log
from edge.errors import AuditError
from tests.support.guards import Running, Site, running, site

pytestmark = pytest.mark.guard


def entries(place: Site, run: Running) -> list[dict[str, Any]]:
    """What the log holds."""
    found: list[dict[str, Any]] = []
    verify_log(
        run.out / "audit",
        place.store.log_verifier(),
        on_entry=lambda index, data, fields: found.append(fields),
    )
    return found


def permitted(place: Site, run: Running, timeout_s: float = 60.0) -> None:
    """Wait until a permit is in the log."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and run.process.poll() is None:
        try:
            if any(entry["kind"] == "permit" for entry in entries(place, run)):
                return
        except AuditError:
            pass  # not there yet, or in the middle of a write
        time.sleep(0.05)
    raise AssertionError("nothing was ever permitted")


@pytest.mark.parametrize(
    "killed",
    [
        pytest.param(True, id="killed"),
        pytest.param(False, id="in good order", marks=pytest.mark.long),
    ],
)
def test_the_first_word_after_a_kill_is_that_it_was_one(
    killed: bool, tmp_path: Path, lived_in: Callable[[int], Path], face_model: Path
) -> None:
    clip = lived_in(150)
    place = site(tmp_path / "site", clip, clip, face_model)

    with running(place) as first:
        permitted(place, first)
        if killed:
            os.kill(first.pid("parent"), signal.SIGKILL)
            first.process.wait()
            time.sleep(0.5)  # the kernel ends the others with it
        else:
            first.stop()
        before = len(entries(place, first))
    with running(place) as second:
        second.line.wait_for(True, 0)
        time.sleep(1.0)  # for frames to flow
        second.stop()
        after = entries(place, second)[before:]
        received = json.loads((second.out / "matcher" / "received.json").read_text())["captured_ns"]

    kinds = [entry["kind"] for entry in after]
    assert kinds[: 1 + killed] == (["unclean_stop", "start"] if killed else ["start"])
    assert kinds.count("unclean_stop") == killed
    assert kinds[-1] == "stop"
    permit = next(entry for entry in after if entry["kind"] == "permit")
    start = next(entry for entry in after if entry["kind"] == "start")
    assert len(received) > 10
    assert min(received) >= int(permit["from_ns"])
    assert int(permit["mono_ns"]) - int(start["mono_ns"]) >= 1_000_000_000  # the dwell, anew
