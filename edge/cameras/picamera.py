"""A Raspberry Pi camera through `picamera2`, dated by its sensor: `picamera2:0`.

`picamera2:0,I420` takes its frames as I420, half the bytes of BGR.
The package comes with Raspberry Pi OS (`apt install python3-picamera2`, and a
virtual environment made with `--system-site-packages`) and is asked for only
when such a camera is. A frame carries the time its first row began to be
exposed, not the time it arrived. All times are nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from edge.cameras.layout import Layout
from edge.cameras.opencv import CameraIdentity, Room, Shot, nowhere
from edge.clock import Clock
from edge.errors import CameraError

PREFIX = "picamera2:"
SIZE = (1280, 720)  # (width, height) in pixels
_RATE_HZ = 30.0
_FORMATS = {Layout.BGR: "RGB888", Layout.I420: "YUV420"}  # its names for them


def sensor_time(stamp_ns: int, now_ns: int, asleep_ns: int) -> int:
    """The CLOCK_BOOTTIME of a sensor's stamp.

    libcamera promises that clock; drivers that stamp with CLOCK_MONOTONIC are
    behind it by the time the device has slept. Of the two readings the later
    one that is not in the future is meant; if both are in the future the
    stamp is no time at all, and the frame is as old as its arrival.

    Args:
        stamp_ns: `SensorTimestamp`.
        now_ns: CLOCK_BOOTTIME after the frame arrived.
        asleep_ns: by how much CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC.
    """
    meant = [ns for ns in (stamp_ns, stamp_ns + asleep_ns) if 0 < ns <= now_ns]
    return max(meant, default=now_ns)


class PiCamera:
    """One camera of the libcamera stack, by its number."""

    def __init__(self, name: str, clock: Clock) -> None:
        """Start the camera `name`: its number, or its number and `,I420`.

        Raises:
            CameraError: the package or the camera is not there, or is in use.
        """
        self._clock = clock
        self._name = f"{PREFIX}{name}"
        number, comma, layout = name.partition(",")
        if comma and layout != Layout.I420.value:
            raise CameraError(f"{self._name}: expected picamera2:N or picamera2:N,I420")
        self.layout = Layout(layout) if comma else Layout.BGR
        self.rate_hz = 0.0  # not told
        os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
        try:
            from picamera2 import Picamera2
        except ImportError as err:
            raise CameraError(
                f"{self._name}: expected the Python package picamera2 (apt install "
                "python3-picamera2, and a virtual environment with --system-site-packages)"
            ) from err
        known: list[dict[str, Any]] = Picamera2.global_camera_info()
        if not number.isdigit() or int(number) >= len(known):
            raise CameraError(
                f"{self._name}: expected picamera2:N with N below {len(known)}, the number of "
                "cameras that libcamera finds"
            )
        told = known[int(number)]
        self.identity = CameraIdentity(
            "picamera2", "libcamera", str(told.get("Model", "")), str(told.get("Id", ""))
        )
        self.width, self.height = SIZE
        try:
            self._camera = Picamera2(int(number))
            layout = self._camera.create_video_configuration(
                main={"size": SIZE, "format": _FORMATS[self.layout]},
                controls={"FrameRate": _RATE_HZ},
            )
            self._camera.configure(layout)
            self._camera.start()
        except (RuntimeError, OSError) as err:
            raise CameraError(f"{self._name}: the camera cannot be started: {err}") from err

    def shots(self, room: Room = nowhere) -> Iterator[Shot]:
        """As the protocol says; `room` is not used, picamera2 makes its own copy."""
        while True:
            try:
                request = self._camera.capture_request()
            except (RuntimeError, OSError):
                return  # unplugged
            try:
                frame = request.make_array("main")  # a copy: the buffer goes back at once
                stamp_ns = int(request.get_metadata().get("SensorTimestamp", 0))
            finally:
                request.release()
            now_ns = self._clock.now_ns()
            asleep_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
            yield Shot(frame, sensor_time(stamp_ns, now_ns, max(0, asleep_ns)))

    def close(self) -> None:
        self._camera.stop()
        self._camera.close()
