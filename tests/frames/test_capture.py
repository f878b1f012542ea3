"""The capture process: frames go into the pool, written there by the camera where it can."""

from __future__ import annotations

import socket
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import ipc
from edge.cameras.identity import CameraIdentity, Dating
from edge.cameras.lag import MEASURE_NS
from edge.cameras.layout import Layout
from edge.cameras.opencv import FileCamera, Shot
from edge.clock import MS, BootClock, S
from edge.errors import CameraError
from edge.frames import capture, lifecycle
from edge.frames.capture import Deliverer, pass_on
from edge.frames.messages import Captured, End, Freed, SourceEnd, decode, encode
from edge.frames.pool import Pool
from edge.frames.settings import CaptureSettings, PoolSize

HEIGHT, WIDTH = 48, 64
PICTURE = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


class Line:
    """A deliverer and the gate's end of its channel."""

    def __init__(self, slots: int = 4, layout: Layout = Layout.BGR) -> None:
        whole = Pool.create(HEIGHT * WIDTH * 3)
        self.pool = Pool(whole.fd, PoolSize(slots, whole.size.slot_bytes), layout)
        mine, self.gate = ipc.pair()
        self.deliverer = Deliverer(mine, self.pool, HEIGHT, WIDTH, layout)

    def heard(self) -> list[Captured]:
        found = [decode(data) for data in ipc.drain(self.gate)]
        return [message for message in found if isinstance(message, Captured)]

    def picture(self, reported: Captured) -> np.ndarray:
        return self.pool.frame(reported.slot, reported.height, reported.width)


@pytest.fixture
def line() -> Line:
    return Line()


def test_a_frame_written_where_it_was_asked_for_is_delivered_as_it_lies(line):
    place = line.deliverer.room()
    place[:] = PICTURE
    line.deliverer.deliver(Shot(place, 7))

    (reported,) = line.heard()

    assert (reported.captured_ns, reported.height, reported.width) == (7, HEIGHT, WIDTH)
    assert (line.picture(reported) == PICTURE).all()


def test_a_frame_from_elsewhere_is_copied_in(line):
    line.deliverer.deliver(Shot(PICTURE, 7))

    (reported,) = line.heard()

    assert (reported.height, reported.width) == (HEIGHT, WIDTH)
    assert (line.picture(reported) == PICTURE).all()


@pytest.mark.parametrize("layout", [Layout.NV12, Layout.I420])
def test_a_frame_of_another_layout_is_copied_as_it_comes(layout):
    line = Line(layout=layout)
    picture = np.arange(HEIGHT * WIDTH * 3 // 2, dtype=np.uint8).reshape(-1, WIDTH)
    line.deliverer.deliver(Shot(picture, 7))

    (reported,) = line.heard()

    assert (reported.height, reported.width) == (HEIGHT, WIDTH)
    assert (line.picture(reported) == picture).all()


@pytest.mark.parametrize(
    ("layout", "frame", "size"),
    [
        (Layout.BGR, np.zeros((40, 32, 3), np.uint8), (40, 32)),
        (Layout.BGR, np.zeros((480, 640, 3), np.uint8), (480, 640)),
        (Layout.BGR, np.zeros((HEIGHT, WIDTH), np.uint8), (0, 0)),
        (Layout.BGR, np.zeros((HEIGHT, WIDTH, 4), np.uint8), (0, 0)),
        (Layout.BGR, np.zeros((HEIGHT, WIDTH, 3), np.float32), (0, 0)),
        (Layout.NV12, PICTURE, (0, 0)),
        (Layout.NV12, np.zeros((HEIGHT, WIDTH), np.uint8), (32, WIDTH)),  # Y without chroma
        (Layout.I420, np.zeros((HEIGHT * 3 // 2, WIDTH + 64), np.uint8), (HEIGHT, WIDTH + 64)),
        (Layout.I420, np.zeros((HEIGHT * 3 // 2 + 1, WIDTH), np.uint8), (0, 0)),
        (Layout.I420, np.zeros((HEIGHT * 3 // 2, WIDTH - 1), np.uint8), (0, 0)),
    ],
)
def test_a_frame_unlike_the_cameras_is_told_to_the_gate_and_never_written(layout, frame, size):
    line = Line(layout=layout)
    place = line.deliverer.room()
    place.fill(7)
    line.deliverer.deliver(Shot(frame, 7))

    (reported,) = line.heard()

    assert (reported.height, reported.width) == size != (HEIGHT, WIDTH)
    assert (place == 7).all()


def test_a_slot_in_the_gates_hands_is_never_written_to(line):
    for i in range(line.pool.size.slots):
        line.deliverer.deliver(Shot(PICTURE, i))
    slots = [reported.slot for reported in line.heard()]

    assert sorted(slots) == list(range(line.pool.size.slots))
    assert line.deliverer.room() is None
    line.deliverer.deliver(Shot(PICTURE, 99))
    assert line.deliverer.dropped == 1
    assert line.heard() == []

    ipc.send(line.gate, encode(Freed(slots[1])))
    line.deliverer.deliver(Shot(PICTURE, 100))

    assert [(reported.slot, reported.sequence) for reported in line.heard()] == [
        (slots[1], line.pool.size.slots + 1)
    ]


def test_a_frame_that_the_gate_does_not_take_is_counted_and_its_slot_used_again(line):
    line.gate.close()
    place = line.deliverer.room()

    with pytest.raises(ipc.PeerGone):
        line.deliverer.deliver(Shot(place, 1))

    assert line.deliverer.dropped == 1
    assert line.deliverer.room() is place


def test_a_file_is_decoded_into_the_pool(line, tmp_path: Path):
    path = str(tmp_path / "grey.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 30, (WIDTH, HEIGHT))
    for level in (40, 80, 120):
        writer.write(np.full((HEIGHT, WIDTH, 3), level, np.uint8))
    writer.release()

    in_place = []
    for shot in FileCamera(Path(path)).shots(line.deliverer.room):
        in_place.append(shot.frame is line.deliverer.room())
        line.deliverer.deliver(shot)

    levels = [round(float(line.picture(reported).mean())) for reported in line.heard()]
    assert in_place == [False, False, True]  # two were read to learn size and times
    assert levels == pytest.approx([40, 80, 120], abs=3)


BEFORE = 4 * (MEASURE_NS // 4 // (33 * MS) + 1)  # frames that come while the lag is measured


class Stream:
    """A network camera whose frames have times of its own; `late_ms` is each one's lag."""

    def __init__(self, late_ms: list[int]) -> None:
        self._late_ms = [*late_ms[:1] * BEFORE, *late_ms]

    def shots(self, room=None, wanted=None):
        for i, late_ms in enumerate(self._late_ms):
            stream_ns = i * 33 * MS
            yield Shot(PICTURE, S + stream_ns + late_ms * MS, stream_ns)


def test_a_frame_that_lags_by_more_than_is_accepted_is_not_delivered_and_the_guard_is_told(line):
    pass_on(Stream([40, 45, 700, 40]), line.deliverer, max_lag_ns=500 * MS)

    heard = [decode(data) for data in ipc.drain(line.gate)]

    assert [type(message) for message in heard] == [Captured, Captured, SourceEnd, Captured]
    assert heard[2].end is End.LAGGING


@pytest.mark.parametrize("max_lag_ns", [0, 800 * MS], ids=["dates its frames", "within"])
def test_frames_within_the_accepted_lag_are_delivered(line, max_lag_ns):
    taken = []
    line.deliverer.deliver = lambda shot: taken.append(shot.captured_ns)

    assert pass_on(Stream([40, 45, 700, 40]), line.deliverer, max_lag_ns)

    assert len(taken) == (4 if max_lag_ns else BEFORE + 4)


def test_what_waited_in_a_buffer_at_the_start_is_not_delivered(line):
    """A second's worth comes at once, a second late; the guard is opened meanwhile."""
    backlog = [max(40, 1000 - 33 * i) for i in range(BEFORE)]
    stream = Stream([])
    stream._late_ms = [*backlog, *[40] * BEFORE]
    taken = []
    line.deliverer.deliver = lambda shot: taken.append(shot.stream_ns)

    pass_on(stream, line.deliverer, max_lag_ns=500 * MS)

    assert taken
    assert all(ns >= len(backlog) * 30 * MS for ns in taken)


@pytest.mark.parametrize("stays", [False, True])
def test_a_parent_that_leaves_without_reading_is_the_end_and_no_error_of_the_sockets(stays):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(b"a greeting that is never read")
        if stays:
            theirs.send(lifecycle.encode(lifecycle.Go()))
            assert capture._next_message(ours) == lifecycle.Go()
            return
        theirs.close()

        with pytest.raises(ipc.PeerGone):
            capture._next_message(ours)


class Unplugged:
    """A camera that gives two frames, and is then silent for too long."""

    dating, layout, height, width = Dating.SOURCE, Layout.BGR, HEIGHT, WIDTH

    def __init__(self, bus: str = "usb1", frames: int = 2) -> None:
        self.identity = CameraIdentity("v4l2", "uvcvideo", "A camera", bus)
        self.frames = frames
        self.is_open = True

    def shots(self, room=None, wanted=None):
        for i in range(self.frames):
            yield Shot(PICTURE, S + i)

    def close(self) -> None:
        self.is_open = False


class Enough(Exception):
    """The test has seen what it wanted."""


@pytest.mark.parametrize("comes_back_after", [1, 7])
def test_a_camera_that_fell_silent_is_opened_again_with_growing_pauses(
    line, monkeypatch, comes_back_after
):
    """Another one in its place is closed again: it is not the camera."""
    first, other, same = Unplugged(), Unplugged("usb2"), Unplugged(frames=1)
    paused, beaten = [], []
    found = [*[CameraError("gone")] * (comes_back_after - 1), other, same]

    limits = set()
    settings = CaptureSettings("0", 0, 0, 0, 0, 0, start_limit_s=120.0)

    def opened(_source, _clock, limit_s):
        limits.add(limit_s)
        one = found.pop(0) if found else CameraError("gone")
        if not found and len(paused) > comes_back_after + 1:
            raise Enough
        if isinstance(one, CameraError):
            raise one
        return one

    monkeypatch.setattr(capture, "open_camera", opened)
    monkeypatch.setattr(capture.time, "sleep", paused.append)
    with pytest.raises(Enough):
        parent, _ = socket.socketpair()
        capture._deliver(
            first, settings, line.deliverer, BootClock(), parent, lambda: beaten.append(1)
        )

    assert limits == {120.0}
    assert len(beaten) == first.frames + same.frames, "one beat a frame"

    heard = [type(decode(data)) for data in ipc.drain(line.gate)]
    assert heard == [Captured, Captured, SourceEnd, Captured, SourceEnd]
    expected = ([0.5, 1.0, 2.0] + [5.0] * 9)[: comes_back_after + 1]
    assert paused[: len(expected)] == expected
    assert paused[len(expected)] == 0.5  # it delivered: the pauses begin again
    assert not first.is_open and not other.is_open and not same.is_open
