"""The recorder: combines the gate's decisions with the decider's messages.

Feeds the live display, the report and `decisions.jsonl` of a running guard.
It lives in the parent and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edge.audit.schema import Context
from edge.clock import S
from edge.decision.judge import Outlook
from edge.decision.monitor import Account, Readings, Seen, Signed, Wrote, parse
from edge.evidence.readings import Reading, Source
from edge.frames.messages import Resolved
from edge.reasons import Reason, with_gates
from edge.report.record import ContextChange, FrameDecision, Outcome

PASS_NS = 1 * S  # frames pass while one of at most this age did
_KEPT_CHANGES = 200  # of those handed over before

_NO_ACCOUNT = Account(0, Context.UNCONTROLLED, (), ())


@dataclass(slots=True)
class Recorder:
    """Everything seen of one run; times are CLOCK_BOOTTIME nanoseconds until `finish`."""

    passing: Context = Context.CONTROLLED  # the context in which this lane's frames pass
    decisions: list[FrameDecision] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    changes: list[tuple[int, Outlook]] = field(default_factory=list)
    gate_ns: list[int] = field(default_factory=list)
    newest: dict[Source, Reading] = field(default_factory=dict)
    outlook: Outlook | None = None
    outlook_ns: int = 0  # when the decider last sent it; it repeats itself
    permit_ns: int = 0  # since when the decider permits, if it does
    passed_ns: int = -PASS_NS  # capture of the newest frame that passed
    seen_ns: int | None = None  # capture of the newest frame with a final word
    withheld: tuple[Reason, ...] = ()  # why the gate kept the newest frame that did not
    rules: tuple[str, ...] = ()  # of the newest permit
    wrote: list[Wrote] = field(default_factory=list)  # changes in the log, not yet taken
    checkpoint: str = ""  # of the log, the newest
    _accounts: dict[int, Account] = field(default_factory=dict)
    _resolved: list[Resolved] = field(default_factory=list)
    views: int = 0  # readings of the view so far
    _start_ns: int | None = None  # capture of the first frame, once it was settled
    judged: int = 0  # frames with a final word so far
    _newest: int = -1  # the highest number of one

    def decider_message(self, data: bytes) -> None:
        match parse(data):
            case Readings(readings):
                self.readings += readings
                self.views += sum(reading.source is Source.VIEW for reading in readings)
                self.newest.update((reading.source, reading) for reading in readings)
            case Seen(now_ns, outlook):
                if self.outlook is None or outlook.setting is not self.outlook.setting:
                    self.changes.append((now_ns, outlook))
                if outlook.permitted and (self.outlook is None or not self.outlook.permitted):
                    self.permit_ns = now_ns
                self.outlook = outlook
                self.outlook_ns = now_ns
                if outlook.permitted:
                    self.rules = outlook.rules
            case Wrote() as wrote:
                self.wrote.append(wrote)
            case Signed(note):
                self.checkpoint = note
            case Account() as account:
                self._accounts[account.epoch] = account

    def resolved(self, batch: list[Resolved]) -> None:
        """Take final words of the gate, in any order of frames."""
        for word in batch:
            self._resolved.append(word)
            self.judged += 1
            self._newest = max(self._newest, word.sequence)
            self.decisions.append(self._decision(word))
            self.seen_ns = max(self.seen_ns or 0, word.captured_ns)
            if word.reason is None:
                self.passed_ns = max(self.passed_ns, word.captured_ns)
            else:
                self.withheld = (word.reason,)
            if word.step_ns:
                self.gate_ns.append(word.step_ns)

    def passes(self, now_ns: int) -> bool:
        """Whether frames are released: the decider permits it, and the gate just did."""
        permitted = self.outlook is not None and self.outlook.permitted
        return permitted and now_ns - self.passed_ns < PASS_NS

    def why_not(self, now_ns: int) -> tuple[Reason, ...]:
        """Why no frame is released: the decider's reasons, or the gate's where it goes on alone."""
        if self.outlook is None or self.passes(now_ns):
            return ()
        return self.withheld if self.outlook.permitted else self.outlook.reasons

    def settles(self, now_ns: int) -> bool:
        """Whether a permit is so new that its first frame may be on its way."""
        permitted = self.outlook is not None and self.outlook.permitted
        return permitted and not self.passes(now_ns) and now_ns - self.permit_ns < PASS_NS

    @property
    def dropped(self) -> int:
        """Frames captured for which no buffer was free, so that the gate never saw them."""
        return max(0, self._newest + 1 - self.judged)

    def take(self) -> tuple[list[FrameDecision], list[int]]:
        """Hand over decisions and gate times, and forget them: for a guard that runs for good."""
        taken = self.decisions, self.gate_ns
        self.decisions, self.gate_ns, self._resolved = [], [], []
        self.readings.clear()
        del self.changes[:-_KEPT_CHANGES]
        for epoch in sorted(self._accounts)[:-_KEPT_CHANGES]:
            del self._accounts[epoch]
        return taken

    @property
    def held(self) -> int:
        """Frames whose final word is still in memory."""
        return len(self._resolved)

    def settle(self, keep: int) -> list[FrameDecision]:
        """Let go of all but the newest `keep` frames; returns them as `finish` would.

        Readings and gate times go with them; changes of the context stay, the newest 200.
        """
        self._resolved.sort(key=lambda word: word.sequence)
        old, self._resolved = self._resolved[:-keep], self._resolved[-keep:]
        if not old:
            return []
        if self._start_ns is None:
            self._start_ns = old[0].captured_ns
        decisions = self._timed([self._decision(word) for word in old])
        since_ns = self._resolved[0].captured_ns if self._resolved else old[-1].captured_ns
        self.readings = [r for r in self.readings if r.captured_ns >= since_ns]
        self.decisions = self.decisions[-keep:]
        self.gate_ns = self.gate_ns[-keep:]
        del self.changes[:-_KEPT_CHANGES]
        kept = {word.epoch for word in self._resolved}
        for epoch in sorted(self._accounts)[:-_KEPT_CHANGES]:
            if epoch not in kept:
                del self._accounts[epoch]
        return decisions

    def _timed(self, decisions: list[FrameDecision]) -> list[FrameDecision]:
        """The same, timed from the run's first frame."""
        start_ns = self._first_ns(decisions)
        return [replace(d, captured_ns=d.captured_ns - start_ns) for d in decisions]

    def _first_ns(self, decisions: list[FrameDecision]) -> int:
        if self._start_ns is not None:
            return self._start_ns
        return decisions[0].captured_ns if decisions else 0

    def finish(self) -> tuple[list[FrameDecision], list[Reading], list[ContextChange]]:
        """Decisions in order of frames, readings and changes, timed from the first frame."""
        decisions = sorted((self._decision(w) for w in self._resolved), key=lambda d: d.frame)
        start_ns = self._first_ns(decisions)
        shifted = self._timed(decisions)
        readings = [
            Reading(r.source, r.captured_ns - start_ns, r.reasons)
            for r in self.readings
            if r.captured_ns >= start_ns
        ]
        changes = [
            ContextChange(max(0, at_ns - start_ns) / 1e9, outlook.setting, outlook.reasons)
            for at_ns, outlook in self.changes
        ]
        return shifted, readings, changes

    def _decision(self, word: Resolved) -> FrameDecision:
        if word.reason is None:
            return FrameDecision(
                word.sequence, word.captured_ns, Outcome.PASS, self.passing, (), self.rules
            )
        account = self._accounts.get(word.epoch, _NO_ACCOUNT)
        reasons = with_gates(account.reasons, word.reason)
        context = account.setting
        return FrameDecision(
            word.sequence, word.captured_ns, Outcome.BLOCK, context, reasons, account.rules
        )
