"""The matcher's side: frames as they are released, or a drop-in for OpenCV's capture.

    for frame in connect(path, token, "verify_1_1"):   # ndarray with .captured_ns, .epoch
        ...

    capture = VideoCapture()                            # in place of cv2.VideoCapture(0)
    ok, frame = capture.read()

Where the guard starts the matcher, token and lane come in the environment
(FRAMEGATE_TOKEN, FRAMEGATE_LANE), and with them the path of the guard's socket
(FRAMEGATE_SOCKET) or, inside the sandbox, the number of a connected one
(FRAMEGATE_FD), which serves one connection.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.errors import MatcherError, UsageError
from edge.frames.matcher_endpoint import VERSION
from edge.frames.ring import RingReader
from edge.ipc import hide_memory
from edge.lease import Lane


class Frame(np.ndarray):
    """A released frame, uint8, read-only: BGR (H, W, 3) or grey (H, W); see `Connection.read`."""

    captured_ns: int  # CLOCK_BOOTTIME nanoseconds
    epoch: int  # of the lease it was released under
    sequence: int  # rises by one per released frame; a gap means frames this side was too slow for

    def __array_finalize__(self, source: Any) -> None:
        self.captured_ns = getattr(source, "captured_ns", 0)
        self.epoch = getattr(source, "epoch", 0)
        self.sequence = getattr(source, "sequence", 0)


class Connection:
    """One admitted matcher."""

    def __init__(self, path: str | int, token: str, lane: str | Lane) -> None:
        """Connect and be admitted; `path` may be the descriptor of a connected socket.

        Raises:
            UsageError: `lane` is not a lane.
            MatcherError: no guard there, or it refused (the message has its code).
        """
        name = lane.value if isinstance(lane, Lane) else lane
        if name not in {member.value for member in Lane}:
            raise UsageError(
                f"lane {name!r} is not known; allowed: {', '.join(member.value for member in Lane)}"
            )
        hide_memory()
        try:
            self._channel = _channel(path)
        except OSError as err:
            raise MatcherError(f"{path}: expected a guard there: {err}") from err
        try:
            self._channel.send(json.dumps({"v": VERSION, "token": token, "lane": name}).encode())
            self._channel.settimeout(5.0)
            data, rights, _, _ = self._channel.recvmsg(512, socket.CMSG_SPACE(8))
        except OSError as err:
            self._channel.close()
            raise MatcherError(f"{path}: expected a guard there: {err}") from err
        answer: dict[str, Any] = json.loads(data) if data else {"ok": False, "code": "no answer"}
        if not answer["ok"]:
            self._channel.close()
            raise MatcherError(f"{path}: the guard refused this matcher: {answer['code']}")
        fds = array.array("i", rights[0][2])
        self.height, self.width = int(answer["height"]), int(answer["width"])
        self.channels = int(answer["channels"])  # 3, or 1 where the record releases grey
        self.ring = RingReader(fds[0])
        self._wake = fds[1]
        os.close(fds[0])
        self.ring.skip_to_newest()
        self._channel.setblocking(False)
        self._poll = select.poll()
        for fd in (self._wake, self._channel.fileno()):
            self._poll.register(fd, select.POLLIN)
        self._closed = False
        self.ended = False  # nothing more will come, and everything that came has been read
        self._over = False  # the guard said that nothing more will come

    def read(self, timeout_s: float | None = None, *, copy: bool = True) -> Frame | None:
        """The next released frame; None when the stream is over or the time has passed.

        `ended` tells the two apart. Without a timeout it waits for as long as it takes.
        The frame is the matcher's own copy. Without `copy` it is read where it lies,
        which saves that copy: the guard overwrites it after as many more frames as the
        ring has slots (eight, fewer for very large frames), and zeroes it on revoke. Ask
        `intact` when done with it, and drop the result if the answer is no.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        asked = False
        while not self._closed:
            found = self.ring.next(copy=copy)
            if found is not None:
                slot, pixels = found
                frame = pixels.view(Frame)
                frame.captured_ns = slot.captured_ns
                frame.epoch = slot.epoch
                frame.sequence = slot.sequence
                frame.flags.writeable = False
                return frame
            if self._over:
                self.ended = True
                return None
            wait_s = None if deadline is None else deadline - time.monotonic()
            if wait_s is not None and wait_s <= 0:
                if asked:
                    return None
                wait_s = 0.0  # whoever never waits must hear of the end as well
            self._wait(wait_s)
            asked = True
        return None

    def __iter__(self) -> Connection:
        return self

    def __next__(self) -> Frame:
        """The next released frame, waited for; leaves the guard when the stream is over."""
        frame = self.read()
        if frame is None:
            self.close()
            raise StopIteration
        return frame

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def intact(self, frame: Frame) -> bool:
        """Whether a frame read without `copy` was still whole and permitted just now."""
        return self.ring.intact(frame.sequence)

    def compared(self, reference: str) -> None:
        """Report that the face was compared with this reference.

        Args:
            reference: digest of the enrolled person, 64 hexadecimal digits.
        """
        self._say({"compared": reference})

    def gallery(self, people: Sequence[str]) -> None:
        """Report whom every face is compared with, again after each change; at most 480 digests."""
        self._say({"gallery": list(people)})

    def _say(self, report: dict[str, Any]) -> None:
        try:
            self._channel.send(json.dumps(report).encode())
        except OSError as err:
            raise MatcherError(f"the guard takes no report: {err}") from err

    def close(self) -> None:
        """Leave, once; the guard releases nothing more to this matcher."""
        if self._closed:
            return
        self._channel.close()
        os.close(self._wake)
        self.ended = self._closed = True

    def _wait(self, wait_s: float | None) -> None:
        for fd, _ in self._poll.poll(None if wait_s is None else min(wait_s * 1000, 1e9)):
            if fd == self._wake:
                os.eventfd_read(fd)
                continue
            with contextlib.suppress(OSError):  # the guard is gone: that ends the stream as well
                self._channel.recv(512)
            self._over = True


def connect(
    path: str | None = None, token: str | None = None, lane: str | Lane | None = None
) -> Connection:
    """A connection to the guard, over which one iterates: released frames until the stream ends.

    It also takes the matcher's reports: `compared(reference)` for each comparison,
    `gallery(people)` before the first frame of a lane that searches.

    Args:
        path, token, lane: default to the environment that the guard sets.

    Raises:
        UsageError, MatcherError: as `Connection`.
    """
    return open_connection(path, token, lane)


def open_connection(
    path: str | None = None, token: str | None = None, lane: str | Lane | None = None
) -> Connection:
    """A `Connection`; what is not given comes from the environment."""
    where: str | int | None = path
    if where is None and (number := os.environ.pop("FRAMEGATE_FD", "")).isdigit():
        where = int(number)
    return Connection(
        _environment("FRAMEGATE_SOCKET") if where is None else where,
        token or _environment("FRAMEGATE_TOKEN"),
        lane or _environment("FRAMEGATE_LANE"),
    )


def _channel(where: str | int) -> socket.socket:
    if isinstance(where, int):
        return socket.socket(fileno=where)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.connect(where)
    except OSError:
        channel.close()
        raise
    return channel


def _environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UsageError(f"{name} is not set: start the matcher through the guard, or pass it")
    return value


class VideoCapture:
    """`cv2.VideoCapture` for a matcher behind the guard: only released frames come out."""

    def __init__(
        self,
        source: int | str | None = None,
        *,
        token: str | None = None,
        lane: str | Lane | None = None,
        on_block: str = "wait",
        timeout_s: float | None = None,
    ) -> None:
        """Connect to the guard.

        Args:
            source: path of the guard's socket. A camera index is accepted so that a call
                can stay as it is; the guard has one camera, and the environment names it.
            on_block: "wait" for the next released frame, or "return" (False, None) at once.
            timeout_s: how long `read` waits at most; None for as long as it takes.

        Raises:
            UsageError, MatcherError: as `Connection`.
        """
        if on_block not in ("wait", "return"):
            raise UsageError(f"on_block {on_block!r} is not known; allowed: wait, return")
        path = source if isinstance(source, str) else None
        self._connection: Connection | None = open_connection(path, token, lane)
        self._timeout_s = 0.0 if on_block == "return" else timeout_s

    def read(self) -> tuple[bool, np.ndarray | None]:
        """(True, frame), or (False, None) at the end of the stream or of the timeout.

        A frame is BGR, shape (H, W, 3); grey, shape (H, W), where the device record says so.
        """
        if self._connection is None:
            return False, None
        frame = self._connection.read(self._timeout_s)
        if frame is None:
            return False, None
        picture = frame.view(np.ndarray)
        picture.flags.writeable = True  # as OpenCV's are; it is this side's own copy
        return True, picture

    def compared(self, reference: str) -> None:
        """Report a comparison; see `Connection.compared`."""
        self._connected().compared(reference)

    def gallery(self, people: Sequence[str]) -> None:
        """Report whom every face is compared with; see `Connection.gallery`."""
        self._connected().gallery(people)

    def _connected(self) -> Connection:
        if self._connection is None:
            raise MatcherError("this capture was released: no report can be made over it")
        return self._connection

    def isOpened(self) -> bool:
        return self._connection is not None and not self._connection.ended

    def get(self, prop: int) -> float:
        """CAP_PROP_FRAME_WIDTH (3) and CAP_PROP_FRAME_HEIGHT (4); 0.0 for anything else."""
        if self._connection is None:
            return 0.0
        return float({3: self._connection.width, 4: self._connection.height}.get(prop, 0))

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> VideoCapture:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
