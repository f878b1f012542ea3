"""Children of the guard that are spawned before they are configured."""

from __future__ import annotations

import pytest

from edge.guard.processes import spawn_unconfigured

MODULES = ["edge.frames.capture", "edge.frames.gate_process", "edge.decision.decider"]


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_a_child_that_is_never_configured_exits_silently(module, capfd):
    child = spawn_unconfigured("child", module, ())
    child.end(wait_s=20.0)

    assert child.process.returncode == 0
    assert capfd.readouterr() == ("", "")
