"""Live cameras through OpenCV: a V4L2 device or a network stream; and the factory of all sources.

A V4L2 frame carries its driver's time of capture. A network stream dates its
frames by its own clock, not by ours, so its frames carry their time of arrival
(`Dating.ARRIVAL`). A source that sends nothing for `SILENT_S` has ended: the
capture process opens it again. Times are nanoseconds of
CLOCK_BOOTTIME.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge.cameras.decoder_log import decoder_log
from edge.cameras.identity import NO_TIME_NS, CameraIdentity, Dating
from edge.cameras.layout import Layout
from edge.cameras.opencv import (
    SILENT_S,
    Camera,
    FileCamera,
    PacedCamera,
    Room,
    Shot,
    nowhere,
    open_capture,
)
from edge.cameras.pictures import RAW, JpegReader, PictureReader, Read, Wanted, always, rate_hz_of
from edge.cameras.source import CameraSource, SourceKind, parse_source
from edge.cameras.v4l2 import asleep_ns, sensor_time, v4l2_identity
from edge.clock import MS, BootClock, Clock
from edge.errors import CameraError
from edge.scheduling import START_LIMIT_S

_MAX_STALE = 25  # pictures in a row that a stream fails to convert before it counts as lost
_CLOCKED = ("rtsp", "rtp", "udp", "srt")  # elsewhere FFmpeg counts frames and calls that time
_PACKETS = ("http://", "https://")  # what sends Motion JPEG as a rule, and is asked for packets
_LIMITS = (
    *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(SILENT_S * 1000)),
    # a decoder with more of them holds a frame back for each, and wakes for each
    *(cv2.CAP_PROP_N_THREADS, 1),
)


class DeviceCamera:
    """A V4L2 device, dated by its driver if that dates its buffers."""

    layout = Layout.BGR

    def __init__(self, node: str, clock: Clock) -> None:
        """Raises CameraError if nothing can be read from `node`."""
        self._clock = clock
        self.identity = v4l2_identity(node)
        self._capture = open_capture(node, cv2.CAP_V4L2, f"{node}: expected a V4L2 camera")
        stamps = [self._stamp_ns() for _ in range(2) if self._capture.grab()]
        found, frame = self._capture.retrieve()
        if not found or frame is None:  # with no frame grabbed, OpenCV may call it found
            self._capture.release()
            raise CameraError(f"{node}: the camera opens but delivers no frame")
        self.height, self.width = frame.shape[:2]
        self.rate_hz = rate_hz_of(self._capture)
        dated = len(stamps) == 2 and NO_TIME_NS < stamps[0] < stamps[1]
        self.dating = Dating.SOURCE if dated else Dating.ARRIVAL

    def shots(self, room: Room = nowhere, wanted: Wanted = always) -> Iterator[Shot]:
        while self._capture.grab():
            if not wanted():
                continue
            found, frame = self._capture.retrieve(room())
            if not found:
                return
            dated = self.dating is Dating.SOURCE
            yield Shot(frame, self._stamp_ns() if dated else self._clock.now_ns())

    def close(self) -> None:
        self._capture.release()

    def _stamp_ns(self) -> int:
        stamp_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * MS)
        return sensor_time(stamp_ns, self._clock.now_ns(), asleep_ns())


class StreamCamera:
    """An RTSP, HTTP or other network stream; a frame's time is that of its arrival."""

    layout = Layout.BGR
    dating = Dating.ARRIVAL

    def __init__(self, source: CameraSource, clock: Clock, open_s: float) -> None:
        """Raises CameraError if nothing can be read from `source` within `open_s`."""
        self._clock = clock
        self._clocked = source.target.startswith(_CLOCKED)
        self.identity = CameraIdentity("stream", bus=source.shown)
        limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(open_s * 1000), *_LIMITS)
        packets = source.target.startswith(_PACKETS)
        found, frame = self._begin(source, limits, packets=packets)
        if packets and found is Read.STALE:  # no Motion JPEG
            self._capture.release()
            found, frame = self._begin(source, limits, packets=False)
        if found is not Read.PICTURE:
            self._capture.release()
            if found is Read.STALE:
                raise CameraError(f"{source.shown}: is interlaced video, expected progressive")
            raise CameraError(f"{source.shown}: the camera opens but delivers no frame")
        if not self._reader.size_known:
            self._capture.release()
            raise CameraError(
                f"{source.shown}: sends {self._reader.codec} video, whose pictures may change "
                "their size without a word from its decoder: expected H.264, H.265 or Motion JPEG"
            )
        self.height, self.width = frame.shape[:2]
        self.rate_hz = rate_hz_of(self._capture)

    def _begin(
        self, source: CameraSource, limits: tuple[int, ...], *, packets: bool
    ) -> tuple[Read, np.ndarray]:
        """Open the stream and read once; `packets`: as Motion JPEG, which is `STALE` if it is none.

        Raises:
            CameraError: it cannot be opened.
        """
        expected = f"{source.shown}: expected a stream"
        parameters = (*limits, *RAW) if packets else limits
        self._capture = open_capture(source.target, cv2.CAP_FFMPEG, expected, parameters)
        self._reader: PictureReader | JpegReader = (
            JpegReader(self._capture) if packets else PictureReader(self._capture, decoder_log())
        )
        return self._reader.read(None)

    def shots(self, room: Room = nowhere, wanted: Wanted = always) -> Iterator[Shot]:
        """Frames until the stream ends, falls silent or changes its size."""
        stale = 0
        while stale < _MAX_STALE:
            found, frame = self._reader.read(room(), wanted)
            if found in (Read.END, Read.RESIZED):
                return
            if found is Read.UNWANTED:
                continue
            stale = stale + 1 if found is Read.STALE else 0
            if found is Read.STALE:
                continue
            position_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * MS)
            yield Shot(frame, self._clock.now_ns(), position_ns if self._clocked else None)

    def close(self) -> None:
        self._capture.release()


def open_source(text: str) -> Camera:
    """The camera that `text` names, or a recording, read as fast as it is asked.

    Raises:
        CameraError: it names nothing that can be read.
    """
    source = parse_source(text)
    return open_camera(text, BootClock()) if source.live else FileCamera(Path(source.target))


def open_camera(text: str, clock: Clock, start_limit_s: float = START_LIMIT_S) -> Camera:
    """The camera that `text` names, or a recording played in real time.

    Args:
        start_limit_s: for the whole start; a pipeline has half of it to name its picture size,
            and a stream to answer.

    Raises:
        CameraError: it names nothing that can be read.
    """
    source = parse_source(text)
    match source.kind:
        case SourceKind.PIPELINE:
            from edge.cameras.gstreamer import PipelineCamera

            return PipelineCamera(source.target, clock, start_limit_s / 2)
        case SourceKind.PICAMERA2:
            from edge.cameras.picamera import PiCamera

            return PiCamera(source.target, clock)
        case SourceKind.V4L2:
            return DeviceCamera(source.target, clock)
        case SourceKind.STREAM:
            return StreamCamera(source, clock, start_limit_s / 2)
        case SourceKind.FILE:
            return PacedCamera(Path(source.target), clock)
