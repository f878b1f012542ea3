"""Short programs in the ways in which others use a capture.

After webcam loops, wrappers and loaders, in our own words.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

FRAMES = 24


SIZE = (48, 64)


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
