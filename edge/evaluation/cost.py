"""What the parts of the slow loop cost for one second of video, on this machine now."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge.clock import S
from edge.evaluation.trials import Footage
from edge.evidence.faces import FaceBoxes
from edge.evidence.freshness import Freshness
from edge.evidence.motion import EgoMotion
from edge.evidence.scene import SceneModel
from edge.evidence.vision import PEOPLE_NS, SCENE_NS, VIEW_NS
from edge.view.check import ViewCheck
from edge.view.fingerprint import Fingerprint

_ROUNDS = 30


def slow_loop(footage: Footage, fingerprint: Fingerprint, face_model: Path) -> dict[str, float]:
    """Milliseconds of one core a second, by part, at the rates of the running guard."""
    frames = [shot.frame for shot in footage.shots[:_ROUNDS]]
    check, motion = ViewCheck(fingerprint), EgoMotion()
    freshness = Freshness()
    faces, scene = FaceBoxes(face_model), SceneModel.load()
    nobody = footage.detect(frames[0])
    parts: dict[str, tuple[int, Callable[[int, np.ndarray], object]]] = {
        "view": (VIEW_NS, lambda at_ns, frame: check.read(frame, at_ns, nobody)),
        "ego-motion": (VIEW_NS, lambda at_ns, frame: motion.read(frame, at_ns, nobody)),
        "freshness": (VIEW_NS, lambda at_ns, frame: freshness.read(frame, at_ns, nobody)),
        "people": (PEOPLE_NS, lambda at_ns, frame: faces.detect(frame)),
        "scene": (SCENE_NS, lambda at_ns, frame: scene.read(frame, at_ns)),
    }
    spent: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(_ROUNDS):  # turn about, so that all meet the same machine
        frame = frames[number % len(frames)]
        for name, (period_ns, work) in parts.items():
            began = time.perf_counter()
            work(number * period_ns, frame)
            spent[name].append(time.perf_counter() - began)
    return {
        name: float(np.median(spent[name])) * 1e3 * S / period_ns
        for name, (period_ns, _) in parts.items()
    }
