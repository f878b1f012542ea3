"""Message sockets between the guard's own processes.

Every channel is SOCK_SEQPACKET: the kernel keeps order and message bounds. No call here
waits: a full or an empty queue is a normal result. The process that must act on a lost
message counts it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import sys
from typing import TypeVar

from edge.errors import GuardError, wrong_in
from edge.wire import from_json

T = TypeVar("T")

EXHAUSTED = 3  # the exit code of a process that ran out of memory
UNRECORDED = 4  # of a decider whose log did not take its last entry
MAX_MESSAGE = 64 * 1024
SHORT_MESSAGE = 2 * 1024  # enough between capture, gate and decider; costs less to receive


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected, non-blocking ends."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.setblocking(False)
    other.setblocking(False)
    return one, other


def attach(fd: int) -> socket.socket:
    """The channel behind an inherited descriptor, non-blocking.

    Raises:
        GuardError: `PEER_UNKNOWN`: neither this process nor its parent made it, so
            somebody else may hold its other end.
    """
    channel = socket.socket(fileno=fd)
    maker = peer_of(channel)[0]
    if maker not in (os.getpid(), os.getppid()):
        raise GuardError(f"PEER_UNKNOWN: expected a channel of the guard, got one of pid {maker}")
    channel.setblocking(False)
    return channel


def send(channel: socket.socket, data: bytes) -> bool:
    """Send one message if that is possible at once; False if not or if the peer is gone."""
    try:
        channel.send(data)
    except OSError:
        return False
    return True


def tell(channel: socket.socket, data: bytes) -> None:
    """Send one message that must arrive, at a start.

    Raises:
        PeerGone: it did not; the other end has gone away or takes nothing.
    """
    with wrong_in("", OSError, as_=PeerGone):
        channel.send(data)


def await_word(channel: socket.socket, size: int = MAX_MESSAGE) -> bytes:
    """The next message of a blocking channel, waited for until its timeout.

    Raises:
        PeerGone: the other end has gone away.
        TimeoutError: nothing came in time.
    """
    try:
        data = channel.recv(size)
    except TimeoutError:
        raise
    except OSError as err:
        raise PeerGone(str(err)) from err
    if not data:
        raise PeerGone("end of stream")
    return data


class PeerGone(Exception):
    """The other end of a channel has gone away."""


def receive(channel: socket.socket, size: int = MAX_MESSAGE) -> bytes | None:
    """The next message, cut to `size` bytes, or None if there is none now.

    Raises:
        PeerGone: the other end has gone away.
    """
    try:
        data = channel.recv(size)
    except BlockingIOError:
        return None
    except (
        ConnectionResetError
    ):  # reported once: the peer left without reading all; its last messages remain
        return receive(channel, size)
    except OSError as err:
        raise PeerGone(str(err)) from err
    if not data:
        raise PeerGone("end of stream")
    return data


def drain(channel: socket.socket, limit: int = 256, size: int = MAX_MESSAGE) -> list[bytes]:
    """Up to `limit` waiting messages; see `receive`. The last words of a peer come first."""
    messages: list[bytes] = []
    while len(messages) < limit:
        try:
            data = receive(channel, size)
        except PeerGone:
            if not messages:
                raise
            break  # the next call says so
        if data is None:
            break
        messages.append(data)
    return messages


def peer_of(channel: socket.socket) -> tuple[int, int, int]:
    """(pid, uid, gid) of the process at the other end, as the kernel saw it connect.

    Of a pair it is the process that made both ends.
    """
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", raw)
    return pid, uid, gid


def hide_memory() -> None:
    """Leave no core file and let no other process of this user read this one's memory."""
    ctypes.CDLL(None, use_errno=True).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def die_with_parent(how: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel end this process when its parent ends (PR_SET_PDEATHSIG); hide its memory.

    With another signal than SIGKILL it may clean up first; its handler must end it.
    """
    parent = os.getppid()
    hide_memory()
    ctypes.CDLL(None, use_errno=True).prctl(1, how, 0, 0, 0)
    if os.getppid() != parent:  # it ended in between
        os._exit(1)


def await_order(kind: type[T]) -> T:
    """The settings that the parent hands over on standard input.

    Where it goes, or ends the start, before it hands any over, this process ends too.
    """
    text = sys.stdin.read()
    if not text:
        sys.exit(0)
    return from_json(kind, text)
