"""One matcher's connection to the guard: released frames come in, reports go out.

    for frame in connect():            # ndarray with .captured_ns, .epoch, .sequence
        ...
    async for frame in connect():      # the same under asyncio
        ...

If the guard starts the matcher, token and lane are in the environment
(FRAMEGATE_TOKEN, FRAMEGATE_LANE), and with them the path of the guard's socket
(FRAMEGATE_SOCKET) or, inside the sandbox, the number of a connected one
(FRAMEGATE_FD), which serves one connection.
"""

from __future__ import annotations

import array
import asyncio
import ctypes
import json
import os
import select
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from enum import Enum
from types import TracebackType
from typing import Any

import numpy as np

from framegate_client.errors import MatcherError, UsageError
from framegate_client.results import encode, result_of
from framegate_client.ring import RingReader
from framegate_client.state import OVER, WAITING, State, placeholder, state_of

VERSION = 2
LANES = (
    "verify_1_1",
    "identify_1_n",
    "reidentify",
    "redact_selective",
    "detect",
    "detect_drowsiness",
    "detect_event",
    "infer_attribute",
    "infer_emotion",
    "read_plate",
    "redact",
    "social_score",
    "transcribe_audio",
    "export",
    "view_masked",
)
_ANSWER_S = 5.0  # how long the guard may take to admit
_ROOM_S = 1.0  # how long the guard may take to read waiting reports
_MAX_WORD = 16 * 1024  # bytes of one message of the guard's
_PR_SET_DUMPABLE = 4


class Frame(np.ndarray):
    """A released frame, uint8, read-only: BGR (H, W, 3) or grey (H, W); see `Connection.read`."""

    captured_ns: int  # CLOCK_BOOTTIME nanoseconds
    epoch: int  # of the lease it was released under
    sequence: int  # rises by one per released frame; a gap means that this side was too slow

    def __array_finalize__(self, source: Any) -> None:
        self.captured_ns = getattr(source, "captured_ns", 0)
        self.epoch = getattr(source, "epoch", 0)
        self.sequence = getattr(source, "sequence", 0)


class Connection:
    """One admitted matcher. Threads may share it: one reads at a time, anyone may close."""

    def __init__(self, path: str | int, token: str, lane: str | Enum) -> None:
        """Connect and be admitted; `path` may be the descriptor of a connected socket.

        Args:
            lane: what the matcher does, one of `LANES`.

        Raises:
            UsageError: `lane` is not a lane.
            MatcherError: no guard there, or it refused (the message has its code).
        """
        name = lane.value if isinstance(lane, Enum) else lane
        if name not in LANES:
            raise UsageError(f"lane {name!r} is not known; allowed: {', '.join(LANES)}")
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # frames stay in this process
        try:
            self._channel = _channel(path)
        except OSError as err:
            raise MatcherError(f"{path}: expected a guard there: {err}") from err
        answer, fds = self._admitted(path, {"v": VERSION, "token": token, "lane": name})
        self.lane: str = name
        self.height, self.width = int(answer["height"]), int(answer["width"])
        self.channels = int(answer["channels"])  # 3, or 1 where the record releases grey
        self.rate_hz = float(answer.get("rate_hz", 0.0))  # the camera's value; 0: unknown
        self.ring = RingReader(fds[0])
        self._wake = fds[1]
        os.close(fds[0])
        self.ring.skip_to_newest()
        self._channel.setblocking(False)
        self._close_read, self._close_write = os.pipe()  # `close` uses it to wake `read`
        self._poll = select.poll()
        for fd in (self._wake, self._channel.fileno(), self._close_read):
            self._poll.register(fd, select.POLLIN)
        self._reading = threading.RLock()
        self._closed = False
        self.ended = False  # nothing more will come, and everything that came has been read
        self._over = False  # the guard reported the end of the stream
        self._state = WAITING
        self.on_state: Callable[[State], object] | None = None  # called on change, by the reader

    def _admitted(
        self, path: str | int, hello: dict[str, Any]
    ) -> tuple[dict[str, Any], Sequence[int]]:
        try:
            self._channel.send(json.dumps(hello).encode())
            self._channel.settimeout(_ANSWER_S)
            data, rights, _, _ = self._channel.recvmsg(512, socket.CMSG_SPACE(8))
        except OSError as err:
            self._channel.close()
            raise MatcherError(f"{path}: expected a guard there: {err}") from err
        answer: dict[str, Any] = json.loads(data) if data else {"ok": False, "code": "no answer"}
        if not answer["ok"]:
            self._channel.close()
            raise MatcherError(f"{path}: the guard refused this matcher: {answer['code']}")
        return answer, array.array("i", rights[0][2])

    def read(self, timeout_s: float | None = None, *, copy: bool = True) -> Frame | None:
        """The next released frame; None when the stream is over or after the timeout.

        `ended` distinguishes the two. Without a timeout it waits without limit. The
        frame is the matcher's own copy. Without `copy` it is a view into the ring, which
        saves the copy: the guard overwrites it after as many more frames as the ring has
        slots (eight, fewer for very large frames), and zeroes it on revoke. Call
        `intact` after use, and discard the result if it returns False.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._reading:
            return self._next(deadline, copy)

    def _next(self, deadline: float | None, copy: bool) -> Frame | None:
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
                wait_s = 0.0  # a caller that never waits must notice the end, too
            self._wait(wait_s)
            asked = True
        return None

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """Wait for the next released frame; disconnects when the stream is over."""
        frame = self.read()
        if frame is None:
            self.close()
            raise StopIteration
        return frame

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        """As `__next__`, for asyncio: other tasks run while no frame is released."""
        while True:
            frame = self.read(0.0)
            if frame is not None:
                return frame
            if self._closed or self.ended:
                self.close()
                raise StopAsyncIteration
            await self._readable()

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        fds = (self._wake, self._channel.fileno(), self._close_read)
        for fd in fds:
            loop.add_reader(fd, ready.set)
        try:
            await ready.wait()
        finally:
            for fd in fds:
                loop.remove_reader(fd)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def state(self) -> State:
        """Whether frames are released, and if not, why not and what to do: codes and plain text."""
        if self._reading.acquire(blocking=False):  # otherwise the reading thread takes the messages
            try:
                while not self._closed and not self._over and self._receive():
                    pass
            finally:
                self._reading.release()
        return self._state

    def placeholder(self) -> np.ndarray:
        """A picture of the released size with the reasons why no frame is released; see `state`."""
        return placeholder(self.state, self.height, self.width, self.channels)

    def intact(self, frame: Frame) -> bool:
        """Whether a frame read without `copy` is still complete and permitted now."""
        return self.ring.intact(frame.sequence)

    def compared(self, reference: str) -> None:
        """Report that the face was compared with this reference; of no effect once the guard ended.

        Args:
            reference: digest of the enrolled person, 64 hexadecimal digits.
        """
        self._say({"compared": reference})

    def gallery(self, people: Sequence[str]) -> None:
        """Report whom every face is compared with, again after each change; at most 480 digests."""
        self._say({"gallery": list(people)})

    def result(self, found: Mapping[str, Any]) -> None:
        """Hand a result to the guard, which sends it to the address in `[matcher] results`.

        Args:
            found: `{"subject": DIGEST or None, "score": 0.93, "comparisons": 1}`; the permitted
                values depend on the lane, see `framegate_client.results`. About one result a
                second passes; the guard counts and drops the others. One that is still on its
                way when the guard ends is dropped, too.

        Raises:
            UsageError: a field is missing, unknown, or not what the lane allows.
            MatcherError: the guard takes none.
        """
        self._send(encode(result_of(self.lane, found)))

    def _say(self, report: dict[str, Any]) -> None:
        self._send(json.dumps(report).encode())

    def _send(self, data: bytes) -> None:
        """Send one report.

        The guard may end while the matcher works on a frame. That is no error of the matcher's:
        the next `read` says that the stream is over.

        Raises:
            MatcherError: the guard is there and takes none.
        """
        try:
            try:
                self._channel.send(data)
            except BlockingIOError:  # the guard reads one message in each turn
                select.select([], [self._channel], [], _ROOM_S)
                self._channel.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return
        except OSError as err:
            raise MatcherError(f"the guard takes no report: {err}") from err

    def close(self) -> None:
        """Disconnect; the guard releases nothing more to this matcher. Later calls do nothing."""
        if self._closed:
            return
        self._closed = True
        os.write(self._close_write, b".")
        with self._reading:
            if self._close_read < 0:
                return
            self._channel.close()
            for fd in (self._wake, self._close_read, self._close_write):
                os.close(fd)
            self._close_read = -1
            self.ended = True

    def _wait(self, wait_s: float | None) -> None:
        for fd, _ in self._poll.poll(None if wait_s is None else min(wait_s * 1000, 1e9)):
            if fd == self._wake:
                os.read(fd, 8)
            elif fd == self._channel.fileno():
                self._receive()

    def _receive(self) -> bool:
        """Take one message of the guard's; False if there is none. Its silence for good is one."""
        try:
            found = json.loads(self._channel.recv(_MAX_WORD) or b"{}")
        except BlockingIOError:
            return False
        except (OSError, ValueError):
            found = {}
        state = state_of(found["state"]) if isinstance(found, dict) and "state" in found else OVER
        self._over = self._over or state.over
        if state != self._state:
            self._state = state
            if self.on_state is not None:
                self.on_state(state)
        return True


def connect(
    path: str | None = None, token: str | None = None, lane: str | Enum | None = None
) -> Connection:
    """A connection to the guard, which iterates over released frames until the stream ends.

    It also takes the matcher's reports: `compared(reference)` for each comparison,
    `gallery(people)` before the first frame of a lane that searches.

    Args:
        path, token, lane: default to the environment that the guard sets.

    Raises:
        UsageError, MatcherError: as `Connection`.
    """
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
