"""framegate: blocks face matching outside a controlled capture context.

A matcher needs three names from here: `VideoCapture`, which takes the place of
OpenCV's, `connect`, which yields frames with their capture times, and
`GuardError`, the base of every error raised on purpose. They are those of
`framegate_client`, which a matcher in an environment without framegate imports
instead. The first two are loaded when asked for: most of the guard's processes
do without.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from edge import isolation

if find_spec("framegate_client") is None:  # beside this package, which is found some other way
    sys.path.append(isolation.CLIENT)

from edge.errors import GuardError

if TYPE_CHECKING:
    from framegate_client import VideoCapture, connect

__all__ = ["GuardError", "VideoCapture", "connect"]


def __getattr__(name: str) -> Any:
    if name not in ("VideoCapture", "connect"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import framegate_client

    return getattr(framegate_client, name)
