"""Cameras: frames with the time of their capture, from files, in real time, and from streams."""

from __future__ import annotations

import itertools
import mmap
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras import live
from edge.cameras.identity import Dating
from edge.cameras.live import DeviceCamera, StreamCamera, open_camera
from edge.cameras.opencv import SILENT_S, FileCamera, PacedCamera
from edge.cameras.pictures import JpegReader
from edge.cameras.v4l2 import v4l2_identity
from edge.clock import MS, BootClock, S
from edge.commissioning.records import Identity
from edge.errors import CameraError
from tests.support import render


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("camera")
    return render.write_clip(folder / "room.avi", render.lived_in(render.room(), 20))


def test_a_file_has_its_own_times_from_zero(recording: Path) -> None:
    camera = FileCamera(recording)

    times = [shot.captured_ns for shot in camera.shots()]

    assert times[0] == 0
    assert len(times) == 20
    assert times == sorted(set(times))
    assert abs(times[-1] - 19 * S // 30) < 2 * MS


@pytest.mark.slow
def test_a_variable_rate_file_keeps_its_uneven_times(clip: Callable[[str], Path]) -> None:
    times = [shot.captured_ns for shot in FileCamera(clip("face_noface.mov")).shots()]
    steps = {round((b - a) / MS) for a, b in itertools.pairwise(times)}

    assert len(times) == 169
    assert len(steps) > 1


def test_two_files_stand_in_for_the_same_camera_but_are_told_apart(
    recording: Path, tmp_path: Path
) -> None:
    other = render.write_clip(tmp_path / "other.avi", render.lived_in(render.room(), 3))

    one, two = FileCamera(recording).identity, FileCamera(other).identity

    assert one.digest == two.digest
    assert one.sha256 != two.sha256


@pytest.mark.slow
def test_a_paced_file_plays_in_real_time(recording: Path) -> None:
    clock = BootClock()
    camera = PacedCamera(recording, clock)

    late = [clock.now_ns() - shot.captured_ns for shot in camera.shots()]

    assert min(late) >= 0  # never before its time
    assert len(late) + camera.dropped == 20


@pytest.mark.slow
def test_a_paced_file_drops_what_comes_too_late_instead_of_queueing_it(recording: Path) -> None:
    camera = PacedCamera(recording, BootClock())

    seen = 0
    for shot in camera.shots():
        seen += 1
        if seen == 2:
            time.sleep(0.4)  # the process stood still
        assert shot.frame.shape == (480, 640, 3)

    assert camera.dropped > 0
    assert seen + camera.dropped == 20


class _Stream(BaseHTTPRequestHandler):
    """A network camera: Motion JPEG over HTTP, as many frames as the server says."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for frame in render.lived_in(render.room(), 15):
            _, jpeg = cv2.imencode(".jpg", frame)
            part = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg.tobytes() + b"\r\n"
            try:
                self.wfile.write(part)
            except OSError:
                return
            time.sleep(0.01)

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def stream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://user:secret@127.0.0.1:{server.server_address[1]}/live.mjpg"
    server.shutdown()
    server.server_close()


def test_a_network_stream_delivers_until_it_ends_and_never_shows_its_password(stream: str) -> None:
    clock = BootClock()
    camera = open_camera(stream, clock)

    shots = list(camera.shots())
    camera.close()

    assert isinstance(camera, StreamCamera)
    assert isinstance(camera._reader, JpegReader), "its packets are decoded one by one"
    assert camera.dating is Dating.ARRIVAL
    assert len(shots) > 5
    assert all(a.captured_ns < b.captured_ns for a, b in itertools.pairwise(shots))
    assert "secret" not in repr(camera.identity)


def test_a_stream_that_says_nothing_has_half_of_the_start_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[int] = []

    def refuse(target: str, backend: int, expected: str, limits: tuple[int, ...]) -> None:
        opened.append(limits[limits.index(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC) + 1])
        raise CameraError(expected)

    monkeypatch.setattr(live, "open_capture", refuse)
    for limit_s in (30.0, 120.0):
        with pytest.raises(CameraError):
            open_camera("rtsp://192.0.2.1/cam", BootClock(), limit_s)

    assert opened == [15_000, 60_000]


@pytest.mark.parametrize("scheme", ["file", "async:file", "concat", "cache:http"])
def test_a_recording_by_address_is_no_network_camera(scheme: str, recording: Path) -> None:
    with pytest.raises(CameraError, match="recording by its path"):
        open_camera(f"{scheme}://{recording}", BootClock())


def test_a_device_is_known_by_its_number_whatever_its_node_is_called(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.symlink_to("/dev/null")  # number 1:3
    for name, device in (("class/video4linux/null", "usb1"), ("dev/char/1:3", "usb2")):
        folder = tmp_path / "sys" / name
        driver = tmp_path / "sys" / device / "uvcvideo"
        driver.mkdir(parents=True)
        (tmp_path / "sys" / device / "driver").symlink_to(driver)
        folder.mkdir(parents=True)
        (folder / "name").write_text("A camera\n")
        (folder / "device").symlink_to(tmp_path / "sys" / device)

    found = v4l2_identity(str(node), tmp_path / "sys")
    (tmp_path / "sys" / "dev" / "char" / "1:3" / "device").unlink()
    other = v4l2_identity(str(node), tmp_path / "sys")

    assert (found.driver, found.card, found.bus) == ("uvcvideo", "A camera", "usb2")
    assert other.driver == "loopback"


@pytest.mark.parametrize(
    ("other", "known"),
    [
        (("uvcvideo", "A camera", "1-1:1.0"), True),
        (("uvcvideo", "Another camera", "1-1:1.0"), False),
        (("uvcvideo", "A camera", "1-2:1.0"), False),  # the same model, plugged in elsewhere
        (("v4l2 loopback", "A camera", ""), False),
    ],
    ids=["itself", "model", "place", "loopback"],
)
def test_a_device_that_took_another_ones_node_is_another_camera(
    tmp_path: Path, other: tuple[str, str, str], known: bool
) -> None:
    """Unplugged and plugged in again: the node keeps its name and number, sysfs tells the rest."""
    node = tmp_path / "video0"
    node.symlink_to("/dev/null")

    def plug_in(driver: str, card: str, bus: str) -> None:
        shutil.rmtree(tmp_path / "sys", ignore_errors=True)
        entry = tmp_path / "sys" / "dev" / "char" / "1:3"
        entry.mkdir(parents=True)
        (entry / "name").write_text(f"{card}\n")
        if bus:  # a loopback device hangs on nothing
            (tmp_path / "sys" / bus).mkdir()
            (tmp_path / "sys" / driver).mkdir()
            (tmp_path / "sys" / bus / "driver").symlink_to(tmp_path / "sys" / driver)
            (entry / "device").symlink_to(tmp_path / "sys" / bus)

    plug_in("uvcvideo", "A camera", "1-1:1.0")
    enrolled = v4l2_identity(str(node), tmp_path / "sys")
    plug_in(*other)
    found = v4l2_identity(str(node), tmp_path / "sys")

    assert (found.digest == enrolled.digest) is known
    pinned = Identity(enrolled.driver, enrolled.card, enrolled.bus)
    assert pinned.names(found) is known


@pytest.mark.parametrize("source", ["/dev/video99", "77", "http://127.0.0.1:9/none"])
def test_a_camera_that_is_not_there_is_named(source: str) -> None:
    with pytest.raises(CameraError, match=source.rpartition("/")[2].rpartition(":")[2]):
        open_camera(source, BootClock())


class StandIn:
    """OpenCV's capture of a V4L2 device that says nothing more after some frames."""

    def __init__(self, frames: int) -> None:
        self.left, self.waited_s = frames + 3, 0.0  # the first ones are looked at

    def grab(self) -> bool:
        if self.left == 0:  # select() on the device, for as long as OpenCV was told
            self.waited_s = float(os.environ["OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"])
            return False
        self.left -= 1
        return True

    def retrieve(self, room: np.ndarray | None = None) -> tuple[bool, np.ndarray | None]:
        return True, np.zeros((48, 64, 3), np.uint8)

    def read(self, room: np.ndarray | None = None) -> tuple[bool, np.ndarray | None]:
        return self.retrieve() if self.grab() else (False, None)

    def get(self, _property: int) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME) * 1000

    def release(self) -> None:
        pass


def test_a_device_that_falls_silent_ends_after_the_stated_time_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = StandIn(4)
    monkeypatch.setattr("edge.cameras.live.open_capture", lambda *_: device)
    camera = DeviceCamera("/dev/null", BootClock())

    shots = list(camera.shots())

    assert len(shots) >= 4
    assert camera.dating is Dating.SOURCE
    assert device.waited_s == SILENT_S  # the twin is the frames before


class Refusing(StandIn):
    """A node whose driver refuses to start; OpenCV calls that found, without a picture."""

    released = False

    def grab(self) -> bool:
        return False

    def retrieve(self) -> tuple[bool, None]:
        return True, None

    def release(self) -> None:
        self.released = True


def test_a_device_that_refuses_to_start_is_refused_in_words_and_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Refusing(4)
    monkeypatch.setattr("edge.cameras.live.open_capture", lambda *_: device)

    with pytest.raises(CameraError, match="opens but delivers no frame"):
        DeviceCamera("/dev/null", BootClock())

    assert device.released


def test_this_opencv_knows_the_variable_that_bounds_a_silent_device() -> None:
    library = next(Path(cv2.__file__).parent.glob("cv2*.so"))

    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        assert data.find(b"OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT") > 0
        assert data.find(b"OPENCV_VIDEOIO_V4L_NO_SUCH_TIMEOUT") < 0
