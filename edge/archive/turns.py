"""A replay of tapes that takes only the turns in which something can happen.

In a replay the judge has a turn at every frame and every sample of the board, some eighty a
second, and in most of them it says what it said before: no reading has other reasons than
the last one of its source, none has become stale, no time that anything waits for has come.
Here these turns are left out. What would have happened in them is caught up before the next
whole one: sources go on as they were, and a lease is renewed. So this takes a subset of the
turns of `Replay`, with the same judge, gate and releaser, and decides the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from edge.archive.boards import BoardMoment, Says
from edge.archive.tape import TapeExaminer, TapeFrame, TapeMoment
from edge.clock import MS
from edge.decision.engine import Examined
from edge.decision.judge import Action, Outlook, Tell
from edge.evidence.readings import Reading, Source
from edge.frames.gate import Blocked, Pending
from edge.lease import LIFE_NS, RENEW_NS, Lease
from edge.masking.mask import Mask, nothing
from edge.reasons import Reason
from edge.replay.engine import START_NS, TURN_NS, Outcome, Replay, evidence_due
from edge.report.record import FrameDecision

_NEVER = -LIFE_NS
_STEADY_NS = 250 * MS  # between two samples of the board that say the same: none became stale
_CLEAR = nothing(16, 16)  # of every frame in a lane without masks; a tape has no pixels


class TapeReplay(Replay):
    """One tape, one device, one session; see `Replay`. Its outcome holds no readings."""

    def __init__(self, *args: Any, examiner: TapeExaminer, **settings: Any) -> None:
        super().__init__(*args, examiner=examiner, **settings)
        self._tape = examiner
        judge = self._engine.judge
        self._judge, self._context = judge, judge.context
        self._valid_ns = {
            source: valid_ns
            for source in Source
            if (valid_ns := self._context.valid_ns(source)) is not None
        }
        self._brackets = self._context.brackets
        self._last: dict[Source, tuple[Reason, ...]] = {}  # by its last reading
        self._last_ns: dict[Source, int] = {}  # when that was
        self._again: set[Source] = set()  # have said the same again, and it is not caught up yet
        self._board_says: Says = ()  # of the last sample
        self._board_ns = -1  # when that was, and its sources said so
        self._board: list[Source] = []
        self._steady_ns = min([_STEADY_NS, *self._valid_ns.values()])
        self._others = list(self._brackets)  # that the board says nothing of
        self._changed = True  # something may happen in the next turn
        self._until_ns = -1  # nothing happens by itself until then
        self._turned_ns = START_NS  # the last turn, taken or left out
        self._holding = False
        self._outlook = self._engine.outlook
        self._seen_ns = -1  # of the last lease
        self._sent_ns = _NEVER
        self._blocks: tuple[Outlook, Outlook, Reason, FrameDecision] | None = None  # the last one

    def _begin(self, frame: Any) -> None:
        if self._masked:
            super()._begin(frame)

    def _mask(self, captured_ns: int, now_ns: int) -> Mask | None:
        return super()._mask(captured_ns, now_ns) if self._masked else _CLEAR

    def play(self, shots: Iterable[TapeMoment], samples: Sequence[BoardMoment]) -> Outcome:
        """`run` for tapes: the frames and what the board says in order of time."""
        times = [START_NS + sample.captured_ns for sample in samples]
        ends = _runs(samples, self._steady_ns)
        last: TapeMoment | None = None
        i, count = 0, len(samples)
        for shot in shots:
            at_ns = START_NS + shot.captured_ns
            while i < count and times[i] <= at_ns:
                if samples[i].says is self._board_says and i + 1 < ends[i]:
                    i = self._skip(times, i, ends[i], at_ns)
                self._sample(samples[i])
                i += 1
            self._pass_time(at_ns)
            self._frame(shot.frame, at_ns)
            last = shot
        if last is not None:
            self._finish(last, [*samples[: i - 1 : -1]] if i else [*samples[::-1]])
        return self.outcome

    def _skip(self, times: Sequence[int], i: int, end: int, at_ns: int) -> int:
        """The last of some samples that say the same, up to `end`, before a frame and a turn."""
        if self._changed or times[i] - self._board_ns > self._steady_ns:
            return i
        until_ns = min(at_ns, self._until_ns, self._clock.now_ns() + TURN_NS)
        return max(i, bisect_right(times, until_ns, i, end) - 1)

    def _sample(self, sample: BoardMoment) -> None:
        at_ns, says = max(START_NS + sample.captured_ns, 0), sample.says
        if says is self._board_says and at_ns - self._board_ns <= self._steady_ns:
            self._board_ns = at_ns
            now_ns = self._clock.now_ns()
            if not self._changed and now_ns <= at_ns <= min(self._until_ns, now_ns + TURN_NS):
                self._clock.move_to(at_ns)
                self._leave_out(at_ns)
            else:
                self._pass_time(at_ns)
                self._turn()
            return
        self._pass_time(at_ns)
        self._settle_board()
        for source, reasons in says:
            self._say(source, reasons, at_ns)
        self._board_says, self._board_ns = says, at_ns
        self._board = [source for source, _ in says if source in self._valid_ns]
        self._others = [source for source in self._brackets if source not in self._board]
        self._turn()

    def _frame(self, frame: TapeFrame, at_ns: int) -> None:
        self._begin(frame)
        tape, number, lease = self._tape, frame.number, self._gate.lease
        seen_blocks = self._anchor if lease is None else lease.seen_blocks
        malformed = tape.malformed[number]
        score = 0.0 if malformed else tape.score(number, seen_blocks)
        gate_score = score if self._identifying else 1.0
        pending = Pending(number, at_ns, gate_score, number, frame.nbytes, tape.repeats[number])
        now_ns = self._clock.now_ns()
        stopped = self._gate.admit(pending, now_ns)
        self._account(number, at_ns)
        self._say(Source.LIVENESS, tape.liveness[number], at_ns)
        if self._identifying:
            self._say(Source.SIGN_MAP, self._engine.sign_map(score), at_ns)
        if not malformed and evidence_due(self._evidence_ns, at_ns):
            self._examine(frame, at_ns, final=False)
        outlook = self._outlook
        self._turn()
        if self._outlook is not outlook:
            self._account(number, at_ns)
        for blocked in stopped:
            self._blocked(blocked)
        for blocked in self._gate.tick(now_ns):
            self._blocked(blocked)

    def _say(self, source: Source, reasons: tuple[Reason, ...], at_ns: int) -> None:
        """Take a reading; one that is as the last of its source is caught up later."""
        valid_ns = self._valid_ns.get(source)
        if valid_ns is None:
            if source is Source.STILLNESS:  # nobody asks for it, but what is seen is read by it
                self._engine.observe((Reading(source, at_ns, reasons),))
            return
        if self._last.get(source) == reasons and at_ns - self._last_ns[source] <= valid_ns:
            self._last_ns[source] = at_ns
            self._again.add(source)
            return
        self._catch_up()
        self._engine.observe((Reading(source, at_ns, reasons),))
        self._last[source], self._last_ns[source] = reasons, at_ns
        self._changed = True

    def _examined(self, frame: Any, at_ns: int, *, final: bool) -> Examined:
        seen = self._tape.sighting(at_ns, final=final)
        result = self._engine.read(seen)
        again = not final and not self._holding and not result.unsettled
        last, last_ns, valid_ns = self._last, self._last_ns, self._valid_ns
        asked = [reading for reading in result.readings if reading.source in valid_ns]
        for reading in asked:
            source = reading.source
            same = last.get(source) == reading.reasons
            again = again and same and at_ns - last_ns[source] <= valid_ns[source]
        if not again:
            self._changed = True
            self._catch_up()
        for reading in asked:
            last[reading.source], last_ns[reading.source] = reading.reasons, at_ns
        if again:
            self._again.update([reading.source for reading in asked])
        found = self._engine.take(seen, result, observed=again)
        self._holding = self._judge.holding
        return found

    def _turn(self) -> None:
        now_ns = self._clock.now_ns()
        if self._changed or (now_ns > self._until_ns and not self._lasts(now_ns)):
            self._whole_turn(now_ns)
            return
        self._leave_out(now_ns)
        if self._gate.waiting:
            self._releaser.drain()

    def _leave_out(self, now_ns: int) -> None:
        """Nothing happens in this turn, but that a permit goes on."""
        self._turned_ns = now_ns
        if self._outlook.permitted:
            self._go_on(now_ns)
        if self._masked and self._gate.waiting:  # a frame may have waited for its mask for too long
            self._releaser.drain()

    def _whole_turn(self, now_ns: int) -> None:
        self._catch_up()
        super()._turn()
        self._changed, self._turned_ns = False, now_ns
        self._until_ns = self._context.lasts_ns(now_ns)
        self._outlook = self._engine.outlook
        self._seen_ns = self._context.seen_ns

    def _lasts(self, now_ns: int) -> bool:
        """Whether what held in the last turn does still."""
        self._catch_up()
        self._until_ns = self._context.lasts_ns(self._turned_ns)
        return now_ns <= self._until_ns

    def _go_on(self, now_ns: int) -> None:
        """Renew the lease where a turn would have done so."""
        last_ns = self._last_ns
        seen_ns = min([last_ns[source] for source in self._others], default=self._board_ns)
        if len(self._others) < len(self._brackets):
            seen_ns = min(seen_ns, self._board_ns)
        if seen_ns == self._seen_ns and now_ns - self._sent_ns < RENEW_NS:
            return
        if 0 <= self._sent_ns <= now_ns - LIFE_NS:
            self._whole_turn(now_ns)
            return
        self._seen_ns = seen_ns
        for action in self._judge.go_on(seen_ns, now_ns):
            self._act(action, now_ns)
        self._releaser.drain()

    def _settle_board(self) -> None:
        """Note when the board's sources last said what they say."""
        for source in self._board:
            if self._last_ns[source] < self._board_ns:
                self._last_ns[source] = self._board_ns
                self._again.add(source)

    def _catch_up(self) -> None:
        """Let the sources go on to where they are, and the time to the last turn."""
        context = self._context
        self._settle_board()
        for source in self._again:
            context.go_on(source, self._last_ns[source])
        self._again.clear()
        if self._turned_ns > START_NS:
            context.go_on(Source.INTEGRITY, self._turned_ns)
        context.pass_time(self._turned_ns)

    def _act(self, action: Action, now_ns: int) -> None:
        super()._act(action, now_ns)
        if isinstance(action, Tell):
            self._sent_ns = now_ns if isinstance(action.message, Lease) else _NEVER

    def _blocked(self, blocked: Blocked) -> None:
        """As `Replay` does; a decision that is like the last one is not found again."""
        number, reason = blocked.frame.sequence, blocked.reason
        account, now = self._accounts[number], self._engine.outlook
        then = account.outlook
        last = self._blocks
        if last is None or last[0] is not then or last[1] is not now or last[2] is not reason:
            super()._blocked(blocked)
            self._blocks = (then, now, reason, self.outcome.decisions[-1])
            return
        like = last[3]
        self.outcome.decisions.append(
            FrameDecision(
                number, account.at_ns, like.verdict, like.context, like.reasons, like.rules
            )
        )


def _runs(samples: Sequence[BoardMoment], steady_ns: int) -> list[int]:
    """For each sample, the end of those from it on that say the same, none long after another."""
    ends, end = [0] * len(samples), len(samples)
    for i in range(len(samples) - 1, -1, -1):
        ends[i] = end
        one, before = samples[i], samples[i - 1]
        if one.says is not before.says or one.captured_ns - before.captured_ns > steady_ns:
            end = i
    return ends
