"""A Raspberry Pi camera through `picamera2`, dated by its sensor: `picamera2:0`.

`picamera2:0,I420` takes its frames as I420, half the bytes of BGR.
The package comes with Raspberry Pi OS (`apt install python3-picamera2`, and a
virtual environment made with `--system-site-packages`) and is asked for only
when such a camera is. A frame carries the time its first row began to be
exposed, not the time it arrived. All times are nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import TimeoutError as WaitTimeout
from typing import Any

from edge.cameras.identity import CameraIdentity, Dating
from edge.cameras.layout import Layout
from edge.cameras.opencv import SILENT_S, Room, Shot, nowhere
from edge.cameras.pictures import Wanted, always
from edge.cameras.v4l2 import asleep_ns, sensor_time
from edge.clock import Clock
from edge.errors import CameraError, meaning, wrong_in

PREFIX = "picamera2:"
SIZE = (1280, 720)  # (width, height) in pixels
_RATE_HZ = 30.0
_FORMATS = {Layout.BGR: "RGB888", Layout.I420: "YUV420"}  # its names for them


class PiCamera:
    """One camera of the libcamera stack, by its number."""

    dating = Dating.SOURCE

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
        self.rate_hz = 0.0  # not known
        os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
        expected = (
            f"{self._name}: expected the Python package picamera2 (apt install "
            "python3-picamera2, and a virtual environment with --system-site-packages)"
        )
        with meaning(expected, ImportError, as_=CameraError):
            from picamera2 import Picamera2
        known: list[dict[str, Any]] = Picamera2.global_camera_info()
        if not number.isdigit() or int(number) >= len(known):
            raise CameraError(
                f"{self._name}: expected picamera2:N with N below {len(known)}, the number of "
                "cameras that libcamera finds"
            )
        info = known[int(number)]
        self.identity = CameraIdentity(
            "picamera2", "libcamera", str(info.get("Model", "")), str(info.get("Id", ""))
        )
        self.width, self.height = SIZE
        with wrong_in(
            f"{self._name}: the camera cannot be started", RuntimeError, OSError, as_=CameraError
        ):
            self._camera = Picamera2(int(number))
            layout = self._camera.create_video_configuration(
                main={"size": SIZE, "format": _FORMATS[self.layout]},
                controls={"FrameRate": _RATE_HZ},
            )
            self._camera.configure(layout)
            self._camera.start()

    def shots(self, room: Room = nowhere, wanted: Wanted = always) -> Iterator[Shot]:
        """As the protocol says; `room` is not used, picamera2 makes its own copy."""
        while True:
            try:
                request = self._camera.capture_request(wait=False).get_result(timeout=SILENT_S)
            except (RuntimeError, OSError, WaitTimeout):
                return  # unplugged, or silent for too long
            if not wanted():
                request.release()
                continue
            try:
                frame = request.make_array("main")  # a copy: the buffer goes back at once
                stamp_ns = int(request.get_metadata().get("SensorTimestamp", 0))
            finally:
                request.release()
            now_ns = self._clock.now_ns()
            yield Shot(frame, sensor_time(stamp_ns, now_ns, asleep_ns()))

    def close(self) -> None:
        self._camera.stop()
        self._camera.close()
