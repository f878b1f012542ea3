"""The site that a whole guard in the device guards: made here, packed as files."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

SITE = "srv/site"
FRAMES_S = 20


def files(scratch: Path, rate_hz: int, seconds: int = FRAMES_S) -> dict[str, bytes]:
    """Keys, a rendered room with a person as a clip, and its view, by their path in the device.

    A rendered room has no copyright and is the same everywhere.
    """
    from edge.models.pull import asset

    guards: Any = import_module("tests.support.guards")
    folder = scratch / f"site-{rate_hz}"
    folder.mkdir()
    clip = room(folder / "room.avi", rate_hz, seconds)
    guards.site(folder, clip, clip, asset("centerface.onnx"))
    return {
        f"{SITE}/{path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def room(clip: Path, rate_hz: int, seconds: int) -> Path:
    """A clip of the rendered room with its person, in which nothing moves twice alike."""
    render: Any = import_module("tests.support.render")
    written: Path = render.write_clip(clip, frames(rate_hz, seconds), float(rate_hz))
    return written


def frames(rate_hz: int, seconds: int) -> Iterator[Any]:
    """The room's frames, (480, 640, 3) uint8: new grain in each, and a cloth that a draught moves.

    The cloth goes from one seeded place to the next, each time as fast as chance has it. The
    rooms of the tests sway by sines: the guard finds after twelve seconds that these come again.
    """
    render: Any = import_module("tests.support.render")
    view = render.room()
    rows, cols = view.shape[:2]
    rng = np.random.default_rng(19)
    grains = rng.normal(0.0, render.NOISE_SIGMA, (4, *view.shape)).round().astype(np.int16)
    count = rate_hz * seconds
    at: list[Any] = []  # two shares of the room, a frame
    place = rng.random(2)
    while len(at) < count:
        to, steps = rng.random(2), round(rate_hz * rng.uniform(0.4, 1.6))
        at += [place + (to - place) * step / steps for step in range(steps)]
        place = to
    for i in range(count):
        now = render.with_light(view, gain=1.0 + 0.03 * np.sin(i / rate_hz / 0.7))
        top, left = round(rows * (0.3 + 0.1 * at[i][0])), round(cols * (0.01 + 0.12 * at[i][1]))
        cloth = now[top : top + rows // 6, left : left + cols // 16]
        cloth[:] = cloth // 2
        shift = (int(rng.integers(rows)), int(rng.integers(cols)))
        yield np.clip(now + np.roll(grains[i % 4], shift, (0, 1)), 0, 255).astype(np.uint8)
