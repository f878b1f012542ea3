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

from edge.cameras.layout import Layout
from edge.clock import MS, Clock
from edge.errors import CameraError

_LATE_NS = 100 * MS  # a paced frame later than this is dropped, as a device would
MAX_SIDE_PX = 8192
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
        """Raises CameraError if the file is missing, not a video, or holds no frame."""
        if not path.is_file():
            raise CameraError(f"{path}: expected a video file, found nothing readable there")
        self._capture = _open(str(path), cv2.CAP_FFMPEG, f"{path}: expected a video file")
        self.identity = CameraIdentity("virtual", sha256=file_sha256(path))
        first = self._read()
        if first is None:
            raise CameraError(f"{path}: expected a video with frames, could decode none")
        self._first: Shot | None = first
        self.height, self.width = first.frame.shape[:2]
        self.rate_hz = _rate_hz(self._capture)

    def shots(self, room: Room = nowhere) -> Iterator[Shot]:
        shot, self._first = self._first, None
        start_ns = shot.captured_ns if shot is not None else 0
        while shot is not None:
            yield Shot(shot.frame, shot.captured_ns - start_ns)
            shot = self._read(room)

    def close(self) -> None:
        self._capture.release()

    def _read(self, room: Room = nowhere) -> Shot | None:
        found, frame = self._capture.read(room())
        if not found:
            return None
        return Shot(frame, round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * MS))


class PacedCamera:
    """A file played as a device would deliver it, starting when `shots` is first asked."""

    layout = Layout.BGR

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = FileCamera(path)
        self._clock = clock
        self.identity = self._file.identity
        self.width, self.height = self._file.width, self._file.height
        self.rate_hz = self._file.rate_hz
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
            self.identity = CameraIdentity("stream", bus=_without_credentials(source))
            self._capture = _open(source, cv2.CAP_FFMPEG, f"{self.identity.bus}: expected a stream")
        else:
            node = f"/dev/video{source}" if source.isdigit() else source
            self.identity = v4l2_identity(node)
            self._capture = _open(node, cv2.CAP_V4L2, f"{node}: expected a V4L2 camera")
        found, frame = self._capture.read()
        if not found:
            raise CameraError(f"{source}: the camera opens but delivers no frame")
        self.height, self.width = frame.shape[:2]
        self.rate_hz = _rate_hz(self._capture)

    def shots(self, room: Room = nowhere) -> Iterator[Shot]:
        while True:
            found, frame = self._capture.read(room())
            if not found:
                return
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


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of the file.

    Raises:
        CameraError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as err:
        raise CameraError(f"{path}: cannot be read: {err.strerror}") from err
    return digest.hexdigest()


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
