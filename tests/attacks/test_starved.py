"""The guard is starved of processor time while frames flow (attack D24), on a real processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.clock import MS, S
from edge.guard.plan import Plan
from edge.guard.supervisor import Guard
from edge.lease import LIFE_NS
from framegate_client.connection import Connection
from tests.support import render
from tests.support.audit_helpers import read_all
from tests.support.guards import Site, site

HOG = """
import os, sys, time

pytestmark = pytest.mark.guard
cpu, lasts_s = int(sys.argv[1]), float(sys.argv[2])
os.sched_setaffinity(0, {cpu})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))  # nothing of the guard is above it
began_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
while time.clock_gettime_ns(time.CLOCK_BOOTTIME) - began_ns < lasts_s * 1e9:
    pass
print(began_ns, time.clock_gettime_ns(time.CLOCK_BOOTTIME))
"""


@pytest.fixture(scope="module")
def kiosk(tmp_path_factory: pytest.TempPathFactory, face_model: Path) -> Site:
    """A room for eight seconds."""
    folder = tmp_path_factory.mktemp("kiosk")
    clip = render.write_clip(folder / "room.avi", render.lived_in(render.room(), 240))
    return site(folder / "site", clip, clip, face_model)


@pytest.mark.slow
def test_a_decider_that_gets_no_processor_ends_the_permit_and_frames_flow_again(
    kiosk: Site, tmp_path: Path
) -> None:
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2 or not _may_hog():
        pytest.skip("needs two processors and the right to real-time scheduling")
    plan = Plan(
        source=str(kiosk.clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        audit=tmp_path / "audit",
    )
    times: list[int] = []
    hog: subprocess.Popen[str] | None = None
    try:
        with Guard(plan, lambda line: None) as guard:
            matcher = Connection(*guard.environment.values())
            while not guard.over and guard.failure is None:
                guard.turn()
                while (frame := matcher.read(timeout_s=0)) is not None:
                    times.append(frame.captured_ns)
                if len(times) > 20 and hog is None:
                    for task in os.listdir(f"/proc/{guard.children['decider'].pid}/task"):
                        os.sched_setaffinity(int(task), {processors[0]})
                    for name in ("gate", "capture", "bridge", "board"):
                        os.sched_setaffinity(guard.children[name].pid, {processors[1]})
                    os.sched_setaffinity(0, {processors[1]})
                    command = [sys.executable, "-c", HOG, str(processors[0]), "0.6"]
                    hog = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            matcher.close()
    finally:
        os.sched_setaffinity(0, processors)
        if hog is not None and hog.poll() is None:
            hog.kill()
    assert hog is not None
    began_ns, ended_ns = map(int, hog.communicate()[0].split())
    log = read_all(tmp_path / "audit", guard.store.log_verifier())

    assert guard.failure is None
    assert ended_ns - began_ns >= 600 * MS
    assert not [at for at in times if began_ns + LIFE_NS < at < ended_ns]
    ended = [set(entry["reasons"]) for entry in log if entry["kind"] == "end"]
    assert ended[0] & {"DEADLINE_MISSED", "TIME_GAP"}, ended
    assert max(times) > ended_ns + S  # the dwell, and frames again


def _may_hog() -> bool:
    probe = subprocess.run([sys.executable, "-c", HOG, "0", "0"], capture_output=True)
    return probe.returncode == 0
