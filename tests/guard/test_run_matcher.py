"""The whole guard, run for real: what a matcher can reach, and who is admitted as one."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from edge.commissioning.keys import RecordKind
from edge.errors import GuardError, MatcherError
from edge.guard.supervisor import Guard
from edge.reasons import Reason
from framegate_client.connection import Connection
from tests.policy.test_lanes import onnx_model
from tests.support.guard_runs import plan, quiet, released
from tests.support.guards import SESSION, Site

pytestmark = pytest.mark.guard


def test_a_matcher_that_keeps_its_mapping_reads_zeros_after_a_revoke(cut_away: Site) -> None:
    held: list[bool] = []
    foreign_seen = 0
    with (
        Guard(plan(cut_away), quiet) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        while foreign_seen < 2:
            guard.turn()
            if matcher.read(timeout_s=0) is not None:
                held.append(bool(matcher.ring.pixels.any()))
            foreign_seen = sum(Reason.VIEW_FOREIGN in d.reasons for d in guard.recorder.decisions)
            assert not guard.over
        left = bool(matcher.ring.pixels.any())

    assert any(held)
    assert not left


def test_the_parent_wipes_the_ring_when_the_gate_is_killed(kiosk: Site) -> None:
    with (
        Guard(plan(kiosk), quiet) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        while matcher.read(timeout_s=0) is None:
            guard.turn()
        held = bool(matcher.ring.pixels.any())
        os.kill(guard.children["gate"].pid, signal.SIGKILL)
        while guard.failure is None:
            guard.turn()
        left = bool(matcher.ring.pixels.any())

    assert held
    assert not left
    assert "gate" in guard.failure


def test_the_matcher_cannot_write_resize_or_map_the_ring_writable(kiosk: Site) -> None:
    import mmap

    with Guard(plan(kiosk), quiet) as guard:
        assert guard.ring is not None
        guard.turn()
        for flags in (os.O_RDONLY, os.O_RDWR):
            fd = os.open(f"/proc/self/fd/{guard.ring.fd}", flags)
            with pytest.raises(PermissionError):
                mmap.mmap(fd, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
            with pytest.raises(OSError):
                os.pwrite(fd, b"x", 0)
            with pytest.raises(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)


def test_a_stranger_or_another_lane_is_refused_and_the_right_one_is_not(kiosk: Site) -> None:
    answers = []
    with Guard(plan(kiosk), quiet) as guard:
        path, right, _ = guard.environment.values()
        for token, lane in (("wrong", "verify_1_1"), (right, "detect")):
            attempt = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"from framegate_client.connection import Connection\n"
                    f"try: Connection({path!r}, {token!r}, {lane!r})\n"
                    f"except Exception as err: print(err)",
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
            while attempt.poll() is None:
                guard.turn()
            answers.append(attempt.communicate()[0])
        Connection(path, right, "verify_1_1").close()

    for code, answer in zip((Reason.PEER_UNKNOWN, Reason.LANE_MISMATCH), answers, strict=True):
        assert code.value in answer


def test_a_token_that_was_used_admits_nobody_else(kiosk: Site) -> None:
    """Another program of this user read it; the next matcher is given one of its own."""
    with Guard(plan(kiosk), quiet) as guard:
        path, spent, lane = guard.environment.values()
        first = Connection(path, spent, lane)
        while guard.environment["FRAMEGATE_TOKEN"] == spent and guard.failure is None:
            guard.turn()
        first.close()
        guard.turn()
        with pytest.raises(MatcherError, match="PEER_UNKNOWN"):
            Connection(path, spent, lane)

        got = 0
        second = Connection(*guard.environment.values())
        while not guard.over and guard.failure is None and got <= 30:
            guard.turn()
            got += second.read(timeout_s=0) is not None
        second.close()

    assert got > 30


def test_a_matcher_that_never_reads_costs_nothing_and_blocks_nobody(kiosk: Site) -> None:
    idle = [
        sys.executable,
        "-c",
        "from framegate_client.connection import connect as o\nc = o()\n",
    ]
    idle[2] += "import time; time.sleep(60)"
    with Guard(plan(kiosk, *idle), quiet) as guard:
        while not guard.over and len(released(guard.recorder.decisions)) <= 30:
            guard.turn()
        decisions = guard.recorder.decisions

    assert len(released(decisions)) > 30


def test_a_dead_matcher_is_started_again_and_frames_flow_to_it(kiosk: Site) -> None:
    lines: list[str] = []
    script = "from framegate_client.connection import connect as o\nc = o()\nc.read()\nexit(3)"
    with Guard(plan(kiosk, sys.executable, "-c", script), lines.append) as guard:
        first = guard.matcher.child
        while guard.matcher.child in (None, first):
            guard.turn()
            assert not guard.over

    assert any("MATCHER_LOST" in line for line in lines)
    assert guard.failure is None


def test_a_connection_to_nobody_says_so(tmp_path: Path) -> None:
    with pytest.raises(MatcherError, match="expected a guard there"):
        Connection(str(tmp_path / "none.sock"), "token", "verify_1_1")


@pytest.mark.parametrize(
    ("outputs", "code"), [(10, None), (128, "MODEL_LANE"), (0, "MODEL_DIGEST")]
)
def test_the_matchers_models_are_checked_before_it_starts(
    kiosk: Site, tmp_path: Path, outputs: int, code: str | None
) -> None:
    """A landmark model may serve the lane detect; the same with a vector beside it may not."""
    landmarks = tmp_path / "site" / "landmarks.onnx"
    landmarks.write_bytes(onnx_model((1, outputs or 10)))
    named = hashlib.sha256(landmarks.read_bytes()).hexdigest()
    if not outputs:
        landmarks.write_bytes(onnx_model((1, 9)))
    kiosk.sign(session=SESSION.replace("verify_1_1", "detect"))
    record = kiosk.device.read_text() + f'[matcher.models]\n"landmarks.onnx" = "{named}"\n'
    kiosk.device.write_text(record)
    kiosk.store.sign_file(kiosk.device, RecordKind.DEVICE)
    counter = (sys.executable, "-m", "framegate_client.counter", str(tmp_path / "received.json"))

    if code is not None:
        with pytest.raises(GuardError, match=code):
            Guard(plan(kiosk, *counter), quiet)
        return
    with Guard(plan(kiosk, *counter), quiet) as guard:
        while not guard.over and not released(guard.recorder.decisions):
            guard.turn()
    assert released(guard.recorder.decisions)
