"""The whole guard, killed, stopped or cut off, drops the line of a real rule in time.

Limits here leave room for a busy machine; `python -m tests.hil.kills` measures.
"""

from __future__ import annotations

import pytest

from firmware_bridge.rigs import EmulatorRig, HostRig
from tests.hil import kills

pytestmark = pytest.mark.hil
SLACK_MS = 250


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
        rig = EmulatorRig(request.getfixturevalue("image"), root)
    yield rig
    rig.close()


@pytest.mark.parametrize(("target", "how"), kills.BLOWS)
def test_a_struck_guard_drops_the_line_and_it_stays_down(powered, site, target, how):
    blow = kills.strike(powered, site, target, how)

    assert blow.promised_ms <= kills.LIMIT_MS
    assert blow.down_ms <= kills.LIMIT_MS + SLACK_MS
    assert blow.stays_down
