"""`VideoCapture`: it replaces OpenCV's class for a matcher behind the guard.

It has every method of `cv2.VideoCapture` that programs call, with the same types and
order. The differences, and the reasons:

- A camera index, a device path or a URL means "the guard's camera"; there is no other.
- `read` waits for the next *released* frame, however long that takes; see `on_block`.
- `set` is refused in OpenCV's way, with False: the guard owns the camera.
- `isOpened` is False once the stream has ended, so that blocked and over can be told apart.
- If no guard runs, the constructor raises an error; in OpenCV only `isOpened` would be False.
"""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from framegate_client.connection import Connection, connect
from framegate_client.errors import GuardError, MatcherError, UsageError
from framegate_client.state import OVER, State

BACKEND = "FRAMEGATE"
_POS_MSEC, _POS_FRAMES, _WIDTH, _HEIGHT, _FPS = 0, 1, 3, 4, 5
_CONVERT_RGB, _BUFFERSIZE = 16, 38
_UNKNOWN = -1.0  # OpenCV's value for a property that its backend does not have
_ON_BLOCK = ("wait", "return", "placeholder")

_MOMENT_S = 0.1  # between placeholders

_of_environment: Connection | None = None  # the connection that the guard gave this process
_in_use = threading.Lock()  # held by the capture that reads from it


class VideoCapture:
    """`cv2.VideoCapture` for a matcher behind the guard: only released frames come out."""

    def __init__(
        self,
        source: int | str | os.PathLike[str] | None = None,
        apiPreference: int = 0,
        params: Sequence[int] = (),
        *,
        token: str | None = None,
        lane: str | Enum | None = None,
        on_block: str = "wait",
        timeout_s: float | None = None,
    ) -> None:
        """Connect to the guard.

        Args:
            source: path of the guard's socket. A camera index, a device path or a URL is
                accepted so that a call can stay as it is; the guard has one camera, and the
                environment names it.
            apiPreference, params: OpenCV's, not needed.
            on_block: "wait" for the next released frame, "return" (False, None) at once, or give
                after a moment a "placeholder", a picture that says in words why nothing comes.
            timeout_s: how long `read` waits at most; None for as long as it takes.

        Raises:
            UsageError, MatcherError: as `Connection`.
        """
        if on_block not in _ON_BLOCK:
            raise UsageError(f"on_block {on_block!r} is not known; allowed: {', '.join(_ON_BLOCK)}")
        self._token, self._lane = token, lane
        self._fills = on_block == "placeholder"
        self._timeout_s = {"return": 0.0, "placeholder": _MOMENT_S}.get(on_block, timeout_s)
        self._calls = threading.RLock()
        self._connection: Connection | None = None
        self._mine = False  # True: this capture owns the connection; False: the process does
        self._raises = False
        self._grabbed: np.ndarray | None = None
        self._first_ns = self._last_ns = self._before_ns = 0
        self._read = 0
        self._connect(source)

    # opening and closing

    def open(
        self,
        source: int | str | os.PathLike[str] = 0,
        apiPreference: int = 0,
        params: Sequence[int] = (),
    ) -> bool:
        """Release the connection and begin again with the newest frame; False if no guard runs."""
        self.release()
        try:
            self._connect(source)
        except GuardError as err:
            if self._raises:
                raise
            warnings.warn(str(err), RuntimeWarning, stacklevel=2)
        return self.isOpened()

    def isOpened(self) -> bool:
        """Whether frames may still come; False after `release` and at the end of the stream."""
        connection = self._connection
        return connection is not None and not connection.ended

    def release(self) -> None:
        """Stop reading. The process keeps the guard's connection for a later `open`."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._mine:
            connection.close()
        else:
            _in_use.release()
        with self._calls:
            self._grabbed = None

    def __enter__(self) -> VideoCapture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self.release()

    def _connect(self, source: int | str | os.PathLike[str] | None) -> None:
        path = self._socket(source)
        self._grabbed = None
        self._first_ns = self._last_ns = self._before_ns = self._read = 0
        if path is not None or self._token is not None:
            self._mine = True
            self._connection = connect(path, self._token, self._lane)
            return
        if not _in_use.acquire(blocking=False):
            warnings.warn(
                "the guard's camera is read by another VideoCapture of this process: this one is "
                "not opened",
                RuntimeWarning,
                stacklevel=3,
            )
            return
        try:
            self._mine = False
            self._connection = _environments(self._lane)
        except BaseException:
            _in_use.release()
            raise

    def _socket(self, source: int | str | os.PathLike[str] | None) -> str | None:
        """The path of the guard's socket if `source` is one; a warning if it is no camera index."""
        if source is None or isinstance(source, int):
            return None
        named = os.fspath(source)
        if self._token is not None or _is_socket(named):
            return named
        warnings.warn(
            "VideoCapture reads the guard's camera, whatever device, file or address is named",
            RuntimeWarning,
            stacklevel=4,
        )
        return None

    # frames

    def read(self, image: np.ndarray | None = None) -> tuple[bool, np.ndarray | None]:
        """(True, frame), or (False, None) at the end of the stream or of the timeout.

        A frame is BGR, shape (H, W, 3); grey, shape (H, W), where the device record says so.
        If `image` has the frame's shape, the frame is written into it and `image` is returned.
        """
        with self._calls:
            return self.retrieve(image) if self.grab() else (False, None)

    def grab(self) -> bool:
        """Take the next released frame, which `retrieve` then returns; False as `read`."""
        with self._calls:
            connection = self._connection
            frame = None if connection is None else connection.read(self._timeout_s)
            self._grabbed = frame
            if frame is None and self._fills and connection is not None and not connection.ended:
                self._grabbed = connection.placeholder()
                return True
            if frame is None:
                if self._raises:
                    raise MatcherError(
                        "no frame was grabbed: the stream is over, blocked or released"
                    )
                return False
            self._read += 1
            if self._read == 1:
                self._first_ns = frame.captured_ns
            self._before_ns, self._last_ns = self._last_ns, frame.captured_ns
            return True

    def retrieve(
        self, image: np.ndarray | None = None, flag: int = 0
    ) -> tuple[bool, np.ndarray | None]:
        """The frame that was grabbed last, at every call; (False, None) if there is none."""
        with self._calls:
            frame = self._grabbed
            if frame is None:
                return False, None
            if image is not None and image.shape == frame.shape and image.dtype == frame.dtype:
                np.copyto(image, frame)
                return True, image
            return True, np.array(frame, subok=False)

    # properties

    def get(self, propId: int) -> float:
        """Size, frames a second and position of released frames; -1.0 for all other properties.

        `CAP_PROP_FPS` is the camera's value, or is measured from the last frames. The position
        counts the frames read here; its time is their capture time. A live camera has no frame
        count. A capture that is not opened gives 0.0.
        """
        connection = self._connection
        if connection is None:
            return 0.0
        if propId == _FPS:
            return connection.rate_hz or self._measured_hz()
        known: dict[int, float] = {
            _POS_MSEC: (self._last_ns - self._first_ns) / 1e6,
            _POS_FRAMES: self._read,
            _WIDTH: connection.width,
            _HEIGHT: connection.height,
            _CONVERT_RGB: connection.channels == 3,
            _BUFFERSIZE: connection.ring.slots,
        }
        return float(known.get(propId, _UNKNOWN))

    def _measured_hz(self) -> float:
        between_ns = self._last_ns - self._before_ns
        return round(1e9 / between_ns, 2) if self._read > 1 and between_ns > 0 else 0.0

    def set(self, propId: int, value: float) -> bool:
        """Always False: the guard owns the camera, and a matcher cannot set its properties."""
        return False

    def getBackendName(self) -> str:
        return BACKEND

    def getExceptionMode(self) -> bool:
        return self._raises

    def setExceptionMode(self, enable: bool) -> None:
        """Whether a `grab`, `read` or `open` that fails raises instead of giving False."""
        self._raises = bool(enable)

    # state and reports

    @property
    def state(self) -> State:
        """Whether frames are released, and if not, why not; see `Connection.state`."""
        return OVER if self._connection is None else self._connection.state

    def result(self, found: Mapping[str, Any]) -> None:
        """Hand a result to the guard; see `Connection.result`."""
        self.connection.result(found)

    def compared(self, reference: str) -> None:
        """Report a comparison; see `Connection.compared`."""
        self.connection.compared(reference)

    def gallery(self, people: Sequence[str]) -> None:
        """Report whom every face is compared with; see `Connection.gallery`."""
        self.connection.gallery(people)

    @property
    def connection(self) -> Connection:
        """The connection that delivers the frames.

        Raises:
            MatcherError: this capture was released.
        """
        if self._connection is None:
            raise MatcherError(
                "this VideoCapture was released, so it cannot send reports; make a new one"
            )
        return self._connection


def _environments(lane: str | Enum | None) -> Connection:
    """The process's one connection, made at the first call, from its newest frame on."""
    global _of_environment
    if _of_environment is None or _of_environment.ended:
        _of_environment = connect(None, None, lane)
    else:
        _of_environment.ring.skip_to_newest()
    return _of_environment


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False
