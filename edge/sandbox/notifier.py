"""The notifier: receives a sandboxed matcher's escape attempts, refuses and reports them.

The sandbox hands over the listener of its seccomp filter. A thread waits at it, because
the kernel's read may wait; it answers every attempt with EPERM, and an open of anything
but a camera with *go on*, so that Landlock and the file's rights decide. Nothing is
allowed here that they refuse. Signals go on only to the matcher's own processes, so
that it can end a child.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import re
import select
import socket
import struct
import threading
from collections.abc import Collection

from edge.attempts import BY_CALL, Attempt
from edge.sandbox import seccomp

_RECEIVE, _ANSWER, _STILL_VALID = 0xC0502100, 0xC0182101, 0x40082102  # SECCOMP_IOCTL_NOTIF_*
_NOTICE = struct.Struct("QIIiIQ6Q")  # id, thread, flags; call: number, machine, where, arguments
_REPLY = struct.Struct("QqiI")  # id, value, error, flags
_GO_ON = 1
_CAMERA = re.compile(r"/dev/(video|media|v4l-subdev)[0-9]+|/dev/v4l/.*")
_MAX_PATH = 4096
QUIET_SOCKETS = 16  # a matcher's whole life; libraries at import ask for one to three
_FAMILIES = {2: "IPv4", 10: "IPv6", 16: "netlink", 17: "raw packets", 31: "Bluetooth", 40: "vsock"}


class SeccompNotifier(threading.Thread):
    """Waits for one matcher's attempts; `fd` becomes readable at the first."""

    def __init__(self, channel: socket.socket, given: Collection[str] = ()) -> None:
        """`channel` is where the sandbox sends its listener; closed by the notifier.

        `given`: nodes that the matcher may open although they are named as cameras are.
        """
        super().__init__(daemon=True, name="seccomp-notifier")
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.attempt = ""  # what was tried first, in words
        self.kind: Attempt | None = None  # the same, as the log has it
        self._asked = 0  # sockets that the matcher asked for and did not get
        self._channel = channel
        self._given = frozenset(given)
        self._machine = seccomp.MACHINES.get(platform.machine())

    def run(self) -> None:
        """Until the matcher and all that came from it have ended."""
        with self._channel:
            _, fds, _, _ = socket.recv_fds(self._channel, 1, 1)
        if not fds:
            return  # the sandbox did not start the matcher, or has no listener to give
        listener = fds[0]
        try:
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            while not any(event & select.POLLHUP for _, event in poll.poll()):
                self._answer(listener)
        finally:
            os.close(listener)

    def close(self) -> None:
        """Once the matcher has ended."""
        self.join(1.0)
        os.close(self.fd)

    def _answer(self, listener: int) -> None:
        notice = bytearray(_NOTICE.size)
        with contextlib.suppress(FileNotFoundError):  # its thread is gone meanwhile
            fcntl.ioctl(listener, _RECEIVE, notice)
            number, thread, _, call, _, _, *arguments = _NOTICE.unpack(notice)
            what = self._judge(listener, number, thread, call, arguments)
            name = self._call_name(call)
            if what:
                self._tell(what, BY_CALL.get(name, Attempt.CAMERA))
            error = errno.EPERM if what else 0
            if name == "socket":  # refused as where there is no network
                error = errno.EAFNOSUPPORT
            elif name == "kill" and not _of_its_group(thread, arguments[0]):
                error = errno.EPERM
            reply = _REPLY.pack(number, 0, -error, 0 if error else _GO_ON)
            fcntl.ioctl(listener, _ANSWER, bytearray(reply))

    def _judge(self, listener: int, number: int, thread: int, call: int, args: list[int]) -> str:
        """What was tried, in words; empty for a file that is no camera."""
        assert self._machine is not None
        opens = seccomp.opens(self._machine)
        if call in opens:
            path = _path(thread, args[opens[call]])
            fcntl.ioctl(listener, _STILL_VALID, struct.pack("Q", number))  # it was that thread's
            camera = _CAMERA.fullmatch(path) and path not in self._given
            return f"open {path}" if camera else ""
        name = self._call_name(call)
        match name:
            case "socket":
                return self._socket(args[0] & 0xFFFFFFFF)
            case "kill":
                return ""
        return {"sendto": "sendto an address", "clone": "a new namespace"}.get(name, name)

    def _socket(self, family: int) -> str:
        """What one more socket amounts to, in words; empty for a library's look.

        Libraries ask for one at import to see what the machine has (urllib3 for IPv6,
        GLib for netlink) and go without. A program that goes on asking wants out.
        """
        self._asked += 1
        if self._asked <= QUIET_SOCKETS:
            return ""
        name = _FAMILIES.get(family, f"family {family}")
        return f"socket of {name}, {self._asked} sockets asked for"

    def _call_name(self, call: int) -> str:
        """The call by name; empty for one that no attempt is of."""
        assert self._machine is not None
        known = {**self._machine.judged, **self._machine.reported}
        return next((name for name, number in known.items() if number == call), "")

    def _tell(self, what: str, kind: Attempt) -> None:
        if not self.attempt:
            self.attempt, self.kind = what, kind
            os.eventfd_write(self.fd, 1)


def _of_its_group(thread: int, target: int) -> bool:
    """Whether a signal to `target` stays among the matcher's processes, which cannot leave it."""
    pid = target & 0xFFFFFFFF
    try:
        return pid < 1 << 31 and os.getpgid(pid or thread) == os.getpgid(thread)
    except ProcessLookupError:
        return False


def _path(thread: int, address: int) -> str:
    """The file a thread names at `address`; empty where it cannot be read."""
    try:
        with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            text = memory.read(_MAX_PATH)  # as much of it as is mapped
        name = os.fsdecode(text.partition(b"\0")[0])
        return os.path.realpath(os.path.join(os.readlink(f"/proc/{thread}/cwd"), name))
    except (OSError, OverflowError, ValueError):
        return ""
