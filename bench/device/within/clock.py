"""A device that starts in 1970: what the product knows of the time, and what mends it.

    python -m bench.device.within.clock NOW

NOW is the right time, seconds since 1970, known to the host. A time service is played: the clock
is set and the kernel told that it is kept.
"""

from __future__ import annotations

import ctypes
import sys
import time

from bench.device.within.checks import Checks, expect
from bench.device.within.disk import framegate
from edge.clock import BootClock, synchronised
from edge.decision.known_time import KnownTime, Moment
from edge.reasons import Reason
from edge.version import BUILT_S

_TIMEX_BYTES = 512
_KEPT = 0x10 | 0x08 | 0x04  # ADJ_STATUS, ADJ_ESTERROR, ADJ_MAXERROR: all become 0
_DAY_S = 86_400


def look(known: KnownTime) -> Moment:
    """What the decider knows of the time now, from this device's clocks."""
    return known.look(time.time(), BootClock().now_ns(), synchronised=synchronised())


def in_1970() -> str:
    expect(time.gmtime().tm_year == 1970, f"1970, got {time.gmtime().tm_year}")
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())


def doctor_says(state: str) -> str:
    """The line of `doctor` on the wall clock."""
    _, printed, _ = framegate("doctor", "--quick")
    lines = [line for line in printed.splitlines() if "wall clock:" in line]
    expect(len(lines) == 1 and lines[0].startswith(state), f"{state}, got {lines}")
    return lines[0]


def unproven(known: KnownTime) -> str:
    """No day may be taken from such a clock: lanes that identify stay blocked."""
    moment = look(known)
    expect(not moment.proven, "a time that is not proven")
    expect(Reason.TIME_UNTRUSTED in moment.reasons, f"TIME_UNTRUSTED, got {moment.reasons}")
    expect(moment.now_s >= BUILT_S, "a time that is not before the build")
    return ", ".join(reason.value for reason in moment.reasons)


def set_right(now_s: float) -> None:
    """Set the clock as a time service does, and say that it is kept."""
    time.clock_settime(time.CLOCK_REALTIME, now_s)
    words = (ctypes.c_uint8 * _TIMEX_BYTES)()
    ctypes.c_uint32.from_buffer(words).value = _KEPT
    ctypes.CDLL(None, use_errno=True).ntp_adjtime(words)


def mended(known: KnownTime, now_s: float) -> str:
    set_right(now_s)
    expect(synchronised(), "a clock that the kernel calls synchronised")
    moment = look(known)
    expect(moment.proven and not moment.reasons, f"a proven time, got {moment.reasons}")
    expect(abs(moment.now_s - now_s) < _DAY_S, f"today, got {moment.now_s}")
    return time.strftime("proven: %Y-%m-%d", time.gmtime(moment.now_s))


def main() -> int:
    now_s, checks, known = float(sys.argv[1]), Checks(), KnownTime(BUILT_S)
    checks.check("the clock", in_1970)
    checks.check("doctor in 1970", lambda: doctor_says("missing"))
    checks.check("the time is not trusted", lambda: unproven(known))
    checks.check("a clock that is kept", lambda: mended(known, now_s))
    checks.check("doctor then", lambda: doctor_says("ok"))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
