"""What a matcher outside the guard's own processes can still see when the guard is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framegate_client.connection import Connection
from tests.support.guards import Line, Site, site

pytestmark = pytest.mark.guard


@pytest.fixture(scope="module")
def kiosk(
    tmp_path_factory: pytest.TempPathFactory, lived_in: Callable[[int], Path], face_model: Path
) -> Site:
    clip = lived_in(900)
    return site(tmp_path_factory.mktemp("orphans") / "site", clip, clip, face_model)


@contextlib.contextmanager
def served(kiosk: Site) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """A `framegate run` with its matcher here, once frames have reached it."""
    out = kiosk.folder / "out"
    line = Line(kiosk.store.board_key())
    command = [sys.executable, "-m", "edge.cli", "run", "--source", str(kiosk.clip)]
    command += ["--device", str(kiosk.device), "--session", str(kiosk.session), "--out", str(out)]
    command += ["--keys", str(kiosk.store.directory), "--board", line.port]
    guard = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    matcher = None
    try:
        matcher = Connection(*_environment(out / "matcher.env"))
        deadline = time.monotonic() + 90
        while matcher.read(timeout_s=0.5) is None:
            assert time.monotonic() < deadline, "no frame was released"
        yield guard, matcher
    finally:
        guard.kill()
        guard.wait()
        line.close()
        if matcher is not None:
            matcher.close()


def _environment(path: Path) -> list[str]:
    """Socket, token and lane, once the guard has written them."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            lines = path.read_text().splitlines()
            if len(lines) == 3:
                return [line.partition("=")[2] for line in lines]
        time.sleep(0.05)
    raise AssertionError("the guard did not say where its matcher may connect")


def test_the_gate_wipes_the_ring_when_the_parent_is_killed(kiosk: Site) -> None:
    with served(kiosk) as (guard, matcher):
        held = bool(matcher.ring.pixels.any())
        os.kill(guard.pid, signal.SIGKILL)
        guard.wait()
        deadline = time.monotonic() + 5  # a turn of the gate is 40 ms
        while matcher.ring.pixels.any() and time.monotonic() < deadline:
            time.sleep(0.01)
        left = bool(matcher.ring.pixels.any())

    assert held
    assert not left
