"""Stopping or killing any process of the running guard stops the matching."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.clock import MS
from tests.support.guards import Running, Site, now_ns, running, site

pytestmark = pytest.mark.guard

ROLES = ["capture", "gate", "decider", "bridge", "parent"]
STOPPED = ("gate", "decider")  # in `make test`
BOUND_NS = 250 * MS  # the product's own promise, in the board's time


@pytest.fixture(scope="module")
def kiosk(
    tmp_path_factory: pytest.TempPathFactory, lived_in: Callable[[int], Path], face_model: Path
) -> Site:
    """A fixed camera that looks at a rendered room for thirty seconds."""
    clip = lived_in(900)
    return site(tmp_path_factory.mktemp("kiosk"), clip, clip, face_model)


def killed(role: str, guard: Running) -> int:
    """Kill it; how long the line then stays up, at most, in ns."""
    killed_ns = now_ns()
    os.kill(guard.pid(role), signal.SIGKILL)
    dropped_ns = guard.line.wait_for(False, killed_ns)
    assert guard.process.wait(timeout=20) != 0
    return dropped_ns - killed_ns


@pytest.mark.parametrize(
    "role",
    [role if role in STOPPED else pytest.param(role, marks=pytest.mark.long) for role in ROLES],
)
def test_stopping_one_process_drops_the_interlock_and_old_frames_stay_in(
    role: str, kiosk: Site
) -> None:
    with running(kiosk) as guard:
        guard.line.wait_for(True, 0)
        pid = guard.pid(role)

        stopped_ns = now_ns()
        os.kill(pid, signal.SIGSTOP)
        dropped_ns = guard.line.wait_for(False, stopped_ns)
        time.sleep(0.3)  # what happens while it is stopped is the point
        continued_ns = now_ns()
        os.kill(pid, signal.SIGCONT)
        again_ns = guard.line.wait_for(True, continued_ns)
        time.sleep(1.0)  # long enough for a frame to be bracketed and arrive
        to_drop_ns = 0
        if role in STOPPED:  # one start for both
            to_drop_ns = killed(role, guard)
        else:
            guard.stop()
        received = guard.received()

    assert dropped_ns - stopped_ns <= BOUND_NS
    assert to_drop_ns <= BOUND_NS
    late = [
        captured
        for captured, at in zip(received["captured_ns"], received["received_ns"], strict=True)
        if at > continued_ns and captured < continued_ns
    ]
    assert late == []
    assert any(captured > again_ns - 500 * MS for captured in received["captured_ns"])


@pytest.mark.parametrize(
    "role",  # gate and decider are killed in the test above; the bridge ends with its parent
    [
        role if role in ("capture", "parent") else pytest.param(role, marks=pytest.mark.long)
        for role in ROLES
    ],
)
def test_killing_one_process_drops_the_interlock(role: str, kiosk: Site) -> None:
    with running(kiosk) as guard:
        guard.line.wait_for(True, 0)

        assert killed(role, guard) <= BOUND_NS
