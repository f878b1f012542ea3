"""The gate's two hot calls for `pytest-benchmark`: local trends, and the ratios that gate a change.

python -m pytest bench --benchmark-enable
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import numpy as np
import pytest

from bench.gate.steps import Step
from bench.gate.timing import hot
from bench.peers import rego
from edge.frames.gate import Verdict


@pytest.fixture(scope="module")
def step() -> Step:
    return Step("VGA", frames=2)


def interleaved(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> list[float]:
    """The peer's time divided by ours, round by round."""
    return [hot(theirs, 0.01) / hot(ours, 0.01) for _ in range(rounds)]


def test_decision_against_a_rego_engine(benchmark, step):
    pytest.importorskip("regorus")
    ask = rego.decision()
    decide = step.decision()

    ratios = interleaved(decide, lambda: ask(10, 5, 0.9), rounds=15)
    benchmark.extra_info["ratio"] = median(ratios)
    benchmark(decide)

    assert decide() is Verdict.PASS
    assert median(ratios) >= 30 / 1.3  # docs/benchmarks.md, with the band for a busy machine


def test_step_hardly_depends_on_the_picture_size(benchmark, step):
    large = Step("720p", frames=2)

    ratios = interleaved(step, large, rounds=15)
    benchmark.extra_info["ratio"] = median(ratios)
    benchmark(step)

    assert median(ratios) <= 1.25 * 1.3  # docs/benchmarks.md


def test_memcpy_of_a_frame_as_the_limit(benchmark):
    source = np.ones((480, 640, 3), np.uint8)
    target = np.empty_like(source)

    benchmark(np.copyto, target, source)

    assert (target == source).all()
