"""The judge: turns readings into a lease, or into the end of one.

Pure: readings, statuses and times come in, `Action`s go out in the order in
which they must happen. On a permit that order is: durable audit record, board
asked, board acknowledged, first lease. On any doubt it is: gate first, then
board, then log. `edge.decision.effects` carries the actions out in the running
guard; `edge.replay.engine` does the same in virtual time. All times are nanoseconds
of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from edge.audit.schema import Context as Setting
from edge.audit.schema import Deny, End, Entry, Permit, Release, Stamp
from edge.clock import MS, S
from edge.decision.session_facts import Ruling, Setup, static_readings
from edge.evidence.board import BoardWatch
from edge.evidence.board_link import BoardStatus, Claim, Link
from edge.evidence.context import INTEGRITY_ONLY, MASKED_VETOES, REQUIRED, Context, ContextState
from edge.evidence.readings import BoardSample, Reading, Source
from edge.frames.messages import Ended
from edge.lease import LIFE_NS, RENEW_NS, Lease, Revocation
from edge.policy.outcome import Decides, Decision
from edge.policy.outcome import Verdict as PolicyVerdict
from edge.reasons import Reason, worst_first

ACK_NS = 500 * MS  # the board must acknowledge a claim within this
ASK_NS = 50 * MS  # an unanswered claim is repeated this often
REPORT_NS = 300 * MS  # the gate must report the end of an epoch within this
STATUS_NS = 200 * MS  # a board status older than this is a lost link
RETRY_NS = (1 * S, 64 * S)  # a permit that could not be recorded is tried again; doubles
_NEVER = (-1, -1)


@dataclass(frozen=True, slots=True)
class Tell:
    """Send this to the gate."""

    message: Lease | Revocation


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this to the board's bridge."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Write:
    """Append this to the audit log; a durable one calls `Judge.recorded` when it is on disk."""

    entry: Callable[[Stamp], Entry]
    durable: bool


Action = Tell | Ask | Write


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the judge thinks now; for displays and reports."""

    setting: Setting
    permitted: bool
    reasons: tuple[Reason, ...]
    rules: tuple[str, ...]


class _Phase(Enum):
    BLOCKED = "blocked"
    RECORDING = "recording"  # the permit is being written
    ASKING = "asking"  # the board has not acknowledged yet
    PERMITTED = "permitted"
    ENDING = "ending"  # the gate has not reported what was released


class Judge:
    """One session's decisions; a new judge blocks."""

    def __init__(self, setup: Setup, policy: Decides, now_ns: int) -> None:
        self._setup = setup
        self.ruling = Ruling(setup, policy)
        controlled = setup.binding.lane.identifying
        self._required = frozenset(REQUIRED) if controlled else INTEGRITY_ONLY
        self._lag_ns = setup.lag_ns or 0
        self.context = Context(
            round(setup.device.dwell_s * S),
            self._required,
            vetoes=MASKED_VETOES if setup.binding.lane.masked else None,
            max_age_ns=setup.max_age_ns,
            lag_ns=self._lag_ns,
        )
        self._watch = BoardWatch(setup.device.dock_id)
        self._phase = _Phase.BLOCKED
        self._phase_ns = now_ns
        self._epoch = 0  # of the newest grant or revocation
        self._decision = 0
        self._ask_ns = 0  # when the board is asked next
        self._allowed_ns: int | None = None  # since when everything but the dwell has held
        self.board_status: BoardStatus | None = None  # the newest
        self.silent: tuple[Reason, ...] = ()  # what is wrong with the guard itself at this moment
        self._seen_blocks = 0
        self._sent = _NEVER  # (time, to_ns) of the last lease
        self._ready_ns = 0  # from when on frames may be leased, as of the last step
        self._sent_reasons: tuple[Reason, ...] | None = None
        self.released: int | None = 0  # frames, under all permits; None if the gate did not say
        self._report: Ended | None = None  # the gate's final counts of an epoch
        self._results = (0, 0)  # the matcher's so far, handed on and dropped
        self._results_logged = (0, 0)
        self._unleased = False  # the permit that ends never became a lease
        self._doubts: set[Reason] = set()  # why the gate itself gave its lease up
        self._hold_ns: int | None = None  # from here on frames wait for a look at people
        self._end: tuple[tuple[Reason, ...], tuple[str, ...]] = ((), ())
        self._denied: tuple[Setting, tuple[Reason, ...]] | None = None
        self._retry_ns: int | None = None  # the last permit was not recorded: the next try
        self._pause_ns = 0  # between the last try and the next
        self.outlook = Outlook(Setting.UNCONTROLLED, False, (Reason.NO_LEASE,), ())
        for reading in static_readings(setup, now_ns):
            self.context.observe(reading)

    @property
    def opening(self) -> bool:
        """Whether the stricter rules for beginning apply to the next view reading."""
        return self._phase is not _Phase.PERMITTED

    @property
    def holding(self) -> bool:
        """Whether frames wait for a look at people."""
        return self._hold_ns is not None

    @property
    def resting(self) -> bool:
        """Whether the picture decides nothing: something else has blocked for long."""
        return self._phase is _Phase.BLOCKED and self.context.resting

    @property
    def ending(self) -> bool:
        """Whether a permit is over whose end is not written yet: the gate has not reported."""
        return self._phase is _Phase.ENDING

    # what comes in

    def observe(
        self,
        readings: Iterable[Reading],
        seen_blocks: int | None = None,
        *,
        unsettled_ns: int | None = None,
    ) -> None:
        """Take readings of the picture.

        Args:
            readings: in any order.
            seen_blocks: goes with a view reading.
            unsettled_ns: something came in by this time; nothing captured from
                then on leaves before the next people reading, whatever the release.
        """
        for reading in readings:
            self.context.observe(reading)
            if self._hold_ns is not None and reading.source is Source.PEOPLE:
                settled = reading.captured_ns >= self._hold_ns
                self._hold_ns = None if settled else self._hold_ns
        if unsettled_ns is not None and self._hold_ns is None:
            self._hold_ns = unsettled_ns
        if seen_blocks is not None:
            self._seen_blocks = seen_blocks

    def board(self, sample: BoardSample) -> tuple[Reading, ...]:
        """Take one board sample; returns the readings made of it."""
        readings = self._watch.see(sample)
        for reading in readings:
            self.context.observe(reading)
        return readings

    def ended(self, report: Ended) -> None:
        """Take the gate's report that a lease is no longer held.

        A foreign view is the sign map's to say; any other reason is a doubt about
        the guard itself, and no lease that reaches back before it would be taken.
        """
        if report.final:
            self._report = report
        self._results = (report.results, report.refused)
        if report.reason is not None and report.reason is not Reason.VIEW_FOREIGN:
            self._doubts.add(report.reason)

    def recorded(self, index: int, now_ns: int) -> None:
        """The permit is durable as entry `index`."""
        if self._phase is _Phase.RECORDING:
            self._retry_ns, self._pause_ns = None, 0
            self._decision = index
            self._ask_ns = now_ns
            self._enter(_Phase.ASKING if self._setup.interlocked else _Phase.PERMITTED, now_ns)

    # what goes out

    def step(self, now_ns: int) -> list[Action]:
        """Everything that must happen now, in order; call again after each batch of input."""
        doubts = (*self._doubts, *self._integrity(now_ns))
        self._doubts.clear()
        self.context.observe(Reading(Source.INTEGRITY, now_ns, doubts))
        state = self.context.state(now_ns, apart=self.ruling.denies_anyway)
        self._ready_ns = state.ready_ns
        setting = self._setting(state)
        decision = self.ruling.of(setting is Setting.CONTROLLED, state.reasons)
        reasons = list(state.reasons)
        if decision.verdict is not PolicyVerdict.ALLOW:
            reasons.append(Reason.POLICY_DENY)
        if self.ruling.withdrawn:
            reasons.append(Reason.CONSENT_WITHDRAWN)
        if not reasons and now_ns < state.ready_ns:
            reasons.append(Reason.DWELL)
        causes = worst_first(reasons)
        if causes and causes != (Reason.DWELL,):
            self._allowed_ns = None
        elif self._allowed_ns is None:
            self._allowed_ns = now_ns
        if self._waits_to_retry(causes, now_ns):
            setting, causes = Setting.UNCONTROLLED, (Reason.AUDIT_UNAVAILABLE,)
        actions: list[Action] = []
        if causes:
            actions += self._deny(setting, causes, decision.rules, now_ns)
        else:
            actions += self._permit(state, decision, now_ns)
        permitted = self._phase is _Phase.PERMITTED
        holding = (Reason.PEOPLE_UNSETTLED,) if self._hold_ns is not None else ()
        waiting = holding if permitted else (Reason.NO_LEASE,)
        self.outlook = Outlook(setting, permitted, causes or waiting, decision.rules)
        return actions

    def go_on(self, seen_ns: int, now_ns: int) -> list[Action]:
        """What `step` would do while a permit goes on and no cause has come.

        For recordings, where what comes is known before: the context's state is as in the last
        `step`, but every bracketing source has a good reading up to `seen_ns` now.
        """
        assert self._phase is _Phase.PERMITTED and not self._setup.interlocked
        return self._renew(self._ready_ns, seen_ns, now_ns)

    def stop(self, now_ns: int) -> list[Action]:
        """What must happen before the guard ends in good order; again until `ending` is over."""
        if self._phase in (_Phase.ASKING, _Phase.PERMITTED):
            return self._revoke((Reason.NO_LEASE,), (), now_ns)
        return self._finish_end(now_ns) if self.ending else []

    def _permit(self, state: ContextState, decision: Decision, now_ns: int) -> list[Action]:
        match self._phase:
            case _Phase.ENDING:
                return self._finish_end(now_ns)
            case _Phase.BLOCKED:
                self._enter(_Phase.RECORDING, now_ns)
                self._epoch += 1
                self._sent_reasons = None
                start_ns = self._from_ns(state.ready_ns)
                epoch, rules = self._epoch, decision.rules
                setting = self._setting(state)
                good = tuple(source for source in REQUIRED if source in self._required)
                return [
                    Write(
                        lambda stamp: Permit(stamp, epoch, setting, start_ns, rules, good),
                        durable=True,
                    )
                ]
            case _Phase.RECORDING:
                return []
            case _Phase.ASKING:
                if self._acknowledged():
                    self._enter(_Phase.PERMITTED, now_ns)
                    return self._renew(state.ready_ns, state.seen_ns, now_ns)
                if now_ns - self._phase_ns > ACK_NS:
                    return self._fail(Reason.INTERLOCK_FAULT, now_ns)
                if now_ns < self._ask_ns:
                    return []
                self._ask_ns = now_ns + ASK_NS
                return [Ask(Claim(self._decision, releasing=True))]
            case _Phase.PERMITTED:
                if self._setup.interlocked and not self._acknowledged():
                    return self._fail(Reason.INTERLOCK_FAULT, now_ns)
                if now_ns - self._sent[0] >= LIFE_NS and self._sent != _NEVER:
                    return self._revoke((Reason.DEADLINE_MISSED,), decision.rules, now_ns)
                return self._renew(state.ready_ns, state.seen_ns, now_ns)
        raise AssertionError(self._phase)

    def _renew(self, ready_ns: int, seen_ns: int, now_ns: int) -> list[Action]:
        """A lease from `ready_ns` on, as far as the evidence up to `seen_ns` covers."""
        expires_ns = now_ns + LIFE_NS
        setup = self._setup
        bracketed = setup.release is Release.BRACKETED
        to_ns = seen_ns + 1 if bracketed else expires_ns
        from_ns = self._from_ns(ready_ns)
        sent_ns, sent_to_ns = self._sent
        if self._hold_ns is not None and to_ns > self._hold_ns:
            if self._sent == _NEVER and self._hold_ns <= from_ns:
                return []  # nothing is covered yet, and nothing of this may be
            to_ns = max(self._hold_ns, from_ns + 1)  # at once, if the last lease reached further
            sent_ns = -1 if sent_to_ns > to_ns else sent_ns
        if to_ns <= from_ns or (now_ns - sent_ns < RENEW_NS and to_ns == sent_to_ns):
            return []
        if not bracketed and now_ns - sent_ns < RENEW_NS:
            return []
        self._sent = (now_ns, to_ns)
        binding = setup.binding
        lease = Lease(
            epoch=self._epoch,
            camera=binding.camera,
            boot=binding.boot,
            policy=binding.policy,
            lane=binding.lane,
            from_ns=from_ns,
            to_ns=to_ns,
            expires_ns=expires_ns,
            min_view_score=setup.min_view_score if binding.lane.identifying else 0.0,
            seen_blocks=self._seen_blocks,
            decision=self._decision,
        )
        return [Tell(lease)]

    def _deny(
        self, setting: Setting, reasons: tuple[Reason, ...], rules: tuple[str, ...], now_ns: int
    ) -> list[Action]:
        if self._phase is _Phase.ENDING:  # the gate answers for the epoch that ends, no newer one
            return self._finish_end(now_ns)
        if self._phase is _Phase.RECORDING:
            self._not_recorded(now_ns)
        if self._phase is not _Phase.BLOCKED:
            return self._revoke(reasons, rules, now_ns)
        actions = self._explain(reasons, rules)
        if (setting, reasons) != self._denied:
            self._denied = (setting, reasons)
            actions.append(Write(lambda stamp: Deny(stamp, setting, reasons, rules), durable=False))
        return actions

    def _not_recorded(self, now_ns: int) -> None:
        """Give up a permit that is not in the log: it never began, so it has no end to write."""
        first_ns, most_ns = RETRY_NS
        self._pause_ns = min(max(first_ns, 2 * self._pause_ns), most_ns)
        self._retry_ns = now_ns + self._pause_ns
        self._allowed_ns = None
        self._enter(_Phase.BLOCKED, now_ns)

    def _waits_to_retry(self, causes: tuple[Reason, ...], now_ns: int) -> bool:
        """Whether a permit that could not be recorded is all that blocks.

        The cause stands until a permit is recorded, so tries without end write one entry.
        """
        if self._retry_ns is None or self._phase is not _Phase.BLOCKED:
            return False
        return causes == (Reason.DWELL,) or (not causes and now_ns < self._retry_ns)

    def _explain(self, reasons: tuple[Reason, ...], rules: tuple[str, ...]) -> list[Action]:
        """Keep the gate's account of why it blocks up to date."""
        if reasons == self._sent_reasons:
            return []
        self._sent_reasons = reasons
        self._epoch += 1
        return [Tell(Revocation(self._epoch, reasons, rules))]

    def _revoke(
        self, reasons: tuple[Reason, ...], rules: tuple[str, ...], now_ns: int
    ) -> list[Action]:
        granted = self._phase in (_Phase.PERMITTED, _Phase.ASKING)
        self._sent_reasons = reasons
        self._unleased = self._sent == _NEVER
        self._sent = _NEVER
        self._end = (reasons, rules)
        self._allowed_ns = None
        actions: list[Action] = [Tell(Revocation(self._epoch, reasons, rules))]
        if granted and self._setup.interlocked:
            actions.append(Ask(Claim(self._decision, releasing=False)))
        self._enter(_Phase.ENDING, now_ns)
        return actions

    def _finish_end(self, now_ns: int) -> list[Action]:
        """Write the end of the permit once the gate has reported what it released under it."""
        report = self._report
        released, last_ns = (0, -1) if self._unleased else (None, -1)
        if report is not None and report.epoch == self._epoch:
            released, last_ns = report.released, report.last_captured_ns
        if released is None and now_ns - self._phase_ns < REPORT_NS:
            return []
        self._enter(_Phase.BLOCKED, now_ns)
        total = self.released
        self.released = None if total is None or released is None else total + released
        reasons, rules = self._end
        epoch = self._epoch
        self._sent_reasons = None
        since = (now - then for now, then in zip(self._results, self._results_logged, strict=True))
        results, refused = map(int, since)
        self._results_logged = self._results
        last = None if last_ns < 0 else last_ns
        return [
            Write(
                lambda stamp: End(stamp, epoch, reasons, rules, released, last, results, refused),
                durable=False,
            )
        ]

    def _fail(self, reason: Reason, now_ns: int) -> list[Action]:
        self.context.observe(Reading(Source.INTEGRITY, now_ns, (reason,)))
        return self._revoke((reason,), (), now_ns)

    def _from_ns(self, ready_ns: int) -> int:
        """From when on stamps may be leased: frames stamped then were shot up to the lag before."""
        return max(ready_ns, (self._allowed_ns or 0) + self._lag_ns)

    def _acknowledged(self) -> bool:
        status = self.board_status
        return status is not None and status.permitted and status.decision == self._decision

    def _enter(self, phase: _Phase, now_ns: int) -> None:
        self._phase = phase
        self._phase_ns = now_ns

    def _integrity(self, now_ns: int) -> tuple[Reason, ...]:
        if not self._setup.interlocked:
            return self.silent
        status = self.board_status
        if status is None or now_ns - status.captured_ns > STATUS_NS:
            return (*self.silent, Reason.LINK_LOST)
        if status.link is not Link.UP:
            return (*self.silent, *(status.reasons or (Reason.LINK_LOST,)))
        return self.silent

    def _setting(self, state: ContextState) -> Setting:
        """A context is only ever called controlled where all of its evidence is asked for."""
        if state.controlled and self._setup.binding.lane.identifying:
            return Setting.CONTROLLED
        return Setting.UNCONTROLLED
