"""A GStreamer pipeline as a camera, tested with GStreamer's own test pictures."""

from __future__ import annotations

import os
import shutil
from itertools import islice

import numpy as np
import pytest

from edge.cameras.gstreamer import driver_of, layout_of
from edge.cameras.live import open_camera
from edge.clock import BootClock
from edge.errors import CameraError

pytestmark = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed"
)
RED = "gst:videotestsrc is-live=true pattern=red ! video/x-raw,width={},height={},framerate=30/1"


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


@pytest.mark.parametrize(
    "pipeline",
    ["nosuchelement", "videotestsrc !", "'", "", "audiotestsrc num-buffers=1", "fakesrc"],
)
def test_what_is_no_source_of_video_is_refused_in_one_line(pipeline: str) -> None:
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(CameraError) as caught:
        open_camera(f"gst:{pipeline}", BootClock())

    assert "\n" not in str(caught.value)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_words_are_no_shell() -> None:
    with pytest.raises(CameraError):
        open_camera("gst:videotestsrc num-buffers=1; touch /tmp/framegate-shell", BootClock())

    assert not os.path.exists("/tmp/framegate-shell")
