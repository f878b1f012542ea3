"""The peer: the same camera and the same face detector in one plain Python process.

    python -m bench.footprint.plain URL MODEL

It reads every frame and looks for faces five times a second, without a guard. It prints
one line when frames arrive, and ends with its parent.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2

from edge import ipc
from edge.evidence.faces import FaceBoxes
from edge.evidence.vision import PEOPLE_NS


def main() -> int:
    """Read until the camera ends."""
    ipc.die_with_parent()
    url, model = sys.argv[1:]
    faces = FaceBoxes(Path(model))
    camera = cv2.VideoCapture(url)
    looked_ns = 0
    reported = False
    while True:
        good, frame = camera.read()
        if not good:
            return 1
        now_ns = time.monotonic_ns()
        if now_ns - looked_ns >= PEOPLE_NS:
            looked_ns = now_ns
            faces.detect(frame)
        if not reported:
            reported = True
            print("reading", flush=True)


if __name__ == "__main__":
    sys.exit(main())
