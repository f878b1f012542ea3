"""Cameras: where frames come from, each with the time it was captured.

`Camera` is the one protocol. `FileCamera` is a recording with its own timestamps
(which may be variable-rate), `PacedCamera` plays a file in real time the way a
device delivers: what comes too late is dropped, never queued. Both go through
OpenCV. What is live stands in `edge.cameras.live`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # we report errors ourselves, in one line
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")

import cv2

from edge.cameras.identity import MAX_SIDE_PX, CameraIdentity, Dating
from edge.cameras.layout import Layout
from edge.cameras.pictures import Wanted, always
from edge.cameras.recording import Recording
from edge.clock import MS, Clock, S
from edge.errors import CameraError

SILENT_S = 5.0  # a live camera that says nothing for this long is lost, and opened again
_LATE_NS = 100 * MS  # a paced frame later than this is dropped, as a device would


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame and its capture time."""

    frame: np.ndarray  # uint8, in the shape of the camera's layout
    captured_ns: int  # never earlier than the exposure; see `Camera.dating`
    stream_ns: int | None = None  # by the stream's own clock, where it has one


Room = Callable[[], "np.ndarray | None"]


def nowhere() -> np.ndarray | None:
    """No memory is lent: the camera takes its own."""
    return None


class Camera(Protocol):
    """A source of frames; iterating ends when no more will come."""

    identity: CameraIdentity
    layout: Layout
    dating: Dating
    width: int  # of the picture, in pixels
    height: int
    rate_hz: float  # frames a second; 0 if the source does not report it

    def shots(self, room: Room = nowhere, wanted: Wanted = always) -> Iterator[Shot]:
        """Frames in order of capture.

        Args:
            room: asked before each frame for memory to write it into, uint8 of the camera's
                layout and size; a frame that is written elsewhere is a `frame` of its own.
            wanted: asked once for each frame that a live camera has. One that is not wanted
                is taken from the camera and let go, undecoded where that is possible. Of a
                recording every frame comes.
        """

    def close(self) -> None:
        """Give the device back."""


class FileCamera:
    """A recording; capture times are the file's own, from 0 for its first frame."""

    layout = Layout.BGR
    dating = Dating.SOURCE

    def __init__(self, path: Path) -> None:
        """Raises CameraError if the file is missing, or no recording that can be judged."""
        self._recording = Recording(path)
        self.identity = CameraIdentity("virtual", sha256=self._recording.sha256)
        self.height, self.width = self._recording.height, self._recording.width
        self.rate_hz = self._recording.rate_hz
        self.tally = self._recording.tally

    def shots(self, room: Room = nowhere, wanted: Wanted = always) -> Iterator[Shot]:
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
    dating = Dating.SOURCE

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = FileCamera(path)
        self._clock = clock
        self.identity = self._file.identity
        self.width, self.height = self._file.width, self._file.height
        self.rate_hz = self._file.rate_hz
        self.tally = self._file.tally
        self.dropped = 0

    def shots(self, room: Room = nowhere, wanted: Wanted = always) -> Iterator[Shot]:
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


def open_capture(
    source: str, backend: int, expected: str, parameters: tuple[int, ...] = ()
) -> cv2.VideoCapture:
    """OpenCV's capture of `source`; `expected` begins the message if there is none."""
    capture = cv2.VideoCapture(source, backend, parameters)
    if not capture.isOpened():
        raise CameraError(f"{expected}, OpenCV cannot open it as one")
    width = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    height = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if max(width, height) > MAX_SIDE_PX:
        raise CameraError(f"{expected} of at most {MAX_SIDE_PX} px a side, got {width}x{height}")
    return capture


def opening_frames(camera: Camera, seconds: float, count: int) -> list[np.ndarray]:
    """Up to 2 * `count` - 1 BGR frames, evenly spread over the first `seconds`.

    However long or fast the source is, no more are held: when there are that many
    every second one is let go, and from then on only every second one of those
    that come is kept. The camera is left open. It gives frames of its own, which may be kept.
    """
    kept: list[np.ndarray] = []
    stride, first_ns = 1, None
    for number, shot in enumerate(camera.shots()):
        first_ns = shot.captured_ns if first_ns is None else first_ns
        if shot.captured_ns - first_ns > seconds * S:
            break
        if number % stride == 0:
            kept.append(camera.layout.bgr(shot.frame))
        if len(kept) == 2 * count:
            kept, stride = kept[::2], 2 * stride
    return kept
