"""One frame through vision, seen and read at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.evidence.people import PeopleRules
from edge.evidence.vision import FaceFinder, Observer, SceneFinder, Vision, VisionResult
from edge.view.fingerprint import Fingerprint


class SeeAndRead:
    """An observer, and the rules by which its sightings are read."""

    def __init__(
        self,
        fingerprint: Fingerprint | None,
        faces: FaceFinder,
        rules: PeopleRules,
        scene: SceneFinder | None = None,
        **options: Any,
    ) -> None:
        """`options` are the observer's."""
        self.see = Observer(fingerprint, faces, scene, **options).see
        self.read = Vision(rules).read


def examine(
    both: SeeAndRead,
    frame: np.ndarray,
    captured_ns: int,
    *,
    opening: bool,
    still: bool,
    final: bool = False,
) -> VisionResult:
    """Look at one frame and read it; the arguments are those of `see` and `read`."""
    return both.read(both.see(frame, captured_ns, final=final), opening=opening, still=still)
