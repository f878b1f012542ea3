"""framegate: blocks face matching outside a controlled capture context.

A matcher needs three names from here: `VideoCapture`, which takes the place of
OpenCV's, `connect`, which yields frames with their capture times, and
`GuardError`, the base of every error raised on purpose. The first two are
loaded when asked for: most of the guard's processes do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.errors import GuardError

if TYPE_CHECKING:
    from edge.client.connection import VideoCapture, connect

__all__ = ["GuardError", "VideoCapture", "connect"]


def __getattr__(name: str) -> Any:
    if name not in ("VideoCapture", "connect"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edge.client import connection as client

    return getattr(client, name)
