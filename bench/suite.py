"""The whole table: every figure of the fast path, with its peers, in under two minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.environment import environment
from bench.figures import Basis, Figure
from bench.gate import endtoend, microbench, saturated
from bench.profiles import Confinement
from edge.errors import ModelError
from edge.models.pull import asset


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    rounds: int
    bursts: int
    burst_s: float
    bracketed_s: float
    saturated_s: float


FULL = Plan(rounds=5, bursts=6, burst_s=1.0, bracketed_s=8.0, saturated_s=10.0)
QUICK = Plan(rounds=2, bursts=2, burst_s=0.5, bracketed_s=4.0, saturated_s=4.0)


@dataclass(frozen=True, slots=True)
class Result:
    """The figures, their environment, and the latencies they come from (ns)."""

    figures: tuple[Figure, ...]
    environment: dict[str, object]
    latencies: dict[str, np.ndarray]

    def as_json(self) -> dict[str, object]:
        return {
            "figures": [figure.as_json() for figure in self.figures],
            "environment": self.environment,
        }


def run(plan: Plan, say: Callable[[str], None], confinement: Confinement | None = None) -> Result:
    """Measure everything; `confinement` gives the limits on this process, if any."""
    micro = microbench.measure(plan.rounds, say)
    found = microbench.figures(micro)
    latencies: dict[str, np.ndarray] = {}
    for size in ("VGA", "720p"):
        sized = endtoend.measure(size, plan.bursts, plan.burst_s, say)
        found += endtoend.figures(sized)
        for name, bursts in sized.bursts.items():
            latencies[f"{size} {name}"] = np.concatenate(bursts) if bursts else np.array([])
    bracketed = endtoend.bracketed(plan.bracketed_s, face_detector(), say)
    found += endtoend.bracketed_figures(bracketed)
    latencies["VGA bracketed"] = bracketed.latency_ns
    found += endtoend.handoff(max(1, plan.rounds // 2), say)
    found += saturated.measure(plan.saturated_s, 240.0, say)
    where = {**environment(), "scheduling": micro.scheduling, "missing": micro.missing}
    if confinement is not None:
        found = [replace(figure, basis=Basis.CONFINED) for figure in found]
        found += confinement.estimates()
        where["profile"] = confinement.as_json()
    return Result(tuple(found), where, latencies)


def face_detector() -> Path | None:
    """The product's detector, if it is in the cache."""
    try:
        return asset("centerface.onnx")
    except ModelError:
        return None
