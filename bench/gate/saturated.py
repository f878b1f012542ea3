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
    """The tail of the gate step, as the gate process itself timed it."""
    pictures = scenery.takes(scenery.view(*scenery.SIZES["VGA"]), 8)
    with Rig(pictures) as rig:
        rig.play(round(rate_hz), rate_hz)
        before = len(rig.resolved)
        with busy_cores() as cores:
            say(f"the gate with {cores} cores saturated")
            rig.play(round(seconds * rate_hz), rate_hz)
            rig.finish()
        steps_ns = np.array([word.step_ns for word in rig.resolved[before:] if word.step_ns])
        scheduling = rig.scheduling
        lost = rig.sent - rig.dropped - len(rig.resolved)
    name = "gate step p99.9 : p50, cores saturated"
    if not steps_ns.size:
        return [Figure(name, None, "<= 2", "x", note="no frame was timed")]
    p50, p999 = np.percentile(steps_ns, (50, 99.9))
    note = f"{steps_ns.size} frames, {scheduling.partition(':')[0]}"
    return [
        Figure(name, float(p999 / p50), "<= 2", "x", note=note),
        Figure("gate step p99.9, cores saturated", float(p999) / 1e3, "", "us"),
        Figure("frames not accounted for, cores saturated", lost, "<= 0", "frames"),
    ]
