"""A decider whose scene model fails once frames flow; environment variables set how.

Only the model is replaced; everything else is the decider as it ships.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from edge.clock import BootClock
from edge.decision import decider
from edge.evidence.scene import Description, SceneModel
from edge.models import SCENE
from edge.models.runtime import onnxruntime

GOOD = [[0.9, 0.1, 0.0, 0.0, 0.0]]
BAD = {
    "nan": [[np.nan, 0.1, 0.0, 0.0, 0.0]],
    "inf": [[np.inf, 0.0, 0.0, 0.0, 0.0]],
    "three": [[1.0, 1.0, 1.0, 0.0, 0.0]],
    "shape": [[0.5, 0.5]],
}


class Session:
    """Stands in for the model's session; good, then bad for as long as `BAD_MODEL` says."""

    bad = 0  # readings of all sessions, so that a reloaded session stays bad
    how, _, lasting = os.environ["BAD_MODEL"].partition("-")
    flowed = Path(os.environ["BAD_MODEL_LOADS"]).with_name("flowed")  # there once frames flowed

    def run(self, names: object, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        most = {"once": 1, "thrice": 3, "": sys.maxsize}[self.lasting]
        if Session.bad < most and self.flowed.exists():
            Session.bad += 1
            if Session.bad == 1:
                self.flowed.write_text(str(BootClock().now_ns()))
            if self.how == "hang":
                time.sleep(3600)
            if self.how == "memory":  # a limit is reached; the allocation fails
                resource.setrlimit(resource.RLIMIT_AS, (in_use(), resource.RLIM_INFINITY))
                np.ones(1 << 26, np.uint8)
            if self.how == "slow":
                time.sleep(0.8)
            elif self.how == "raise":
                raise onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException(
                    "the engine failed"
                )
            else:
                return [np.array(BAD[self.how], np.float32)]
        return [np.array(GOOD, np.float32)]


def in_use() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def load(path: Path = SCENE) -> SceneModel:
    with open(os.environ["BAD_MODEL_LOADS"], "a") as file:
        file.write("loaded\n")
    return SceneModel(Session(), Description(160, _points))


_points = SceneModel.load().points
SceneModel.load = load  # type: ignore[method-assign]

main = decider.main
