"""The whole guard, killed, stopped or cut off, drops the line of a real rule in time.

Limits are held in board time; `python -m tests.support.kills` measures by the wall as well.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from firmware_bridge.checks.rigs import HostRig
from firmware_bridge.emulated.lm3s6965 import Emulator
from tests.support import kills
from tests.support.wires import wait_line

pytestmark = pytest.mark.hil


@pytest.fixture(scope="module")
def site(request, tmp_path_factory):
    if not request.config.getoption("--emulated"):
        pytest.skip("the whole guard on these boards is part of `make hil`")
    request.getfixturevalue("face_model")
    return kills.kiosk(tmp_path_factory.mktemp("kiosk"))


@pytest.fixture(scope="module", params=["pty", "qemu"])
def powered(request, site):
    root = site.store.board_key()
    if request.param == "pty":
        rig = HostRig(request.getfixturevalue("host_program"), root)
    else:
        rig = Emulator(request.getfixturevalue("image"), root)
    yield rig
    rig.close()


@pytest.mark.parametrize(("target", "how"), kills.BLOWS)
def test_a_struck_guard_drops_the_line_and_it_stays_down(powered, site, target, how):
    blow = kills.kill_once(powered, site, target, how)

    assert blow.holds, blow


def test_a_board_that_was_reset_still_knows_how_long_the_log_was(request, site, tmp_path):
    program = request.getfixturevalue("host_program")
    root = site.store.board_key()
    kept = tmp_path / "kept"
    audit = site.folder / "out" / "audit"
    log = site.folder / "guard.log"
    permits, refused = [], []
    for memory in (kept, kept, tmp_path / "fresh"):  # the log is gone; then the board is new
        shutil.rmtree(audit, ignore_errors=True)
        rig = HostRig(program, root, memory)
        try:
            with kills.guard_on(rig, site):
                end = time.monotonic() + kills.WAIT_S
                while time.monotonic() < end and not (
                    _rolled_back(log) or wait_line(rig, True, 0.1)
                ):
                    pass
                time.sleep(1)
                refused.append(_rolled_back(log))
                permits.append(any(level for _, level in rig.changes))
        finally:
            rig.close()

    assert permits == [True, False, True]
    assert refused == [False, True, False]


def _rolled_back(log: Path) -> bool:
    return b"LOG_ROLLBACK" in log.read_bytes()
