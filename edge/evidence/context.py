"""The capture context: controlled only while every required source says so.

Each reading has the time that it describes. `state` gives, for any time, whether the context is
controlled, why not, and from when on frames may be leased. Worse wins: a bad, missing or stale
reading blocks at once, and a source is trusted again only after the dwell. A short failure of the
enrolled view or a face that is too small (`GLITCH_NS`), with everything else steady, costs half a
second instead, at most three times a minute. All times are nanoseconds of CLOCK_BOOTTIME.

While something that needs no picture (a policy that denies whatever it shows, too) has
blocked for `STANDING_NS`, the picture is
*rested*: it is read every `REST_NS` only, capture delivers few frames, and the last
readings still count. A source may rest only while another cause blocks; otherwise an old
reading is stale. For `WAKE_NS` after that, only a reading of what every frame shows is not
called missing, because the next frame is on its way; nothing is permitted before a full dwell.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.clock import MS, S
from edge.evidence.readings import Reading, Source
from edge.reasons import Reason, worst_first

GLITCH_DWELL_NS = 500 * MS
GLITCHES = 3
GLITCH_WINDOW_NS = 60 * S
FOREVER_NS = 1 << 62
STANDING_NS = 10 * S  # a cause that has lasted this long will last
REST_NS = 10 * S  # between two readings of a picture that decides nothing
WAKE_NS = 300 * MS  # after a rest, until every source reads at its usual rate


@dataclass(frozen=True, slots=True)
class Duty:
    """The freshness that the context requires of a source."""

    valid_ns: int  # a reading older than this is stale
    silent: Reason  # the reason when there is no reading
    brackets: bool = False  # frames are released only between two of its good readings


REQUIRED: dict[Source, Duty] = {
    Source.COMMISSIONING: Duty(FOREVER_NS, Reason.MOBILE_CLASS),
    Source.CAMERA: Duty(FOREVER_NS, Reason.CAM_IDENTITY),
    Source.SESSION: Duty(FOREVER_NS, Reason.SESSION_MISSING),
    Source.INTEGRITY: Duty(300 * MS, Reason.PROCESS_SILENT),
    Source.DOCK: Duty(300 * MS, Reason.SENSOR_SILENT, brackets=True),
    Source.STILLNESS: Duty(300 * MS, Reason.SENSOR_SILENT, brackets=True),
    Source.SIGN_MAP: Duty(300 * MS, Reason.CAM_STALLED),
    Source.LIVENESS: Duty(300 * MS, Reason.CAM_STALLED),
    Source.VIEW: Duty(400 * MS, Reason.VIEW_SILENT, brackets=True),
    Source.PEOPLE: Duty(600 * MS, Reason.PEOPLE_SILENT, brackets=True),
}
PICTURED = frozenset({Source.SIGN_MAP, Source.LIVENESS, Source.VIEW, Source.PEOPLE})
RESTED_NS: dict[Source, int] = {  # how long a reading counts while the picture is rested
    Source.VIEW: 25 * S,
    Source.PEOPLE: 25 * S,
    Source.SIGN_MAP: 2 * S,
    Source.LIVENESS: 2 * S,
}
IN_EVERY_FRAME = frozenset({Source.SIGN_MAP, Source.LIVENESS})
VETO_NS: dict[Source, int] = {  # how long a bad reading of a veto counts
    Source.SCENE: 3 * S,
    Source.POSITION: 1 * S,
    Source.EGO_MOTION: 500 * MS,
    Source.FRESHNESS: 1 * S,
}
INTEGRITY_ONLY = frozenset({Source.CAMERA, Source.SESSION, Source.INTEGRITY, Source.LIVENESS})
MASKED_VETOES = frozenset({Source.FRESHNESS})  # a masked view may be of anywhere, and moves
GLITCH_NS: dict[Source, int] = {  # how long a failure that is forgiven may last
    Source.SIGN_MAP: 200 * MS,
    Source.VIEW: 200 * MS,
    Source.PEOPLE: 450 * MS,  # two readings: a face comes and goes at the detector's edge
}


@dataclass(frozen=True, slots=True)
class ContextState:
    """The context at one moment."""

    controlled: bool  # every required source is good and fresh, no veto holds
    reasons: tuple[Reason, ...]  # why not, worst first
    ready_ns: int  # the dwell is over from here on; FOREVER_NS while not controlled
    seen_ns: int  # every bracketing source has a good reading at or after this time


@dataclass(slots=True)
class _Channel:
    """One required source."""

    valid_ns: int  # how old a reading may be
    silent: tuple[Reason, ...]  # the reason when there is none
    rested_ns: int  # how long a reading counts at least while the picture is rested
    waking_ns: int  # and just after that
    reasons: tuple[Reason, ...] | None = None  # of the last reading; None: there was none
    last_ns: int = -1  # when that was
    last_good_ns: int = -1
    ready_ns: int = FOREVER_NS

    def against(self, now_ns: int, valid_ns: int = 0) -> tuple[Reason, ...]:
        """What it holds against the context; a reading counts for `valid_ns` at least."""
        age_ns = now_ns - self.last_ns
        counts = 0 <= age_ns <= self.valid_ns or 0 <= age_ns <= valid_ns
        return self.silent if self.reasons is None or not counts else self.reasons


class Context:
    """Fuses readings; one object with one owner."""

    def __init__(
        self,
        dwell_ns: int,
        required: frozenset[Source] | None = None,
        *,
        vetoes: frozenset[Source] | None = None,
        max_age_ns: int | None = None,
        lag_ns: int = 0,
    ) -> None:
        """`required` and `vetoes` narrow the sources, for lanes that need no controlled context.

        `max_age_ns` is how old any timed reading may be, where that is stricter.
        `lag_ns` is how long before its stamp a frame may have been shot: every dwell
        lasts that much longer, so that what was shot before it began is not leased.
        Where none of those left brackets by itself, liveness does.
        """
        sources = frozenset(REQUIRED) if required is None else required
        self._dwell_ns = dwell_ns + lag_ns
        self._glitch_dwell_ns = GLITCH_DWELL_NS + lag_ns
        bracketing = frozenset(source for source in sources if REQUIRED[source].brackets)
        # frames are released between two good readings of each of these
        self.brackets = bracketing or frozenset({Source.LIVENESS})
        most_ns = FOREVER_NS if max_age_ns is None else max_age_ns
        self._required = {
            source: _Channel(
                min(duty.valid_ns, most_ns) if duty.valid_ns != FOREVER_NS else FOREVER_NS,
                (duty.silent,),
                RESTED_NS.get(source, 0),
                RESTED_NS[source] if source in IN_EVERY_FRAME else 0,
            )
            for source, duty in REQUIRED.items()
            if source in sources
        }
        self._apart = [c for source, c in self._required.items() if source not in PICTURED]
        self._pictured = [c for source, c in self._required.items() if source in PICTURED]
        self._bracketing = [self._required[source] for source in self.brackets]
        self._vetoes: dict[Source, Reading] = {}
        self._heard = frozenset(VETO_NS) if vetoes is None else vetoes
        self._ready_ns = 0  # the dwell after the last veto is over
        self._glitch_ns: int | None = None  # when a forgivable failure began
        self._forgiven: deque[int] = deque()
        self._standing_ns: int | None = None  # since when something but the picture has blocked
        self._woken_ns = -WAKE_NS  # when the last rest ended
        self.resting = False  # as of the last `state`

    def observe(self, reading: Reading) -> None:
        """Take one reading; an older good one than already seen changes nothing."""
        if reading.source in VETO_NS:
            if reading.source not in self._heard:
                return
            self._account(reading.source, reading.captured_ns)
            self._vetoes[reading.source] = reading
            return
        channel = self._required.get(reading.source)
        if channel is None:
            return
        if reading.reasons:
            self._bad(reading.source, channel, reading.captured_ns, reading.reasons)
        elif channel.reasons is None or reading.captured_ns >= channel.last_ns:
            self._good(reading, channel)
        else:
            return
        channel.reasons, channel.last_ns = reading.reasons, reading.captured_ns

    def state(self, now_ns: int, *, apart: bool = False) -> ContextState:
        """What holds at `now_ns`; a reading of a later time is none.

        `apart` says that the caller blocks for a cause of its own, whatever the picture shows.
        """
        reasons: list[Reason] = []
        for channel in self._apart:
            reasons += channel.against(now_ns)
        self._rest(apart or bool(reasons), now_ns)
        for channel in self._pictured:
            reasons += channel.against(now_ns, self._counts_ns(channel, now_ns))
        for source, veto in self._vetoes.items():
            self._account(source, now_ns)
            if now_ns - veto.captured_ns <= VETO_NS[source]:
                reasons.extend(veto.reasons)
        if reasons:
            return ContextState(False, worst_first(reasons), FOREVER_NS, -1)
        ready_ns = max([self._ready_ns, *[c.ready_ns for c in self._required.values()]])
        return ContextState(True, (), ready_ns, self.seen_ns)

    @property
    def seen_ns(self) -> int:
        """Every bracketing source has a good reading at or after this time; -1: one has none."""
        return min([channel.last_good_ns for channel in self._bracketing])

    def valid_ns(self, source: Source) -> int | None:
        """How long a reading of this source counts; None if nobody asks for it."""
        channel = self._required.get(source)
        if channel is not None:
            return channel.valid_ns
        return VETO_NS.get(source) if source in self._heard else None

    def go_on(self, source: Source, captured_ns: int) -> None:
        """The last reading of a source was repeated up to this time, and counted all the while.

        The same as `observe` of each repetition.
        """
        if source in VETO_NS:
            veto = self._vetoes[source]
            if not veto.good:  # nobody asks when a good one was read
                self._vetoes[source] = Reading(source, captured_ns, veto.reasons)
                self._account(source, captured_ns)
            return
        channel = self._required[source]
        reasons = channel.reasons
        assert reasons is not None and captured_ns >= channel.last_ns
        channel.last_ns = captured_ns
        if reasons:
            self._bad(source, channel, captured_ns, reasons)
        else:
            channel.last_good_ns = captured_ns

    def pass_time(self, now_ns: int) -> None:
        """`state` was asked up to this time, and said what it had said before."""
        for source in self._vetoes:
            self._account(source, now_ns)

    def lasts_ns(self, now_ns: int) -> int:
        """Until when `state` stays what it was at `now_ns`, if no reading comes."""
        ends = [self._ready_ns - 1]
        for channel in self._required.values():
            ends.append(channel.ready_ns - 1)
            if channel.reasons is not None:
                last_ns = channel.last_ns
                ends.append(last_ns + channel.valid_ns)
                if channel.rested_ns > channel.valid_ns:
                    ends.append(last_ns + channel.rested_ns)
        ends += [v.captured_ns + VETO_NS[s] for s, v in self._vetoes.items() if not v.good]
        if self._standing_ns is not None:
            ends.append(self._standing_ns + STANDING_NS - 1)
        ends.append(self._woken_ns + WAKE_NS - 1)
        return min([end for end in ends if end >= now_ns], default=FOREVER_NS)

    def _rest(self, apart: bool, now_ns: int) -> None:
        """Note whether what blocks without the picture has lasted; `apart`: something does."""
        if not apart:
            self._standing_ns = None
        elif self._standing_ns is None:
            self._standing_ns = now_ns
        standing_ns, rested = self._standing_ns, self.resting
        self.resting = standing_ns is not None and now_ns - standing_ns >= STANDING_NS
        if rested and not self.resting:
            self._woken_ns = now_ns
            self._ready_ns = max(self._ready_ns, now_ns + self._dwell_ns)

    def _counts_ns(self, channel: _Channel, now_ns: int) -> int:
        """How long a reading of the picture counts now, if longer than usual."""
        if self.resting:
            return channel.rested_ns
        return channel.waking_ns if now_ns - self._woken_ns < WAKE_NS else 0

    def _good(self, reading: Reading, channel: _Channel) -> None:
        now_ns = reading.captured_ns
        steady = channel.reasons == () and now_ns - channel.last_ns <= channel.valid_ns
        if not steady:
            dwell_ns = self._glitch_dwell_ns if self._forgive(reading) else self._dwell_ns
            channel.ready_ns = now_ns + dwell_ns
        channel.last_good_ns = now_ns

    def _bad(
        self, source: Source, channel: _Channel, now_ns: int, reasons: tuple[Reason, ...]
    ) -> None:
        span_ns = GLITCH_NS.get(source)
        grave = source is Source.PEOPLE and reasons != (Reason.PEOPLE_SMALL,)
        if span_ns is None or grave:
            self._glitch_ns = None
        elif self._glitch_ns is None or now_ns - self._glitch_ns > span_ns:
            ready = max(self._ready_ns, *(c.ready_ns for c in self._required.values()))
            self._glitch_ns = now_ns if ready <= now_ns else None
        channel.ready_ns = FOREVER_NS

    def _forgive(self, reading: Reading) -> bool:
        now_ns = reading.captured_ns
        began_ns = self._glitch_ns
        span_ns = GLITCH_NS.get(reading.source)
        if span_ns is None or began_ns is None or now_ns - began_ns > span_ns:
            return False
        while self._forgiven and self._forgiven[0] <= now_ns - GLITCH_WINDOW_NS:
            self._forgiven.popleft()
        if began_ns not in self._forgiven:
            if len(self._forgiven) >= GLITCHES:
                return False
            self._forgiven.append(began_ns)
        return True

    def _account(self, source: Source, now_ns: int) -> None:
        """While a veto holds, up to `now_ns`, the dwell begins again for every source."""
        veto = self._vetoes.get(source)
        if veto is None or veto.good:
            return
        held_ns = min(now_ns, veto.captured_ns + VETO_NS[source])
        self._glitch_ns = None
        self._ready_ns = max(self._ready_ns, held_ns + self._dwell_ns)
