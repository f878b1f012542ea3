"""The settings of capture and gate, sent when a guard starts."""

from __future__ import annotations

from dataclasses import dataclass

from edge.cameras.layout import Layout
from edge.frames.output_format import OutputFormat
from edge.lease import Binding
from edge.masking.polygons import MaskRules
from edge.scheduling import START_LIMIT_S


@dataclass(frozen=True, slots=True)
class Picture:
    """The camera's pictures: pixels, frames a second (0 if the camera does not tell), layout."""

    height: int
    width: int
    rate_hz: float
    layout: Layout


@dataclass(frozen=True, slots=True)
class PoolSize:
    """Of the capture pool."""

    slots: int
    slot_bytes: int


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where the frames of a camera go for one matcher; descriptors that capture inherits."""

    gate_fd: int
    pool_fd: int
    beats_fd: int


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """Which camera to open; the descriptors it inherits."""

    source: str
    max_lag_ns: int  # the largest lag that the signed record states; 0: it states none
    parent_fd: int
    gate_fd: int
    pool_fd: int
    beats_fd: int
    others: tuple[Outlet, ...] = ()  # of the other matchers on this camera
    start_limit_s: float = START_LIMIT_S  # for the camera to deliver


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What the gate enforces; the descriptors it inherits."""

    picture: Picture
    pool: PoolSize
    binding: Binding
    view: bytes  # the enrolled view; empty if there is none
    min_view_score: float  # share of agreeing signs, 0 to 1
    output: OutputFormat
    masks: MaskRules
    token: str  # what the matcher is to show
    uid: int  # of the matcher's user
    beats_fd: int
    pool_fd: int
    ring_fd: int
    capture_fd: int
    decider_fd: int
    parent_fd: int
    listen_fd: int
