"""The site that a whole guard in the device guards: made here, packed as files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

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
    """A clip of the rendered room with its person."""
    render: Any = import_module("tests.support.render")
    frames = render.lived_in(render.room(), rate_hz * seconds)
    written: Path = render.write_clip(clip, frames, float(rate_hz))
    return written
