"""Children of the guard that are born before they are told what to do."""

from __future__ import annotations

import pytest

from edge.guard.processes import bear_module

MODULES = ["edge.frames.capture", "edge.frames.gate_process", "edge.decision.decider"]


@pytest.mark.parametrize("module", MODULES)
def test_a_child_that_is_never_told_anything_ends_without_a_word(module, capfd):
    child = bear_module("child", module, ())
    child.end(wait_s=20.0)

    assert child.process.returncode == 0
    assert capfd.readouterr() == ("", "")
