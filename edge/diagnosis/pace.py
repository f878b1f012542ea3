"""Measures how fast this machine starts a process of the guard and reads evidence.

    python -m edge.diagnosis.pace WIDTH HEIGHT [masked]

A process of its own does what the decider does: it loads the same modules and models, says
`ready`, and looks at a made-up picture of that size, one look after the other. It prints
what one look of each kind costs. The best of some looks counts: the machine, not its load.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edge import isolation
from edge.errors import GuardError

READY_LIMIT_S = 120.0
_LOOK_LIMIT_S = 60.0  # for all looks
_SPEND_S = 0.4  # on each kind of look
_FEWEST, _MOST = 2, 30  # looks of one kind
_STEP_NS = 100_000_000
_SEED = 19


@dataclass(frozen=True, slots=True)
class Pace:
    """What was measured."""

    width: int  # of the picture, pixels
    height: int
    ready_s: float  # from the start of a process until its models are loaded
    people_ns: int  # one look for people, and so on
    view_ns: int
    motion_ns: int
    scene_ns: int


def measure(width: int, height: int, *, masked: bool = False) -> Pace | str:
    """The pace of this machine, or why there is none to tell, in one line."""
    began_s = time.monotonic()
    process = subprocess.Popen(
        isolation.python("edge.diagnosis.pace", str(width), str(height), *["masked"] * masked),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=isolation.environment(),
    )
    assert process.stdout is not None
    try:
        if not select.select([process.stdout], [], [], READY_LIMIT_S)[0]:
            return f"the models did not load within {READY_LIMIT_S:g} s"
        ready_s = time.monotonic() - began_s
        out, err = process.communicate(timeout=_LOOK_LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"a few looks took longer than {_LOOK_LIMIT_S:g} s"
    finally:
        process.kill()
        process.wait()
    lines = out.decode(errors="replace").splitlines()
    if process.returncode != 0 or len(lines) != 2:
        last = err.decode(errors="replace").strip().splitlines()
        return last[-1] if last else f"the measuring process ended with {process.returncode}"
    return Pace(width, height, ready_s, **json.loads(lines[1]))


def main(arguments: list[str]) -> int:
    """Load, say so, look, print the costs; 2 with one line if a model is missing."""
    cv2.setNumThreads(1)
    width, height, masking = int(arguments[0]), int(arguments[1]), "masked" in arguments[2:]
    try:
        looks = _looks(width, height, masking=masking)
        print("ready", flush=True)
        print(json.dumps({name: _cost_ns(look) for name, look in looks.items()}))
    except GuardError as err:
        print(err, file=sys.stderr)
        return 2
    return 0


def _looks(width: int, height: int, *, masking: bool) -> dict[str, Callable[[int], object]]:
    """What the decider does with an evidence frame, each part by itself; given the time in ns."""
    import edge.decision.decider  # what a real one loads
    from edge.evidence.faces import face_finder
    from edge.evidence.freshness import Freshness
    from edge.evidence.motion import EgoMotion
    from edge.evidence.scene import SceneModel
    from edge.models.pull import asset
    from edge.view.check import ViewCheck
    from edge.view.enrol import survey

    del edge
    faces, scene = face_finder(asset("centerface.onnx"), masking=masking), SceneModel.load()
    picture = _picture(width, height)
    small = cv2.resize(picture, (320, 240), interpolation=cv2.INTER_AREA)
    found = survey([small] * 12, [()] * 12, camera=bytes(16), enforce=False)
    view = ViewCheck(found.enrolled())
    motion, freshness = EgoMotion(), Freshness()

    def move(at_ns: int) -> None:
        motion.read(picture, at_ns, ())
        freshness.read(picture, at_ns, ())

    return {
        "people_ns": lambda at_ns: faces.detect(picture),
        "view_ns": lambda at_ns: view.read(picture, at_ns, ()),
        "motion_ns": move,
        "scene_ns": lambda at_ns: scene.read(picture, at_ns),
    }


def _picture(width: int, height: int) -> np.ndarray:
    """Structure at every place, so that no part of a look is spared; BGR uint8."""
    coarse = np.random.default_rng(_SEED).uniform(20, 235, (18, 24, 3)).astype(np.float32)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(fine, 0, 255).astype(np.uint8)


def _cost_ns(look: Callable[[int], object]) -> int:
    spent: list[int] = []
    while len(spent) < _FEWEST or (sum(spent) < _SPEND_S * 1e9 and len(spent) < _MOST):
        began_ns = time.perf_counter_ns()
        look((len(spent) + 1) * _STEP_NS)
        spent.append(time.perf_counter_ns() - began_ns)
    return min(spent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
