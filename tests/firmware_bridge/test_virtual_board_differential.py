"""The Python board and the firmware's C live the same life, byte for byte.

The long run, 100,000 lives, is `tests/hil/test_differential.py`.
"""

from __future__ import annotations

import pytest

from firmware_bridge.virtual.board import VirtualBoard
from tests.support import sequences
from tests.support.boards import BOOT_ID, ROOT


def compare(make_c, seeds: range) -> dict[str, int]:
    """Play each life on both; returns how often what happened, for the test to check."""
    seen = {"steps": 0, "permitted": 0, "output": 0}
    for seed in seeds:
        c = make_c()
        for step, output, line in sequences.play(seed, VirtualBoard(ROOT, BOOT_ID)):
            assert sequences.apply(c, step) == (output, line), f"life {seed} at {step}"
            seen["steps"] += 1
            seen["permitted"] += line
            seen["output"] += bool(output)
    return seen


@pytest.mark.slow
def test_two_thousand_random_lives_are_the_same_in_python_and_c(make_c):
    seen = compare(make_c, range(2000))

    assert seen["permitted"] > seen["steps"] // 20, "the lives reach the permitted state"
    assert seen["output"] > seen["steps"] // 4
