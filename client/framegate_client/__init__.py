"""framegate's client: frames as the guard releases them, for a face matcher.

    import framegate_client

    camera = framegate_client.VideoCapture(0)       # was: cv2.VideoCapture(0)

    for frame in framegate_client.connect():        # or with capture times
        ...

It depends only on NumPy and does not change the matcher's OpenCV. The guard puts it on
the import path of every matcher that it starts. Names are loaded at first use, because
the guard's own processes need only its errors and its ring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from framegate_client.errors import GuardError, MatcherError, UsageError

if TYPE_CHECKING:
    from framegate_client.capture import VideoCapture
    from framegate_client.connection import Connection, Frame, connect
    from framegate_client.state import Reason, State

__all__ = [
    "Connection",
    "Frame",
    "GuardError",
    "MatcherError",
    "Reason",
    "State",
    "UsageError",
    "VideoCapture",
    "connect",
]

_HOMES = {
    "Connection": "connection",
    "Frame": "connection",
    "Reason": "state",
    "State": "state",
    "VideoCapture": "capture",
    "connect": "connection",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
