"""What the scene's veto does to recordings: a controlled one must never be vetoed.

The scene is read once a second, by the slow loop's own `Observer`, without an enrolled
view. Seconds may begin anywhere, so each recording is read from several starting points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from edge.cameras.opencv import FileCamera
from edge.evaluation.manifest import Clip
from edge.evidence.scene import SceneReading
from edge.evidence.vision import SCENE_NS, FaceFinder, Observer, SceneFinder

STARTS = 3  # within a second


@dataclass(frozen=True, slots=True)
class Vetoed:
    """The readings of one recording, over all starting points."""

    clip: str
    controlled: bool
    readings: int
    doubted: int  # that the model alone would veto
    vetoed: int  # that the guard does: lasting, and of more than a person
    highest: float  # probability of no interior


class _Noted:
    """A scene model, and the readings it gave."""

    def __init__(self, scene: SceneFinder) -> None:
        self._scene = scene
        self.given: list[SceneReading] = []

    def read(self, frame: np.ndarray, captured_ns: int) -> SceneReading:
        self.given.append(self._scene.read(frame, captured_ns))
        return self.given[-1]


def vetoes(clip: Clip, faces: FaceFinder, scene: SceneFinder) -> Vetoed:
    """Read a recording's scene as the guard does.

    Raises:
        CameraError: the recording cannot be read.
        ModelError: a model failed.
    """
    noted = _Noted(scene)
    observers = [Observer(None, faces, noted) for _ in range(STARTS)]
    due_ns = [SCENE_NS * start // STARTS for start in range(STARTS)]
    vetoed, first_ns = 0, None
    with closing(FileCamera(clip.path)) as camera:
        for shot in camera.shots():
            first_ns = shot.captured_ns if first_ns is None else first_ns
            for start, observer in enumerate(observers):
                if shot.captured_ns - first_ns >= due_ns[start]:
                    due_ns[start] = shot.captured_ns - first_ns + SCENE_NS
                    seen = observer.see(camera.layout.bgr(shot.frame), shot.captured_ns)
                    vetoed += bool(seen.scene)
    return Vetoed(
        clip.name,
        clip.controlled,
        len(noted.given),
        sum(bool(reading.reasons) for reading in noted.given),
        vetoed,
        max((sum(reading.probabilities[2:]) for reading in noted.given), default=0.0),
    )


def lines(found: Sequence[Vetoed]) -> Iterator[str]:
    """The figures for the terminal, controlled recordings first."""
    rows = sorted(found, key=lambda row: (not row.controlled, row.clip))
    if not rows:
        return
    yield f"{'recording':<40}{'readings':>10}{'doubted':>10}{'vetoed':>10}{'highest':>10}"
    for row in rows:
        name = row.clip if row.controlled else f"({row.clip})"
        counts = f"{row.readings:>10}{row.doubted:>10}{row.vetoed:>10}"
        yield f"{name:<40}{counts}{row.highest:>10.2f}"
    controlled = [row for row in rows if row.controlled]
    others = [row for row in rows if not row.controlled]
    hit, caught = sum(row.vetoed > 0 for row in controlled), sum(row.vetoed > 0 for row in others)
    yield f"falsely vetoed: {hit} of {len(controlled)} controlled recordings"
    yield f"vetoed: {caught} of {len(others)} others, in brackets"
