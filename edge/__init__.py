"""framegate: blocks face matching outside a controlled capture context.

A matcher needs three names from here: `VideoCapture`, which takes the place of
OpenCV's, `connect`, which yields frames with their capture times, and
`GuardError`, the base of every error raised on purpose.
"""

from edge.errors import GuardError
from edge.frames.client import VideoCapture, connect

__all__ = ["GuardError", "VideoCapture", "connect"]
