"""The gate while every core is busy with something else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from bench import scenery
from bench.figures import Figure
from bench.gate import clock_loop
from bench.gate.rig import Rig

_BURN = "while True: sum(range(20000))"


@contextmanager
def busy_cores() -> Iterator[int]:
    """One busy process for each core; ended on leaving."""
    cores = len(os.sched_getaffinity(0))
    burners = [subprocess.Popen([sys.executable, "-S", "-c", _BURN]) for _ in range(cores)]
    try:
        yield cores
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def measure(seconds: float, rate_hz: float, say: Callable[[str], None]) -> list[Figure]:
    """The tail of the gate step, as the gate process itself timed it.

    Under the same load, a loop at the same priority reads the clock for as long as the
    median step. No step can have a shorter tail than that loop.
    """
    pictures = scenery.takes(scenery.view(*scenery.SIZES["VGA"]), 8)
    count = round(seconds * rate_hz)
    with Rig(pictures) as rig:
        rig.play(round(rate_hz), rate_hz)
        before = len(rig.resolved)
        with busy_cores() as cores:
            say(f"the gate with {cores} cores saturated")
            rig.play(count, rate_hz)
            rig.finish()
            steps_ns = np.array([word.step_ns for word in rig.resolved[before:] if word.step_ns])
            p50 = float(np.median(steps_ns)) if steps_ns.size else 0.0
            spans_ns = clock_loop.measure(rate_hz, count, round(p50)) if p50 else np.array([])
        scheduling = rig.scheduling
        lost = rig.sent - rig.dropped - len(rig.resolved)
    found = [Figure("frames not accounted for, cores saturated", lost, "<= 0", "frames")]
    name = "gate step p99.9 : a loop that reads the clock, cores saturated"
    if not spans_ns.size:
        return [Figure(name, None, "<= 2", "x", note="no frame was timed"), *found]
    p999, clock_p999 = (float(np.percentile(times, 99.9)) for times in (steps_ns, spans_ns))
    note = f"{steps_ns.size} frames, {scheduling.partition(':')[0]}"
    return [
        Figure(name, p999 / clock_p999, "<= 2", "x", note=note),
        *found,
        Figure("gate step p99.9 : p50, cores saturated", p999 / p50, "", "x"),
        Figure("gate step p99.9, cores saturated", p999 / 1e3, "", "us"),
        Figure("the clock loop p99.9, cores saturated", clock_p999 / 1e3, "", "us"),
    ]
