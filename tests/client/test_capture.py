"""`VideoCapture` beside OpenCV's on the same clip: the ways in which programs use it.

Each program of `tests.support.capture_programs` runs twice, and every call must give the same
type and value in the same order, but for the differences that are listed beside it.
"""

from __future__ import annotations

import contextlib
import re
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
from tests.support.capture_programs import (
    FRAMES,
    FROM_THE_NEWEST,
    FROM_THE_START,
    SIZE,
    Make,
    Watched,
)
from tests.support.players import Player


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


def test_the_page_counts_the_programs_and_lists_what_differs() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "integrate.md").read_text()

    assert f"plays {len(FROM_THE_START + FROM_THE_NEWEST)} shapes of programs" in page
    rows = ("waitAny", "getBackendName", "FRAME_COUNT", "POS_FRAMES", "isOpened", "open")
    assert all(re.search(rf"^\| `.*{row}.*\|.*\|", page, flags=re.M) for row in rows)


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
