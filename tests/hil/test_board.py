"""A board does its duties, whether it is a process, an emulated chip or a real one."""

from __future__ import annotations

import pytest

from firmware_bridge.checks import duties as checks
from firmware_bridge.checks.rigs import Rig

pytestmark = [pytest.mark.hil, pytest.mark.slow]


@pytest.mark.parametrize(
    ("name", "check", "needs"), checks.CHECKS, ids=[duty[0] for duty in checks.CHECKS]
)
def test_a_board_does_its_duty(rig: Rig, board_root: bytes, name, check, needs):
    result = checks.run(name, check, needs, rig, board_root)

    if result.skipped:
        pytest.skip(result.skipped)
    assert not result.failure
