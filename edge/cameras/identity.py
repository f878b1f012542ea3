"""Which camera it is, and how far its capture times can be trusted: values only, no pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum

MAX_SIDE_PX = 8192  # no camera's picture is larger
NO_TIME_NS = 0  # a frame whose source was to date it and did not: it is never released


@dataclass(frozen=True, slots=True)
class CameraIdentity:
    """The properties that identify a camera; pinned at enrolment."""

    kind: str  # "v4l2", "stream", "pipeline", "picamera2" or "virtual"
    driver: str = ""
    card: str = ""
    bus: str = ""
    sha256: str = ""  # of the file, for a virtual camera

    @property
    def digest(self) -> bytes:
        """16 bytes that name the camera, not the file that stands in for it."""
        text = "\0".join(("framegate/camera/v1", self.kind, self.driver, self.card, self.bus))
        return hashlib.sha256(text.encode()).digest()[:16]


class Dating(Enum):
    """What a camera's capture times are; the value is what the capture process tells."""

    SOURCE = "source"  # the moment of exposure, as the sensor, driver or file says
    ARRIVAL = "arrival"  # when the frame came: it was shot then or at any time before
