"""Heartbeats: one shared page in which each process writes when it last ran.

The bridge shortens every board lease by the age of the oldest heartbeat, so
stopping any one process drops the interlock. A slot is one aligned 64-bit
store; a time well in the future or a slot never written counts as silent. Two more
slots say since when the decider has been waiting for its models, and until when it
needs few pictures.
All times are nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import time
from collections.abc import Sequence
from enum import Enum

from edge.clock import MS, Clock, S

BEAT_NS = 40 * MS  # between two beats of a process at most
REST_TURN_MS = 80  # a turn of gate and parent while few pictures are needed: nothing is leased
REST_MARK_NS = 500 * MS  # how far ahead the decider may say that it needs few pictures
NEVER_NS = 1 << 62  # age of a process that has not beaten yet
_AHEAD_NS = 50_000_000  # the caller may have been delayed since it read the clock
_SLOT = 64  # one cache line a process
_MODEL = 5  # slot after the last role
_REST = 6


class Role(Enum):
    """A process of the guard; the value is its slot in the page."""

    CAPTURE = 0
    GATE = 1
    DECIDER = 2
    PARENT = 3
    BRIDGE = 4


LEASED = (Role.CAPTURE, Role.GATE, Role.DECIDER, Role.PARENT)  # a board lease needs all of these


class Beats:
    """The page of heartbeats behind a descriptor, which may be inherited."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._page = mmap.mmap(fd, mmap.PAGESIZE)
        self._slots = memoryview(self._page).cast("q")

    @classmethod
    def create(cls) -> Beats:
        """A new page without heartbeats."""
        fd = os.memfd_create("framegate-beats", os.MFD_CLOEXEC)
        os.ftruncate(fd, mmap.PAGESIZE)
        return cls(fd)

    def beat(self, role: Role, now_ns: int) -> None:
        self._slots[role.value * (_SLOT // 8)] = now_ns

    def begin_model(self, now_ns: int) -> None:
        """The decider hands a frame to its models."""
        self._slots[_MODEL * (_SLOT // 8)] = now_ns

    def end_model(self) -> None:
        """The models answered, or failed."""
        self._slots[_MODEL * (_SLOT // 8)] = 0

    @property
    def model_began_ns(self) -> int:
        """Since when the decider waits for its models; 0 if it does not."""
        return self._slots[_MODEL * (_SLOT // 8)]

    def rest(self, until_ns: int) -> None:
        """The decider needs few pictures until `until_ns`, and from then on every one."""
        self._slots[_REST * (_SLOT // 8)] = until_ns

    def resting(self, now_ns: int) -> bool:
        """Whether the decider needs few pictures; a mark far in the future is none."""
        return 0 < self._slots[_REST * (_SLOT // 8)] - now_ns <= REST_MARK_NS

    def age_ns(self, role: Role, now_ns: int) -> int:
        """How long ago `role` last beat; NEVER_NS if never, or if it claims the future."""
        beaten_ns = self._slots[role.value * (_SLOT // 8)]
        if beaten_ns <= 0 or beaten_ns - now_ns > _AHEAD_NS:
            return NEVER_NS
        return max(0, now_ns - beaten_ns)

    def oldest_age_ns(self, now_ns: int, roles: tuple[Role, ...] = LEASED) -> int:
        """Age of the oldest heartbeat among `roles`."""
        return max(self.age_ns(role, now_ns) for role in roles)

    def silent(self, now_ns: int, limit_ns: int, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        """The roles that have not beaten for `limit_ns`."""
        return tuple(role for role in roles if self.age_ns(role, now_ns) > limit_ns)


class Heart(threading.Thread):
    """Beats for a process that may block in what it calls; stops with the process.

    A camera that blocks in its driver differs from a process that was stopped: the gate
    sees that no frames come, the heartbeat goes on. The thread wakes only where no `beat`
    came for `BEAT_NS`: each one puts the kernel's timer off (timerfd_create(2)).
    """

    def __init__(self, pages: Sequence[Beats], role: Role, clock: Clock) -> None:
        """`pages` are those of the guards that the process works for.

        Raises:
            OSError: the kernel gives no timer.
        """
        super().__init__(daemon=True, name="heartbeat")
        self._pages = pages
        self._role = role
        self._clock = clock
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC)
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        whole_s, rest_ns = divmod(BEAT_NS, S)
        self._period = (ctypes.c_long * 4)(whole_s, rest_ns, whole_s, rest_ns)  # an itimerspec

    def beat(self) -> None:
        """Beat now, and put the next beat of the thread off."""
        self._write()
        self._libc.timerfd_settime(self._timer, 0, self._period, None)

    def run(self) -> None:
        self.beat()
        while True:
            os.read(self._timer, 8)
            self._write()

    def _write(self) -> None:
        now_ns = self._clock.now_ns()
        for beats in self._pages:
            beats.beat(self._role, now_ns)
