"""Known time: how far the wall clock can be trusted, and what is certain without it.

Dates decide which rules apply, when a bundle expires and when consent ends, so a
wall clock that no time service keeps must not choose them. Three things are known
without it: a floor (a moment that has passed: the day of the build, the newest
signed entry of the log, the bundle's day of issue), how long this boot has
counted since, and whether the kernel says that a time service keeps the clock.

The time is *proven* once the clock was synchronised in this boot; from then on
it is counted with the boot clock, which nobody sets, so setting the wall clock
changes nothing. A jump counts only after `HOLD_S` of synchronised time.
The wall clock is in seconds of UTC since 1970, the boot clock in nanoseconds of
CLOCK_BOOTTIME. Pure: the caller looks at the clocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.clock import S
from edge.reasons import Reason

JUMP_S = 2  # more than this against the boot clock in one step is no slewing
SLACK_S = 300  # a wall clock this far behind the floor was set back
AHEAD_S = 730 * 86_400  # further ahead of the floor, a clock is a jump that needs proof
HOLD_S = 600  # a jump is proven once it was synchronised for this long
TELL_S = 60  # jumps are reported at most this often, summed up


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of the time at one look."""

    at_least_s: int  # this has passed
    now_ns: int  # the best guess, ns since 1970, never before `at_least_s`
    proven: bool  # the day may be taken from it
    reasons: tuple[Reason, ...]  # why the time is not trusted; empty if it is
    jump_s: int  # by how much the wall clock was set since the last report, or 0

    @property
    def now_s(self) -> int:
        """The best guess in whole seconds."""
        return self.now_ns // S


@dataclass(slots=True)
class _Offered:
    """A synchronised clock that disagrees with what is known."""

    ahead_s: float  # of the boot clock
    since_ns: int


class KnownTime:
    """One boot's knowledge of the time; a new one knows only the floor."""

    def __init__(self, floor_s: int, *, accepts_unproven: bool = False) -> None:
        """Take the newest moment known to have passed.

        Args:
            accepts_unproven: a signed record says that a clock no time service keeps
                may be used: it still proves nothing and moves no floor.
        """
        self.floor_s = floor_s  # the newest moment proven to have passed: what the log keeps
        self._floor_ns: int | None = None  # the boot clock when the floor was set
        self._accepts_unproven = accepts_unproven
        self._ahead_s: float | None = None  # time counted on is the boot clock plus this
        self._proven = False
        self._offered: _Offered | None = None
        self._seen_ahead_s: float | None = None  # of the wall clock, at the last look
        self._jumped_s = 0.0
        self._reported_ns: int | None = None

    def look(self, wall_s: float, boot_ns: int, *, synchronised: bool) -> Moment:
        """What is known now; boot times never go back from one look to the next."""
        if self._floor_ns is None:
            self._floor_ns = boot_ns
        at_least_s = self.floor_s + (boot_ns - self._floor_ns) / S
        jump_s = self._jump_s(wall_s, boot_ns)
        early = wall_s + SLACK_S < at_least_s
        if synchronised and not early:
            self._weigh(wall_s, boot_ns, wall_s - at_least_s > AHEAD_S)
        else:
            self._offered = None
        near = not early and wall_s - at_least_s <= AHEAD_S
        if self._ahead_s is None and self._accepts_unproven and near:
            self._ahead_s = wall_s - boot_ns / S
        if self._ahead_s is None:
            backwards = (Reason.CLOCK_BACKWARDS,) if early else ()
            reasons = (*backwards, Reason.TIME_UNTRUSTED)
            return Moment(int(at_least_s), int(at_least_s * S), False, reasons, jump_s)
        now_s = max(at_least_s, boot_ns / S + self._ahead_s)
        return Moment(int(at_least_s), int(now_s * S), self._proven, (), jump_s)

    def _weigh(self, wall_s: float, boot_ns: int, far: bool) -> None:
        """Take a synchronised clock that is not before the floor, at once or after a while."""
        ahead_s = wall_s - boot_ns / S
        offered = self._offered
        if offered is None or abs(ahead_s - offered.ahead_s) > JUMP_S:
            offered = self._offered = _Offered(ahead_s, boot_ns)
        offered.ahead_s = ahead_s
        held = boot_ns - offered.since_ns >= HOLD_S * S
        agrees = self._ahead_s is not None and abs(ahead_s - self._ahead_s) <= JUMP_S
        first = not self._proven and not far
        if held or agrees or first:
            self._ahead_s, self._proven = ahead_s, True
        if held:
            self.floor_s, self._floor_ns = max(self.floor_s, int(wall_s)), boot_ns

    def _jump_s(self, wall_s: float, boot_ns: int) -> int:
        """By how many whole seconds the wall clock was set, net, since the last report."""
        ahead_s = wall_s - boot_ns / S
        before_s, self._seen_ahead_s = self._seen_ahead_s, ahead_s
        if before_s is not None and abs(ahead_s - before_s) > JUMP_S:
            self._jumped_s += ahead_s - before_s
        if abs(self._jumped_s) <= JUMP_S:
            return 0
        if self._reported_ns is not None and boot_ns - self._reported_ns < TELL_S * S:
            return 0
        jumped_s, self._jumped_s, self._reported_ns = round(self._jumped_s), 0.0, boot_ns
        return jumped_s
