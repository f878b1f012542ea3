"""Evidence: dated, frozen values with a source, and what the board reports.

A `Reading` says of one moment whether its source finds the capture context
controlled; `reasons` is empty only if it does. Missing, stale or conflicting
evidence never is. All times are nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.reasons import Reason

Vector = tuple[float, float, float]


class Source(Enum):
    """Where a reading comes from."""

    __hash__ = object.__hash__  # by identity, as its members are equal: a tenth of Enum's time

    COMMISSIONING = "commissioning"
    DOCK = "dock"
    STILLNESS = "stillness"
    SIGN_MAP = "sign map"  # the enrolled view, in every frame
    VIEW = "view"  # the enrolled view, in the slow loop
    EGO_MOTION = "ego-motion"
    SCENE = "scene"
    PEOPLE = "people"
    LIVENESS = "liveness"  # in every frame
    FRESHNESS = "freshness"  # in the slow loop: noise, movement, repetition
    CAMERA = "camera"
    POSITION = "position"
    SESSION = "session"
    INTEGRITY = "integrity"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source says of the moment `captured_ns`."""

    source: Source
    captured_ns: int
    reasons: tuple[Reason, ...] = ()

    @property
    def good(self) -> bool:
        return not self.reasons


@dataclass(frozen=True, slots=True)
class BoardSample:
    """The board's sensors at one moment; None where a sensor gave no value."""

    captured_ns: int
    dock: bool | None = None
    dock_id: str | None = None
    tampered: bool | None = None
    gyro_rad_s: Vector | None = None
    accel_m_s2: Vector | None = None
    lux: float | None = None
    speed_m_s: float | None = None
    lat_deg: float | None = None
    lon_deg: float | None = None
