"""Cameras: where frames come from, each with the time it was captured.

`Camera` is the one protocol; `LiveCamera` reads a V4L2 device or a network
stream, `FileCamera` a recording with its own timestamps (which may be
variable-rate), `PacedCamera` plays a file in real time the way a device
delivers: what comes too late is dropped, never queued. All go through OpenCV.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors are told by us, in one line
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2

from edge.cameras.decoder_log import decoder_log
from edge.cameras.layout import Layout
from edge.cameras.recording import MAX_SIDE_PX, Read, Recording, read_picture
from edge.clock import MS, Clock
from edge.errors import CameraError

_LATE_NS = 100 * MS  # a paced frame later than this is dropped, as a device would
_MAX_STALE = 25  # pictures in a row that a stream fails to convert before it counts as lost
_MAX_RATE_HZ = 1000.0  # containers without a rate tell their clock's
_NETWORK = ("rtsp", "rtsps", "http", "https", "rtp", "udp", "tcp", "srt")


@dataclass(frozen=True, slots=True)
class CameraIdentity:
    """What tells one camera from another; pinned at enrolment."""

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


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame and its capture time."""

    frame: np.ndarray  # uint8, in the shape of the camera's layout
    captured_ns: int


Room = Callable[[], "np.ndarray | None"]


def nowhere() -> np.ndarray | None:
    """No memory is lent: the camera takes its own."""
    return None


class Camera(Protocol):
    """A source of frames; iterating ends when no more will come."""

    identity: CameraIdentity
    layout: Layout
    width: int  # of the picture, in pixels
    height: int
    rate_hz: float  # frames a second, as far as it is told; 0 if it is not

    def shots(self, room: Room = nowhere) -> Iterator[Shot]:
        """Frames in order of capture.

        `room` is asked before each frame for memory to write it into, uint8 of the
        camera's layout and size; a frame that is written elsewhere is a `frame` of its own.
        """

    def close(self) -> None:
        """Give the device back."""


class FileCamera:
    """A recording; capture times are the file's own, from 0 for its first frame."""

    layout = Layout.BGR

    def __init__(self, path: Path) -> None:
        """Raises CameraError if the file is missing, or no recording that can be judged."""
        self._recording = Recording(path)
        self.identity = CameraIdentity("virtual", sha256=self._recording.sha256)
        self.height, self.width = self._recording.height, self._recording.width
        self.rate_hz = self._recording.rate_hz
        self.tally = self._recording.tally

    def shots(self, room: Room = nowhere) -> Iterator[Shot]:
        start_ns: int | None = None
        while (found := self._recording.read(room)) is not None:
            frame, at_ns = found
            start_ns = at_ns if start_ns is None else start_ns
            yield Shot(frame, at_ns - start_ns)

    def close(self) -> None:
        self._recording.close()


class PacedCamera:
    """A file played as a device would deliver it, starting when `shots` is first asked."""

    layout = Layout.BGR

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = FileCamera(path)
        self._clock = clock
        self.identity = self._file.identity
        self.width, self.height = self._file.width, self._file.height
        self.rate_hz = self._file.rate_hz
        self.tally = self._file.tally
        self.dropped = 0

    def shots(self, room: Room = nowhere) -> Iterator[Shot]:
        start_ns = self._clock.now_ns()
        for shot in self._file.shots(room):
            due_ns = start_ns + shot.captured_ns
            wait_ns = due_ns - self._clock.now_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
            elif wait_ns < -_LATE_NS:
                self.dropped += 1
                continue
            yield Shot(shot.frame, due_ns)

    def close(self) -> None:
        self._file.close()


class LiveCamera:
    """A V4L2 device (index or /dev/video path) or an RTSP/HTTP stream."""

    layout = Layout.BGR

    def __init__(self, source: str, clock: Clock) -> None:
        """Raises CameraError if nothing can be read from `source`."""
        self._clock = clock
        scheme, stream, _ = source.partition("://")
        if stream:
            if scheme not in _NETWORK:
                raise CameraError(
                    f"{scheme}://: expected a network camera ({', '.join(_NETWORK)}); "
                    "name a recording by its path"
                )
            node = _without_credentials(source)
            self.identity = CameraIdentity("stream", bus=node)
            self._capture = _open(source, cv2.CAP_FFMPEG, f"{node}: expected a stream")
        else:
            node = f"/dev/video{source}" if source.isdigit() else source
            self.identity = v4l2_identity(node)
            self._capture = _open(node, cv2.CAP_V4L2, f"{node}: expected a V4L2 camera")
        self._log = decoder_log()
        found, frame = read_picture(self._capture, None, self._log)
        if found is Read.END:
            raise CameraError(f"{node}: the camera opens but delivers no frame")
        if found is Read.STALE:
            raise CameraError(f"{node}: is interlaced video, expected progressive")
        self.height, self.width = frame.shape[:2]
        self.rate_hz = _rate_hz(self._capture)

    def shots(self, room: Room = nowhere) -> Iterator[Shot]:
        stale = 0
        while stale < _MAX_STALE:
            found, frame = read_picture(self._capture, room(), self._log)
            if found is Read.END:
                return
            stale = stale + 1 if found is Read.STALE else 0
            if found is Read.PICTURE:
                yield Shot(frame, self._clock.now_ns())

    def close(self) -> None:
        self._capture.release()


def _rate_hz(capture: cv2.VideoCapture) -> float:
    """Frames a second as the driver or the container tells it; 0 if it does not."""
    told = capture.get(cv2.CAP_PROP_FPS)
    return told if 0 < told <= _MAX_RATE_HZ else 0.0


def open_camera(source: str, clock: Clock) -> Camera:
    """The live camera `source` names: index, device, URL, pipeline, or a file in real time."""
    scheme, _, rest = source.partition(":")
    if scheme == "gst":
        from edge.cameras.gstreamer import PipelineCamera

        return PipelineCamera(rest, clock)
    if scheme == "picamera2":
        from edge.cameras.picamera import PiCamera

        return PiCamera(rest or "0", clock)
    if is_live(source):
        return LiveCamera(source, clock)
    return PacedCamera(Path(source), clock)


def is_live(source: str) -> bool:
    """Whether `source` names a camera, not a recording."""
    if source.startswith(("gst:", "picamera2:", "/dev/")) or source == "picamera2":
        return True
    return "://" in source or source.isdigit()


def _open(source: str, backend: int, expected: str) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(source, backend)
    if not capture.isOpened():
        raise CameraError(f"{expected}, OpenCV cannot open it as one")
    width = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    height = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if max(width, height) > MAX_SIDE_PX:
        raise CameraError(f"{expected} of at most {MAX_SIDE_PX} px a side, got {width}x{height}")
    return capture


def v4l2_identity(node: str, sysfs: Path = Path("/sys")) -> CameraIdentity:
    """Who a device node is, by its number: a node may be given any name.

    Raises:
        CameraError: there is no such node, or it is no character device.
    """
    try:
        found = os.stat(node)
    except OSError as err:
        raise CameraError(f"{node}: expected a V4L2 camera: {err.strerror}") from err
    if not stat.S_ISCHR(found.st_mode):
        raise CameraError(f"{node}: expected a V4L2 camera, it is no character device")
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    base = sysfs / "dev" / "char" / number
    card = (base / "name").read_text().strip() if (base / "name").exists() else ""
    device = base / "device"
    if not device.exists():  # a loopback device hangs on nothing
        return CameraIdentity("v4l2", "loopback", card)
    driver = os.path.basename(os.path.realpath(device / "driver"))
    bus = os.path.basename(os.path.realpath(device))
    return CameraIdentity("v4l2", driver, card, bus)


def _without_credentials(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
