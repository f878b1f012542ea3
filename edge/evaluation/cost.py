"""What the parts of the slow loop cost for one second of video, on this machine now.

Processor time, so that what else runs here does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edge.clock import S
from edge.evaluation.trials import Footage
from edge.evidence.faces import FaceBoxes
from edge.evidence.freshness import Freshness
from edge.evidence.motion import EgoMotion
from edge.evidence.scene import SceneModel
from edge.evidence.vision import DUE_NS, PEOPLE_NS, SCENE_NS, VIEW_NS, Observer
from edge.view.box import Box
from edge.view.check import ViewCheck
from edge.view.fingerprint import Fingerprint

_ROUNDS = 30


def slow_loop(
    frames: Sequence[np.ndarray], nobody: Sequence[Box], fingerprint: Fingerprint, face_model: Path
) -> dict[str, float]:
    """Milliseconds of one core a second, by part, at the rates of the running guard.

    Args:
        frames: BGR uint8, all of one size, as far apart as the running guard reads them.
        nobody: the faces in them, as the view check is told.
        fingerprint: of the place that they show.
        face_model: the detector's file.
    """
    check, motion = ViewCheck(fingerprint), EgoMotion()
    freshness = Freshness()
    faces, scene = FaceBoxes(face_model), SceneModel.load()
    observer = Observer(None, faces)

    def people(at_ns: int, frame: np.ndarray) -> None:
        observer.look_for_people(frame, at_ns)

    parts: dict[str, tuple[int, Callable[[int, np.ndarray], object]]] = {
        "view": (VIEW_NS, lambda at_ns, frame: check.read(frame, at_ns, nobody)),
        "ego-motion": (VIEW_NS, lambda at_ns, frame: motion.read(frame, at_ns, nobody)),
        "freshness": (VIEW_NS, lambda at_ns, frame: freshness.read(frame, at_ns, nobody)),
        "people": (PEOPLE_NS, people),
        "scene": (SCENE_NS, lambda at_ns, frame: scene.read(frame, at_ns)),
    }
    spent: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(_ROUNDS):  # turn about, so that all meet the same machine
        frame = frames[number % len(frames)]
        for name, (period_ns, work) in parts.items():
            if number % (period_ns // VIEW_NS) and name != "scene":
                continue
            began = time.thread_time()
            work(number * VIEW_NS, frame)
            spent[name].append(time.thread_time() - began)
    return {
        name: float(np.mean(spent[name][1:])) * 1e3 * S / period_ns
        for name, (period_ns, _) in parts.items()
    }


def apart(footage: Footage) -> list[np.ndarray]:
    """Frames as far apart as the running guard reads them."""
    found: list[np.ndarray] = []
    due_ns = 0
    for shot in footage.shots:
        if shot.captured_ns >= due_ns and len(found) < _ROUNDS:
            found.append(shot.frame)
            due_ns = shot.captured_ns + DUE_NS
    return found
