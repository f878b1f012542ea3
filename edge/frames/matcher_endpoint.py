"""The matcher endpoint: one connection, admitted by token, lane and peer, and the ring behind it.

A token admits one connection. It cannot be used again, even after the matcher has ended.

A matcher connects to a SOCK_SEQPACKET socket and sends one JSON hello
`{"v": 2, "token": ..., "lane": ...}`. Admitted, it gets
`{"ok": true, "height": ..., "width": ..., "channels": 3, "rate_hz": ...}` (1 channel:
grey; 0 Hz: the camera does not say) with two descriptors, the ring (read-only) and an
eventfd that counts published frames. Refused, it gets
`{"ok": false, "code": ...}`. Admitted, it may report whom it compares, by
digests of 64 hexadecimal digits: `{"compared": DIGEST}` or `{"gallery": [DIGEST, ...]}`.
Results, `{"result": {...}}`, are checked, counted and handed on; one that may not pass is
counted and dropped. Anything else it ever sends ends the connection. So does silence for a
second before the hello, except on a connection that the guard itself made for a matcher
in a sandbox, which may take its time to load.
The guard sends `{"end": ...}` when no more frames will come, and to a matcher of version 2
`{"state": {...}}` whenever it changes why frames come or not. Nothing waits.
"""

from __future__ import annotations

import array
import contextlib
import hmac
import json
import os
import re
import socket
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.clock import S
from edge.errors import MatcherError, UsageError
from edge.frames.messages import Compared
from edge.frames.ring import Ring
from edge.ipc import peer_of
from edge.lease import Lane
from edge.reasons import Reason
from edge.sandbox.results import ResultQuota
from framegate_client.results import MAX_BYTES, Result

if TYPE_CHECKING:  # a matcher imports this module, and does without OpenCV
    from edge.frames.shaper import Shaper
    from edge.masking.mask import Mask

VERSIONS = (1, 2)
_HEARS_STATES = 2  # from this version on
MAX_HELLO = 512
MAX_STRANGERS = 8  # that have not sent their hello yet
MAX_REPORT = 32 * 1024  # a gallery of some 480 people
_DIGEST = re.compile("[0-9a-f]{64}")
HELLO_NS = 1 * S  # a stranger's time to say it
FOREVER_NS = 1 << 62

_NO_REPORT = "expected a report of compared, gallery or result"


class MatcherEndpoint:
    """Admits at most one matcher at a time and releases frames to it."""

    def __init__(
        self,
        listener: socket.socket,
        ring: Ring,
        *,
        token: str,
        lane: Lane,
        uid: int,
        shaper: Shaper,
        rate_hz: float = 0.0,
    ) -> None:
        """`uid` is the user id that the matcher must have; `shaper` makes what it gets.

        Args:
            rate_hz: frames a second as the camera says; 0 if it does not.
        """
        listener.setblocking(False)
        self._listener = listener
        self._ring = ring
        self._token: str | None = token  # None: spent
        self._lane = lane
        self._uid = uid
        self._shaper = shaper
        self._rate_hz = rate_hz
        self._staged = np.zeros(0, np.uint8)  # where the released form was written
        self._matcher: socket.socket | None = None
        self._wake = -1
        self._strangers: dict[socket.socket, int] = {}  # and when its hello is due
        self.reports: list[Compared] = []  # by the matcher; the reader removes them
        self.results: list[Result] = []  # and these
        self.complaint = ""  # why the newest result was refused, until it is taken away
        self.broke_off = False  # it was no report: the matcher was shown out for it
        self.quota = ResultQuota(lane.value)
        self._version = 0  # that the matcher speaks
        self._state = b""  # what it is to know of the stream
        self._state_due = False

    @property
    def listening(self) -> bool:
        return self._matcher is not None

    def fds(self) -> list[int]:
        """Descriptors whose readiness means that `serve` has work."""
        sockets = [*self._strangers]
        if len(sockets) < MAX_STRANGERS:  # else no matcher can connect, and the poll would not wait
            sockets.append(self._listener)
        if self._matcher is not None:
            sockets.append(self._matcher)
        return [s.fileno() for s in sockets]

    def overdue(self, now_ns: int) -> bool:
        """Whether `serve` has work although nothing is ready: a stranger has been silent."""
        return bool(self._strangers) and now_ns >= min(self._strangers.values())

    def serve(self, now_ns: int) -> None:
        """Accept, greet or refuse waiting clients; drop a matcher that has disconnected."""
        with contextlib.suppress(BlockingIOError):
            while len(self._strangers) < MAX_STRANGERS:
                stranger, _ = self._listener.accept()
                stranger.setblocking(False)
                ours = peer_of(stranger)[0] == os.getppid()
                self._strangers[stranger] = FOREVER_NS if ours else now_ns + HELLO_NS
        for stranger, due_ns in list(self._strangers.items()):
            hello = _read(stranger)
            if hello is None and now_ns < due_ns:
                continue
            del self._strangers[stranger]
            if hello:
                self.greet(stranger, hello)
            else:
                stranger.close()
        if self._matcher is not None and (data := _read(self._matcher, MAX_REPORT)) is not None:
            if data and (report := _report(data)) is not None:
                self._take(report, now_ns)
            else:
                if data:
                    self.quota.refused += 1
                    self.complaint, self.broke_off = _NO_REPORT, True
                self._drop()
        self.tell_state()

    def _take(self, report: Compared | dict[str, Any], now_ns: int) -> None:
        if isinstance(report, Compared):
            self.reports.append(report)
            self.quota.know(report.references)
        else:
            try:
                self.results.append(self.quota.take(report["result"], now_ns))
            except UsageError as err:
                self.complaint = str(err)

    def tell(self, state: dict[str, Any]) -> None:
        """What the matcher is to know of the stream from now on; the newest is never lost."""
        self._state = json.dumps({"state": state}).encode()
        self._state_due = True
        self.tell_state()

    def tell_state(self) -> None:
        """Send what `tell` was given if the matcher has not got it yet."""
        if self._state_due and self._matcher is not None:
            self._state_due = False
            if self._version >= _HEARS_STATES and self._state:
                try:
                    self._matcher.send(self._state)
                except BlockingIOError:
                    self._state_due = True  # it does not read now; sent when it does
                except OSError:
                    return  # it is gone, which is found when it is read from

    def greet(self, stranger: socket.socket, hello: bytes) -> None:
        """Admit or refuse the sender of `hello`."""
        try:
            self._admit(stranger, hello)
        except MatcherError as err:
            with contextlib.suppress(OSError):
                stranger.send(json.dumps({"ok": False, "code": str(err)}).encode())
            stranger.close()

    def stage(self, frame: np.ndarray, mask: Mask) -> int:
        slot, self._staged = self._ring.place(self._shaper.shape)
        self._shaper.write(frame, self._staged, mask)
        return slot

    def publish(self, slot: int, frame: np.ndarray, captured_ns: int, epoch: int) -> int:
        sequence = self._ring.publish(slot, self._staged, captured_ns, epoch)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._wake, 1)
        return sequence

    def wipe(self) -> None:
        self._ring.wipe()

    def renew(self, token: str) -> None:
        """The next matcher shows this token."""
        self._token = token

    def show_out(self) -> None:
        """End the matcher's connection."""
        if self._matcher is not None:
            self._drop()

    def finish(self, why: str) -> None:
        """Tell the matcher that nothing more will come."""
        if self._matcher is not None:
            with contextlib.suppress(OSError):
                self._matcher.send(json.dumps({"end": why}).encode())

    def _admit(self, stranger: socket.socket, hello: bytes) -> None:
        try:
            fields = json.loads(hello)
            version, shown, lane = fields["v"], fields["token"], fields["lane"]
            token = shown.encode()  # JSON may carry a lone surrogate, which is no text
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
            raise MatcherError(Reason.MATCHER_PROTOCOL.value) from err
        if version not in VERSIONS or isinstance(version, bool) or not isinstance(lane, str):
            raise MatcherError(Reason.MATCHER_PROTOCOL.value)
        _, uid, _ = peer_of(stranger)
        due = self._token
        known = due is not None and hmac.compare_digest(token, due.encode())
        if uid != self._uid or not known or self._matcher is not None:
            raise MatcherError(Reason.PEER_UNKNOWN.value)
        if lane != self._lane.value:
            raise MatcherError(Reason.LANE_MISMATCH.value)
        self._ring.wipe()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        ring_fd = self._ring.read_only_fd()
        height, width, *colours = self._shaper.shape
        fields = {
            "ok": True,
            "height": height,
            "width": width,
            "channels": 3 if colours else 1,
            "rate_hz": self._rate_hz,
        }
        answer = json.dumps(fields).encode()
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [ring_fd, self._wake]))
        try:
            stranger.sendmsg([answer], [rights])
        except OSError as err:
            os.close(self._wake)
            raise MatcherError(Reason.MATCHER_LOST.value) from err
        finally:
            os.close(ring_fd)
        self._matcher = stranger
        self._version, self._state_due = version, True
        self._token = None

    def _drop(self) -> None:
        assert self._matcher is not None
        self._matcher.close()
        self._matcher = None
        os.close(self._wake)
        self._ring.wipe()


def _report(data: bytes) -> Compared | dict[str, Any] | None:
    """The matcher's report; a dict is a result, still unchecked; None if it is no report."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    match found:
        case {"compared": str(reference), **rest} if not rest and _DIGEST.fullmatch(reference):
            return Compared(False, (bytes.fromhex(reference),))
        case {"gallery": [*people], **rest} if not rest and all(
            isinstance(person, str) and _DIGEST.fullmatch(person) for person in people
        ):
            return Compared(True, tuple(bytes.fromhex(person) for person in people))
        case {"result": _, **rest} if not rest:
            return found if len(data) <= MAX_BYTES else {"result": None}
    return None


def _read(channel: socket.socket, most: int = MAX_HELLO) -> bytes | None:
    """One waiting message, b"" if the peer is gone or oversteps, None if there is none.

    Descriptors that come along are refused: none is ever taken in.
    """
    try:
        data, rights, flags, _ = channel.recvmsg(most, socket.CMSG_SPACE(16 * 4))
    except BlockingIOError:
        return None
    except OSError:
        return b""
    for _level, _kind, payload in rights:
        for fd in array.array("i", payload[: len(payload) // 4 * 4]):
            os.close(fd)
    if rights or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        return b""
    return data
