"""`VideoCapture` beside OpenCV's on the same clip: the ways in which programs use it.

Each shape is a short program in our own words, after what webcam loops, wrappers and
loaders do. It runs twice, and every call must give the same type and value in the same
order, but for the differences that are listed beside it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import framegate_client
from framegate_client import capture as module
from tests.support.players import Player

FRAMES = 24
SIZE = (48, 64)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of moving squares."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    out = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, SIZE[::-1])
    for i in range(FRAMES):
        frame = np.full((*SIZE, 3), 40, np.uint8)
        frame[8:24, i : i + 16] = (10 * i, 200, 90)
        out.write(frame)
    out.release()
    return path


@pytest.fixture(scope="module")
def frames(clip: Path) -> list[np.ndarray]:
    found, source = [], cv2.VideoCapture(str(clip))
    while (shot := source.read())[0]:
        found.append(shot[1])
    assert len(found) == FRAMES
    return found


class Watched:
    """A capture whose every call is written down: name, arguments, what came."""

    def __init__(self, made: Any, trace: list[tuple[Any, ...]]) -> None:
        self._made, self._trace = made, trace

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._made, name)

        def watched(*arguments: Any) -> Any:
            came = called(*arguments)
            self._trace.append((name, tuple(map(_plain, arguments)), _plain(came)))
            return came

        return watched


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        flags = value.flags
        return (value.shape, str(value.dtype), flags.writeable, flags.c_contiguous, value.tobytes())
    if isinstance(value, tuple):
        return ("tuple", *map(_plain, value))
    return value if value is None else (type(value).__name__, value)


Make = Callable[..., Any]


def loop_until_no_frame(make: Make) -> None:
    camera = make(0)
    while True:
        ok, _frame = camera.read()
        if not ok:
            break
    camera.release()


def loop_while_opened(make: Make) -> None:
    camera = make(0)
    while camera.isOpened():
        ok, _frame = camera.read()
        if not ok:
            break
    camera.release()


def refuse_if_not_opened(make: Make) -> None:
    camera = make(0)
    if not camera.isOpened():
        raise SystemExit("no camera")
    camera.read()
    camera.release()
    camera.isOpened()


def backend_as_second_argument(make: Make) -> None:
    camera = make(0, cv2.CAP_ANY)
    camera.read()


def backend_and_parameters(make: Make) -> None:
    camera = make(0, cv2.CAP_ANY, [])
    camera.read()


def a_fixed_number_of_frames(make: Make) -> None:
    camera = make(0)
    for _ in range(10):
        camera.read()
    camera.release()


def warm_up_then_read(make: Make) -> None:
    camera = make(0)
    for _ in range(5):
        camera.grab()
    camera.read()


def grab_then_retrieve(make: Make) -> None:
    camera = make(0)
    while camera.grab():
        camera.retrieve()


def every_third_frame(make: Make) -> None:
    camera = make(0)
    number = 0
    while camera.grab():
        if number % 3 == 0:
            camera.retrieve()
        number += 1


def retrieve_twice(make: Make) -> None:
    camera = make(0)
    camera.grab()
    camera.retrieve()
    camera.retrieve()


def retrieve_before_grab(make: Make) -> None:
    make(0).retrieve()


def retrieve_a_channel(make: Make) -> None:
    camera = make(0)
    camera.grab()
    camera.retrieve(None, 0)


def read_into_an_array(make: Make) -> None:
    camera = make(0)
    image = np.zeros((*SIZE, 3), np.uint8)
    for _ in range(4):
        _ok, image = camera.read(image)


def read_into_an_array_of_another_size(make: Make) -> None:
    camera = make(0)
    camera.read(np.zeros((10, 10, 3), np.uint8))


def retrieve_into_an_array(make: Make) -> None:
    camera = make(0)
    image = np.zeros((*SIZE, 3), np.uint8)
    camera.grab()
    camera.retrieve(image)


def size_for_a_writer(make: Make) -> None:
    camera = make(0)
    width = int(camera.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = int(camera.get(cv2.CAP_PROP_FRAME_HEIGHT))
    _ok, frame = camera.read()
    assert frame.shape == (height, width, 3)


def size_by_old_numbers(make: Make) -> None:
    camera = make(0)
    camera.get(3)
    camera.get(4)


def rate_for_a_writer(make: Make) -> None:
    camera = make(0)
    camera.get(cv2.CAP_PROP_FPS)
    camera.read()
    camera.get(cv2.CAP_PROP_FPS)


def position_in_frames(make: Make) -> None:
    camera = make(0)
    camera.get(cv2.CAP_PROP_POS_FRAMES)
    for _ in range(3):
        camera.read()
        camera.get(cv2.CAP_PROP_POS_FRAMES)


def position_in_milliseconds(make: Make) -> None:
    camera = make(0)
    for _ in range(3):
        camera.read()
        camera.get(cv2.CAP_PROP_POS_MSEC)


def ask_for_a_smaller_picture(make: Make) -> None:
    camera = make(0)
    camera.set(cv2.CAP_PROP_FRAME_WIDTH, 32)
    camera.set(cv2.CAP_PROP_FRAME_HEIGHT, 24)
    camera.read()


def ask_for_a_rate_and_one_buffer(make: Make) -> None:
    camera = make(0)
    camera.set(cv2.CAP_PROP_FPS, 30)
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    camera.read()


def ask_for_focus_and_exposure(make: Make) -> None:
    camera = make(0)
    camera.set(cv2.CAP_PROP_AUTOFOCUS, 0)
    camera.set(cv2.CAP_PROP_EXPOSURE, -4)
    camera.read()


def properties_nobody_has(make: Make) -> None:
    camera = make(0)
    camera.get(cv2.CAP_PROP_ZOOM)
    camera.get(12345)


def release_twice(make: Make) -> None:
    camera = make(0)
    camera.read()
    camera.release()
    camera.release()
    camera.isOpened()


def read_after_release(make: Make) -> None:
    camera = make(0)
    camera.release()
    camera.read()
    camera.grab()
    camera.retrieve()


def open_again_after_release(make: Make) -> None:
    camera = make(0)
    camera.read()
    camera.release()
    camera.open(0)
    camera.isOpened()
    camera.read()


def open_without_release(make: Make) -> None:
    camera = make(0)
    camera.read()
    camera.open(0)
    camera.read()


def a_second_capture_after_the_first(make: Make) -> None:
    first = make(0)
    first.read()
    first.release()
    second = make(0)
    second.isOpened()
    second.read()
    second.release()


def a_thread_that_keeps_the_newest(make: Make) -> None:
    """As threaded webcam readers do: one thread reads, the other looks and stops it."""
    camera = make(0)
    newest: list[Any] = []

    def keep() -> None:
        ok = True
        while ok:
            ok, frame = camera.read()
            if ok:
                newest.append(frame)

    reader = threading.Thread(target=keep)
    reader.start()
    reader.join(20)
    camera.release()
    assert not reader.is_alive()
    assert len(newest) == FRAMES


def a_generator_of_frames(make: Make) -> None:
    """As frame generators of vision toolkits do, with a stride and an end."""
    camera = make(0)
    assert camera.isOpened()
    for number in range(12):
        if not camera.grab():
            break
        if number % 2 == 0:
            camera.retrieve()
    camera.release()


def a_loader_for_batches(make: Make) -> None:
    """As data sets for training do: length unknown, an item is a float array in CHW order."""
    camera = make(0)
    batch = []
    while len(batch) < 4:
        ok, frame = camera.read()
        assert ok
        batch.append(np.transpose(frame[:, :, ::-1], (2, 0, 1)).astype(np.float32) / 255)
    assert np.stack(batch).shape == (4, 3, *SIZE)


def draw_on_the_frame(make: Make) -> None:
    camera = make(0)
    _ok, frame = camera.read()
    cv2.rectangle(frame, (2, 2), (20, 20), (0, 0, 255), 2)
    camera.read()


def frames_kept_in_a_list_stay_what_they_were(make: Make) -> None:
    camera = make(0)
    kept = [camera.read()[1] for _ in range(5)]
    assert len({frame.tobytes() for frame in kept}) == 5


def resize_and_grey(make: Make) -> None:
    camera = make(0)
    _ok, frame = camera.read()
    small = cv2.resize(frame, (0, 0), fx=0.25, fy=0.25)
    assert cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).shape == (12, 16)


def exceptions_off_is_the_rule(make: Make) -> None:
    camera = make(0)
    camera.getExceptionMode()
    camera.setExceptionMode(False)
    camera.read()


def channels_of_the_picture(make: Make) -> None:
    camera = make(0)
    camera.get(cv2.CAP_PROP_CONVERT_RGB)


FROM_THE_START = [
    loop_until_no_frame,
    loop_while_opened,
    refuse_if_not_opened,
    backend_as_second_argument,
    backend_and_parameters,
    a_fixed_number_of_frames,
    warm_up_then_read,
    grab_then_retrieve,
    every_third_frame,
    retrieve_twice,
    retrieve_before_grab,
    retrieve_a_channel,
    read_into_an_array,
    read_into_an_array_of_another_size,
    retrieve_into_an_array,
    size_for_a_writer,
    size_by_old_numbers,
    rate_for_a_writer,
    position_in_frames,
    position_in_milliseconds,
    ask_for_a_smaller_picture,
    ask_for_a_rate_and_one_buffer,
    ask_for_focus_and_exposure,
    properties_nobody_has,
    release_twice,
    read_after_release,
    a_thread_that_keeps_the_newest,
    a_generator_of_frames,
    a_loader_for_batches,
    draw_on_the_frame,
    frames_kept_in_a_list_stay_what_they_were,
    resize_and_grey,
    exceptions_off_is_the_rule,
    channels_of_the_picture,
]
FROM_THE_NEWEST = [open_again_after_release, open_without_release, a_second_capture_after_the_first]


@contextlib.contextmanager
def playing(
    folder: Path, frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, **how: Any
) -> Iterator[Player]:
    monkeypatch.setattr(module, "_of_environment", None)
    monkeypatch.setattr(module, "_in_use", threading.Lock())
    with Player(folder, frames, **how) as player:
        for name, value in player.environment.items():
            monkeypatch.setenv(name, value)
        try:
            yield player
        finally:
            if module._of_environment is not None:
                module._of_environment.close()


def traced(shape: Callable[[Make], None], made: Callable[..., Any]) -> list[tuple[Any, ...]]:
    trace: list[tuple[Any, ...]] = []
    shape(lambda *arguments: Watched(made(*arguments), trace))
    return trace


def theirs_of(clip: Path) -> Callable[..., Any]:
    """OpenCV's capture, which is given the clip where a program names a camera."""

    class Theirs:
        def __init__(self, _source: Any, *rest: Any) -> None:
            self._made = cv2.VideoCapture(str(clip), *rest)

        def open(self, _source: Any, *rest: Any) -> Any:
            return self._made.open(str(clip), *rest)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._made, name)

    return Theirs


@pytest.mark.parametrize("shape", FROM_THE_START, ids=lambda f: f.__name__)
def test_a_program_written_for_opencv_sees_the_same_calls_types_and_order(
    shape: Callable[[Make], None],
    clip: Path,
    frames: list[np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = traced(shape, theirs_of(clip))
    with playing(tmp_path, frames, monkeypatch) as player:
        ours = traced(shape, player.capture)

    assert ours == theirs
    assert len(ours) >= 1


@pytest.mark.parametrize("shape", FROM_THE_NEWEST, ids=lambda f: f.__name__)
def test_opened_again_it_goes_on_as_a_camera_does(
    shape: Callable[[Make], None],
    clip: Path,
    frames: list[np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clip begins again, a camera goes on: the pictures differ, nothing else may."""
    theirs = traced(shape, theirs_of(clip))
    with playing(tmp_path, frames, monkeypatch, again=True) as player:
        ours = traced(shape, player.capture)

    def kinds(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(kinds, value))
        return "bytes" if isinstance(value, bytes) else value

    assert kinds(tuple(ours)) == kinds(tuple(theirs))


def test_what_differs_from_opencv_is_this_and_no_more(
    clip: Path, frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = cv2.VideoCapture(str(clip))
    with playing(tmp_path, frames, monkeypatch) as player:
        ours = player.capture(0)
        names = {name for name in dir(theirs) if not name.startswith("_")}
        assert names - {name for name in dir(ours) if not name.startswith("_")} == {"waitAny"}

        assert ours.getBackendName() == "FRAMEGATE"
        assert ours.get(cv2.CAP_PROP_FRAME_COUNT) == -1.0  # a camera has none; the clip has
        assert not ours.set(cv2.CAP_PROP_POS_FRAMES, 0)  # a clip can go back
        while theirs.read()[0]:
            assert ours.read()[0]
        assert ours.read() == (False, None)
        assert theirs.isOpened()
        assert not ours.isOpened()  # blocked and over can be told apart


@pytest.mark.parametrize("named", ["/dev/video0", "rtsp://host/stream", "clip.mp4", Path("a.mp4")])
def test_a_device_or_an_address_means_the_guards_camera_and_a_warning_says_so(
    named: str | Path,
    frames: list[np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with playing(tmp_path, frames, monkeypatch) as player:
        with pytest.warns(RuntimeWarning, match="guard's camera") as warned:
            camera = framegate_client.VideoCapture(named)
        player.begin.set()

        assert camera.read()[0]
        assert warned[0].filename == __file__


def test_an_index_is_taken_without_a_word(
    frames: list[np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    with playing(tmp_path, frames, monkeypatch) as player, player.capture(0) as camera:
        assert camera.read()[0]

    assert not recwarn.list


def test_a_second_capture_beside_the_first_is_not_opened_as_with_a_busy_device(
    frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing(tmp_path, frames, monkeypatch) as player:
        first = player.capture(0)
        with pytest.warns(RuntimeWarning, match="another VideoCapture"):
            second = player.capture(1)

        assert not second.isOpened()
        assert second.read() == (False, None)
        assert first.read()[0]


def test_return_gives_no_frame_at_once_and_sees_the_end(
    frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing(tmp_path, frames, monkeypatch, end=False) as player:
        camera = player.capture(0, on_block="return")
        seen = 0
        while seen < FRAMES:
            seen += camera.read()[0]
        assert camera.read() == (False, None)
        assert camera.isOpened()

        player.endpoint.finish("end of stream")
        while camera.isOpened():
            assert camera.read() == (False, None)


def test_release_ends_a_read_that_another_thread_waits_in(
    frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing(tmp_path, frames[:1], monkeypatch, end=False) as player:
        own = player.capture(str(player.path), token="secret", lane="verify_1_1")
        assert own.read()[0]
        came: list[Any] = []
        reader = threading.Thread(target=lambda: came.append(own.read()))
        reader.start()
        time.sleep(0.05)  # most likely it waits by now; either order must end

        own.release()
        reader.join(20)

        assert came == [(False, None)]


def test_the_rate_is_measured_where_the_camera_does_not_say(
    frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing(tmp_path, frames, monkeypatch, rate_hz=0.0) as player:
        camera = player.capture(0)
        assert camera.get(cv2.CAP_PROP_FPS) == 0.0
        camera.read()
        camera.read()
        assert camera.get(cv2.CAP_PROP_FPS) == 25.0


def test_with_exceptions_on_the_end_raises(
    frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing(tmp_path, frames, monkeypatch) as player:
        camera = player.capture(0)
        camera.setExceptionMode(True)
        for _ in range(FRAMES):
            assert camera.read()[0]
        with pytest.raises(framegate_client.MatcherError, match="stream is over"):
            camera.read()


def test_without_a_guard_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMEGATE_SOCKET", raising=False)
    monkeypatch.delenv("FRAMEGATE_FD", raising=False)
    monkeypatch.setattr(module, "_of_environment", None)
    monkeypatch.setattr(module, "_in_use", threading.Lock())

    with pytest.raises(framegate_client.UsageError, match="start the matcher through the guard"):
        framegate_client.VideoCapture(0)
    assert not module._in_use.locked()
