"""A GStreamer pipeline as a camera, tested with GStreamer's own test pictures."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
from itertools import islice

import numpy as np
import pytest

from edge.cameras.gstreamer import PipelineCamera
from edge.cameras.layout import Layout, layout_of
from edge.cameras.live import open_camera
from edge.cameras.source import driver_of
from edge.clock import BootClock
from edge.errors import CameraError

pytestmark = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed"
)
RED = "gst:videotestsrc is-live=true pattern=red ! video/x-raw,width={},height={},framerate=30/1"


@pytest.mark.slow
@pytest.mark.parametrize("size", [(320, 240), (322, 240), (641, 3)], ids=["even", "padded", "odd"])
def test_frames_come_in_colour_in_order_and_whole(size: tuple[int, int]) -> None:
    camera = open_camera(RED.format(*size), BootClock())

    shots = list(islice(camera.shots(), 4))
    camera.close()

    assert (camera.width, camera.height) == size
    for shot in shots:
        assert shot.frame.shape == (size[1], size[0], 3)
        blue, green, red = shot.frame.reshape(-1, 3).mean(axis=0)
        assert red > 200 > 50 > max(blue, green)
    times = [shot.captured_ns for shot in shots]
    assert times == sorted(set(times))
    assert times[-1] <= BootClock().now_ns()


@pytest.mark.parametrize("layout", ["NV12", "I420"])
@pytest.mark.parametrize("size", [(320, 240), (322, 240), (330, 50)], ids=["8", "2", "odd half"])
def test_nv12_and_i420_come_as_they_are(layout: str, size: tuple[int, int]) -> None:
    pipeline = f"{RED.format(*size)},format={layout}"
    camera = open_camera(pipeline, BootClock())

    shots = list(islice(camera.shots(), 3))
    camera.close()

    assert camera.layout.value == layout
    assert (camera.width, camera.height) == size
    for shot in shots:
        assert shot.frame.shape == (size[1] * 3 // 2, size[0])
        picture = camera.layout.bgr(shot.frame)
        assert picture.shape == (size[1], size[0], 3)
        blue, green, red = picture.reshape(-1, 3).min(axis=0)
        assert red > 200 > 50 > max(picture[:, :, 0].max(), picture[:, :, 1].max())
        assert blue < 50 and green < 50


def test_what_is_not_wanted_is_read_and_let_go() -> None:
    camera = open_camera(RED.format(320, 240), BootClock())
    asked: list[int] = []

    def wanted() -> bool:
        asked.append(1)
        return len(asked) % 3 == 0

    shots = list(islice(camera.shots(wanted=wanted), 2))
    camera.close()

    assert len(shots) == 2 and len(asked) == 6


def test_a_frame_is_written_where_it_was_asked_for() -> None:
    camera = open_camera(f"{RED.format(320, 240)},format=NV12", BootClock())
    place = np.zeros((360, 320), np.uint8)

    *_, last = islice(camera.shots(lambda: place), 3)
    camera.close()

    assert last.frame is place and place.all()


@pytest.mark.parametrize("size", [(321, 240), (320, 241)])
def test_an_odd_side_in_a_halved_layout_is_one_line(size: tuple[int, int]) -> None:
    with pytest.raises(CameraError, match=f"{size[0]}x{size[1]}: expected even sides in I420"):
        open_camera(f"{RED.format(*size)},format=I420", BootClock())


@pytest.mark.parametrize(
    ("pipeline", "layout"),
    [
        ("v4l2src ! video/x-raw,format=NV12", "NV12"),
        ("v4l2src ! video/x-raw,width=640,format=(string)I420,framerate=30/1", "I420"),
        ("v4l2src ! video/x-raw,format=NV12 ! videoflip", "BGR"),  # not its last word
        ("v4l2src ! video/x-raw(memory:NVMM),format=NV12", "BGR"),
        ("v4l2src ! video/x-raw,format=NV21", "BGR"),
        ("v4l2src ! video/x-raw,format=NV12_10LE32", "BGR"),
        ("v4l2src", "BGR"),
        ("", "BGR"),
    ],
)
def test_the_last_words_of_a_pipeline_say_its_layout(pipeline: str, layout: str) -> None:
    assert layout_of(pipeline.split()).value == layout


def test_a_moving_picture_moves() -> None:
    camera = open_camera("gst:videotestsrc is-live=true pattern=ball", BootClock())

    first, *_, last = islice(camera.shots(), 8)
    camera.close()

    assert not np.array_equal(first.frame, last.frame)


def test_a_pipeline_is_known_by_its_words() -> None:
    one = open_camera(RED.format(64, 48), BootClock())
    other = open_camera(RED.format(64, 64), BootClock())
    one.close()
    other.close()

    assert one.identity.kind == "pipeline"
    assert one.identity.digest != other.identity.digest


@pytest.mark.parametrize(
    ("pipeline", "driver"),
    [
        ("v4l2src device=/dev/video0", "gstreamer"),
        ("v4l2src", "gstreamer"),
        ("v4l2src ! image/jpeg,width=640 ! decodebin", "gstreamer"),
        ("v4l2src ! tee name=t t. ! queue", "gstreamer"),
        ("v4l2src device=/dev/video7", "loopback"),
        ("v4l2src device = /dev/video7", "loopback"),
        ("v4l2src device-fd=5", "loopback"),
        ("v4l2src device=/dev/video0 device=/dev/video7", "loopback"),
        ("uridecodebin3 uri=file:///street.mp4", "loopback"),
        ("urisourcebin uri=file:///street.mp4 ! decodebin", "loopback"),
        ("playbin3 uri=file:///street.mp4", "loopback"),
        ("v4l2src ! fakesink multifilesrc location=a.png ! pngdec", "loopback"),
        ("v4l2src!fakesink videotestsrc", "loopback"),
        ("nvarguscamerasrc sensor-id=0 ! nvvidconv", "gstreamer"),
        ("videotestsrc", "loopback"),
        ("filesrc location=street.mp4 ! decodebin", "loopback"),
        ("v4l2src ! fakesink videotestsrc", "loopback"),
        ("", "loopback"),
    ],
)
def test_a_made_picture_is_no_camera_whatever_the_record_says(pipeline: str, driver: str) -> None:
    nodes = {"/dev/video0": "uvcvideo"}  # any other is a loopback device
    found = driver_of(pipeline.split(), lambda node: nodes.get(node, "loopback"))
    assert found == driver  # the guard blocks a loopback for good


def test_the_end_of_a_pipeline_is_the_end_of_its_frames() -> None:
    camera = open_camera("gst:videotestsrc num-buffers=3", BootClock())

    assert len(list(camera.shots())) == 3
    camera.close()


def _two(first: tuple[int, int], then: tuple[int, int]) -> str:
    """Three green pictures, then seven red ones."""
    parts = [
        f"videotestsrc num-buffers={count} pattern={colour} ! video/x-raw,width={w},height={h} ! "
        for count, colour, (w, h) in ((3, "green", first), (7, "red", then))
    ]
    return f"gst:{parts[0]}concat name=c {parts[1]}c. c."


def test_frames_of_another_size_end_the_pipeline_and_none_is_cut_out_of_them() -> None:
    camera = open_camera(_two((320, 240), (160, 120)), BootClock())
    shots = list(camera.shots())
    camera.close()

    assert len(shots) <= 3
    assert all(shot.frame[..., 2].max() < 50 for shot in shots)


def test_two_parts_of_one_size_are_one_stream() -> None:
    camera = open_camera(_two((320, 240), (320, 240)), BootClock())
    shots = list(camera.shots())
    camera.close()

    assert len(shots) == 10
    assert shots[-1].frame[..., 2].min() > 200


class Feeder(threading.Thread):
    """A camera on loopback: so many raw grey pictures, then silence with the connection open."""

    SIZE = 64, 48

    def __init__(self, pictures: int) -> None:
        super().__init__(daemon=True)
        self._pictures = pictures
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.quit = threading.Event()
        port = self._listening.getsockname()[1]
        width, height = self.SIZE
        self.source = (
            f"gst:tcpclientsrc host=127.0.0.1 port={port} ! rawvideoparse width={width} "
            f"height={height} format=gray8 framerate=30/1"
        )

    def run(self) -> None:
        connection, _ = self._listening.accept()
        with self._listening, connection:
            width, height = self.SIZE
            with contextlib.suppress(OSError):  # nobody listens any more
                for number in range(self._pictures):
                    connection.sendall(bytes([number % 200 + 1]) * (width * height))
                    time.sleep(0.02)
            self.quit.wait(60)


@pytest.mark.slow
@pytest.mark.parametrize("silent", [True, False])
def test_a_pipeline_that_falls_silent_without_ending_has_ended_within_the_deadline(
    silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.cameras.gstreamer.SILENT_S", 1.0)
    feeder = Feeder(8 if silent else 10_000)
    feeder.start()
    camera = open_camera(feeder.source, BootClock())
    began = time.monotonic()

    shots = list(islice(camera.shots(), 60))
    took_s = time.monotonic() - began
    alive = camera._process.poll() is None  # type: ignore[attr-defined]
    feeder.quit.set()
    camera.close()

    assert alive  # nothing closed: only the deadline tells
    assert len(shots) <= 8 if silent else len(shots) == 60
    assert not silent or took_s < 30


def test_a_pipeline_that_drips_has_ended_within_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each byte comes in time, the frame does not; the twins above deliver."""
    monkeypatch.setattr("edge.cameras.gstreamer.SILENT_S", 0.2)
    read_fd, write_fd = os.pipe()
    dripping = threading.Event()

    def drip() -> None:
        for _ in range(10_000):
            os.write(write_fd, b"x")
            if dripping.wait(0.01):
                return

    camera = object.__new__(PipelineCamera)
    camera._frames_fd, camera.layout, camera.height, camera.width = read_fd, Layout.BGR, 48, 64
    thread = threading.Thread(target=drip)
    thread.start()

    assert camera._read() is None

    assert thread.is_alive()  # it went on
    dripping.set()
    thread.join()
    os.close(read_fd)
    os.close(write_fd)


@pytest.mark.slow
@pytest.mark.parametrize(
    "pipeline",
    ["nosuchelement", "videotestsrc !", "'", "", "audiotestsrc num-buffers=1", "fakesrc"],
)
def test_what_is_no_source_of_video_is_refused_in_one_line(
    pipeline: str,
) -> None:
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(CameraError) as caught:
        open_camera(f"gst:{pipeline}", BootClock(), 6.0)  # one of them runs without video

    assert "\n" not in str(caught.value)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_words_are_no_shell() -> None:
    with pytest.raises(CameraError):
        open_camera("gst:videotestsrc num-buffers=1; touch /tmp/framegate-shell", BootClock())

    assert not os.path.exists("/tmp/framegate-shell")
