"""A Raspberry Pi camera, through a stand-in with picamera2's interface: no board is needed."""

from __future__ import annotations

import sys
import time
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edge.cameras.identity import NO_TIME_NS
from edge.cameras.live import open_camera
from edge.cameras.source import parse_source
from edge.cameras.v4l2 import sensor_time
from edge.clock import MS, BootClock, S
from edge.errors import CameraError

BUFFERS = 4


class Request:
    """A filled buffer; like the real one it must be given back."""

    def __init__(self, camera: FakePicamera2) -> None:
        self._camera = camera
        self._stamp_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 40 * MS

    def make_array(self, name: str) -> np.ndarray:
        assert name == "main"
        width, height = self._camera.layout["main"]["size"]
        if self._camera.layout["main"]["format"] == "YUV420":
            return np.full((height * 3 // 2, width), 90, np.uint8)
        assert self._camera.layout["main"]["format"] == "RGB888"
        return np.full((height, width, 3), (10, 20, 200), np.uint8)

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": self._stamp_ns, "ExposureTime": 10_000}

    def release(self) -> None:
        self._camera.outstanding -= 1


class Job:
    """A capture that was asked for; its result is waited for, as in the real one's job."""

    def __init__(self, camera: FakePicamera2) -> None:
        self._camera = camera

    def get_result(self, timeout: float | None = None) -> Request:
        if self._camera.silent:
            assert timeout is not None, "the real one would wait for ever"
            raise TimeoutError
        return self._camera.fill()


class FakePicamera2:
    """What the adapter uses of `picamera2.Picamera2`."""

    busy = False
    opened: FakePicamera2 | None = None

    def __init__(self, camera_num: int = 0) -> None:
        if FakePicamera2.busy:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.number, self.outstanding, self.running = camera_num, 0, False
        self.left = 3
        self.silent = False
        self.layout: dict[str, Any] = {}
        FakePicamera2.opened = self

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [
            {"Model": "imx708", "Location": 2, "Rotation": 180, "Id": "/base/i2c@1/imx708@1a"},
            {"Model": "imx219", "Location": 2, "Rotation": 0, "Id": "/base/i2c@0/imx219@10"},
        ]

    def create_video_configuration(
        self, main: dict[str, Any], controls: dict[str, Any]
    ) -> dict[str, Any]:
        return {"main": main, "controls": controls, "buffer_count": BUFFERS}

    def configure(self, layout: dict[str, Any]) -> None:
        self.layout = layout

    def start(self) -> None:
        self.running = True

    def capture_request(self, wait: bool | None = None) -> Job:
        return Job(self)

    def fill(self) -> Request:
        assert self.running and self.outstanding < BUFFERS, "the real one would wait for ever"
        if self.left == 0:
            raise RuntimeError("the camera is gone")
        self.left -= 1
        self.outstanding += 1
        return Request(self)

    def stop(self) -> None:
        self.running = False

    def close(self) -> None:
        assert not self.running
        FakePicamera2.opened = None


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("picamera2")
    vars(module)["Picamera2"] = FakePicamera2
    monkeypatch.setitem(sys.modules, "picamera2", module)


def test_frames_are_dated_by_the_sensor_and_every_buffer_goes_back(installed: None) -> None:
    camera = open_camera("picamera2:1", BootClock())
    asked = BootClock().now_ns()

    shots = list(islice(camera.shots(), 2))

    assert camera.identity.kind == "picamera2"
    assert (camera.identity.card, camera.identity.bus) == ("imx219", "/base/i2c@0/imx219@10")
    assert all(shot.frame.shape == (camera.height, camera.width, 3) for shot in shots)
    assert shots[0].frame[0, 0].tolist() == [10, 20, 200]  # BGR
    assert asked - 40 * MS <= shots[0].captured_ns < asked  # when it was exposed
    fake = FakePicamera2.opened
    assert fake is not None and fake.outstanding == 0
    camera.close()
    assert FakePicamera2.opened is None


def test_frames_are_taken_as_i420_where_that_is_asked_for(installed: None) -> None:
    camera = open_camera("picamera2:1,I420", BootClock())

    shot = next(iter(camera.shots()))

    assert camera.layout.size(shot.frame.shape) == (camera.height, camera.width) == (720, 1280)
    camera.close()


def test_a_layout_that_it_does_not_offer_is_one_line(installed: None) -> None:
    with pytest.raises(CameraError, match="expected picamera2:N or picamera2:N,I420"):
        open_camera("picamera2:1,NV21", BootClock())


def test_two_cameras_are_told_apart_and_a_lost_one_ends(installed: None) -> None:
    one, two = (open_camera(source, BootClock()) for source in ("picamera2", "picamera2:1"))

    assert one.identity.digest != two.identity.digest
    assert len(list(two.shots())) == 3


@pytest.mark.parametrize("source", ["picamera2:2", "picamera2:first"])
def test_a_number_that_is_no_camera_is_one_line(installed: None, source: str) -> None:
    with pytest.raises(CameraError, match=f"{source}: expected picamera2:N with N below 2"):
        open_camera(source, BootClock())


def test_a_camera_in_use_is_one_line(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakePicamera2, "busy", True)

    with pytest.raises(CameraError, match="picamera2:0: the camera cannot be started: Camera"):
        open_camera("picamera2:0", BootClock())


def test_without_the_package_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)

    with pytest.raises(CameraError, match="apt install python3-picamera2"):
        open_camera("picamera2:0", BootClock())


NOW = 10_000 * S


@pytest.mark.parametrize(
    ("stamp_ns", "asleep_ns", "meant_ns"),
    [
        (NOW - 40 * MS, 0, NOW - 40 * MS),  # never slept: the clocks are one
        (NOW - 40 * MS, 3600 * S, NOW - 40 * MS),  # as promised
        (NOW - 40 * MS - 3600 * S, 3600 * S, NOW - 40 * MS),  # a driver on the other clock
        (NOW + 1 * S, 0, NO_TIME_NS),  # not yet: the arrival is not taken in its place
        (0, 0, NO_TIME_NS),  # not there
        (0, 3600 * S, NO_TIME_NS),
        (NOW - 5 * S, 0, NOW - 5 * S),  # old stays old
    ],
)
def test_a_stamp_is_read_on_the_clock_it_was_made_with(
    stamp_ns: int, asleep_ns: int, meant_ns: int
) -> None:
    assert sensor_time(stamp_ns, NOW, asleep_ns) == meant_ns


@pytest.mark.parametrize(
    ("source", "live"),
    [
        ("0", True),
        ("/dev/video2", True),
        ("rtsp://cam/1", True),
        ("gst:v4l2src", True),
        ("picamera2", True),
        ("picamera2:1", True),
        ("clip.mp4", False),
        ("picamera2.mp4", False),
    ],
)
def test_a_recording_is_told_from_a_camera_by_its_name(source: str, live: bool) -> None:
    assert parse_source(source).live is live


def test_a_camera_that_falls_silent_ends_and_a_speaking_one_goes_on(installed: None) -> None:
    silent, speaking = (open_camera(f"picamera2:{n}", BootClock()) for n in (0, 1))
    fake = vars(silent)["_camera"]
    fake.silent = True

    assert list(silent.shots()) == []
    assert len(list(speaking.shots())) == 3


def test_a_frame_that_is_not_wanted_is_given_back_at_once_and_never_copied(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = []
    make = Request.make_array
    monkeypatch.setattr(
        Request, "make_array", lambda self, name: (copied.append(name), make(self, name))[1]
    )
    camera = open_camera("picamera2:0", BootClock())
    answers = iter([False, True, False])

    shots = list(camera.shots(wanted=lambda: next(answers)))

    opened = FakePicamera2.opened
    assert opened is not None and opened.left == opened.outstanding == 0
    assert len(shots) == len(copied) == 1
