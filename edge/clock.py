"""Time: one protocol, the real clock and a virtual one that moves only by `advance`.

All times are integer nanoseconds of CLOCK_BOOTTIME, which goes on counting
while the device is suspended and never jumps with the wall clock.
"""

from __future__ import annotations

import ctypes
import functools
import time
from pathlib import Path
from typing import Protocol

MS = 1_000_000
S = 1_000_000_000
_TIME_ERROR = 5  # ntp_adjtime: the clock is not synchronised
_TIMEX_BYTES = 512  # more than any struct timex


class Clock(Protocol):
    """Where the guard takes the time from."""

    def now_ns(self) -> int:
        """Monotonic time in nanoseconds."""


class BootClock:
    """CLOCK_BOOTTIME of this machine."""

    # a bound function and no method: the gate asks several times a frame
    now_ns = staticmethod(functools.partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME))


class VirtualClock:
    """Time that moves only by `advance`."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, *, ms: float) -> None:
        """Move `ms` milliseconds on; a negative step is refused."""
        if ms < 0:
            raise ValueError(f"a boot-time clock cannot go back by {-ms} ms")
        self._now_ns += int(ms * MS)

    def move_to(self, now_ns: int) -> None:
        """Move on to `now_ns`; going back is refused."""
        if now_ns < self._now_ns:
            raise ValueError(f"a boot-time clock cannot go back to {now_ns}")
        self._now_ns = now_ns


def synchronised() -> bool:
    """Whether the kernel says that a time service keeps the wall clock.

    Setting the clock by hand takes this away until the service has confirmed it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    asked = ctypes.create_string_buffer(_TIMEX_BYTES)  # zero: ask only
    return int(libc.ntp_adjtime(asked)) in range(_TIME_ERROR)


def boot_id() -> bytes:
    """The kernel's random id of this boot, 16 bytes."""
    text = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return bytes.fromhex(text.replace("-", ""))
