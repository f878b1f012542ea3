"""A replay of tapes that takes only the turns in which something can happen.

In a replay the judge has a turn at every frame and every sample of the board, some eighty a
second, and in most of them it says what it latest before: no reading has other reasons than
the last one of its source, none has become stale, no time that anything waits for has come.
Here these turns are left out. What would have happened in them is caught up before the next
whole one: sources go on as they were, and a lease is renewed. So this takes a subset of the
turns of `Replay`, with the same judge, gate and releaser, and decides the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from edge.archive.boards import BoardMoment, BoardTape, Says
from edge.archive.decided import Decided, Kind
from edge.archive.tape import TapeExaminer
from edge.audit.schema import Context as Setting
from edge.clock import MS
from edge.decision.engine import Examined
from edge.decision.judge import Action, Outlook, Tell
from edge.evidence.context import FOREVER_NS
from edge.evidence.readings import Reading, Source
from edge.frames.gate import Blocked, Pending
from edge.lease import LIFE_NS, RENEW_NS, Lease
from edge.masking.mask import Mask, nothing
from edge.reasons import Reason
from edge.replay.engine import START_NS, TURN_NS, Replay, evidence_due
from edge.report.record import Outcome as FrameOutcome

_NEVER = -LIFE_NS
_STEADY_NS = 250 * MS  # between two samples of the board that say the same: none became stale
_CLEAR = nothing(16, 16)  # of every frame in a lane without masks; a tape has no pixels


class _Latest:
    """What one source said last, and when."""

    __slots__ = ("again", "at_ns", "reasons", "source", "valid_ns")

    def __init__(self, source: Source, valid_ns: int) -> None:
        self.source, self.valid_ns = source, valid_ns  # how long a reading counts
        self.reasons: tuple[Reason, ...] | None = None  # None: nothing yet
        self.at_ns = -1
        self.again = False  # it said the same again, and that is not caught up yet

    def repeats(self, reasons: tuple[Reason, ...], at_ns: int) -> bool:
        """Whether a reading is as the last one, which still counts."""
        return self.reasons == reasons and 0 <= at_ns - self.at_ns <= self.valid_ns


class TapeReplay(Replay):
    """One tape, one device, one session; see `Replay`. Its outcome stays empty: see `play`."""

    def __init__(self, *args: Any, examiner: TapeExaminer, **settings: Any) -> None:
        super().__init__(*args, examiner=examiner, **settings)
        self._tape = examiner
        self._judge = self._engine.judge
        self._context = self._judge.context
        valid = {source: self._context.valid_ns(source) for source in Source}
        known = {source: ns for source, ns in valid.items() if ns is not None}
        self._latest = {source: _Latest(source, valid_ns) for source, valid_ns in known.items()}
        self._live, self._signs = self._latest[Source.LIVENESS], self._latest.get(Source.SIGN_MAP)
        self._brackets = [self._latest[source] for source in self._context.brackets]
        self._again: list[_Latest] = []  # that have said the same again
        self._board_says: Says = ()  # of the last sample
        self._board_ns = -1  # when that was, and its sources said so
        self._board: list[_Latest] = []
        self._board_brackets = False
        self._steady_ns = min(_STEADY_NS, *[latest.valid_ns for latest in self._latest.values()])
        self._others = self._brackets  # that the board says nothing of
        self._others_ns = -1  # up to when all of these have said something
        self._changed = True  # something may happen in the next turn
        self._until_ns = -1  # nothing happens by itself until then
        self._turned_ns = START_NS  # the last turn, taken or left out
        self._acted = False  # something was done in this turn
        self._holding = False
        self._outlook = self._engine.judge.outlook
        self._seen_ns = -1  # of the last lease
        self._sent_ns = _NEVER
        self._kinds: dict[Kind, int] = {}
        self._last_kind: Kind | None = None
        self._last_row = -1
        self._rows = [-1] * len(examiner.captured_ns)
        self._alike: tuple[Outlook, Outlook, Reason, int] | None = None  # the last one blocked

    def play(self, board: BoardTape) -> Decided:
        """`run` for tapes: the frames, and what the board says, in order of time."""
        tape = self._tape
        times, says = board.times_ns(START_NS), board.says.values()
        ends = board.runs(self._steady_ns)
        i, count, at_ns = 0, len(times), -1
        for number, captured_ns in enumerate(tape.captured_ns):
            at_ns = START_NS + captured_ns
            while i < count and times[i] <= at_ns:
                if says[i] is self._board_says:
                    after = self._pass_over(times, i, ends[i], at_ns)
                    if after > i:
                        i = after
                        continue
                self._heard(says[i], times[i])
                i += 1
            if at_ns > self._clock.now_ns():
                self._pass_time(at_ns)
            self._shot(number, at_ns)
        if at_ns >= 0:
            rest = list(map(BoardMoment, board.captured_ns[i:].tolist(), says[i:]))
            self._finish(tape.moment(-1), rest[::-1])
        return Decided(tape.captured_ns, tuple(self._kinds), self._rows)

    def _pass_over(self, times: Sequence[int], i: int, end: int, at_ns: int) -> int:
        """Leave out the samples up to a frame that say the same, if nothing waits for them.

        Returns the first that was not left out.
        """
        now_ns, board_ns = self._clock.now_ns(), self._board_ns
        if self._changed or not max(now_ns, board_ns) <= times[i] <= board_ns + self._steady_ns:
            return i
        until_ns = min(at_ns, self._until_ns, now_ns + TURN_NS)
        if self._outlook.permitted:
            closes = self._board_brackets and board_ns < self._others_ns  # what the frames showed
            if closes or (self._masked and self._gate.waiting):
                return i
            until_ns = min(until_ns, self._sent_ns + RENEW_NS - 1)
        after = bisect_right(times, until_ns, i, end)
        if after > i:
            self._board_ns = self._turned_ns = times[after - 1]
            self._clock.move_to(self._board_ns)
        return after

    def _sample(self, sample: BoardMoment) -> None:
        self._heard(sample.says, max(START_NS + sample.captured_ns, 0))

    def _heard(self, says: Says, at_ns: int) -> None:
        """Take what the board says in one sample, and a turn."""
        if says is self._board_says and 0 <= at_ns - self._board_ns <= self._steady_ns:
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
            latest = self._latest.get(source)
            if latest is not None:
                self._say(latest, reasons, at_ns)
            elif source is Source.STILLNESS:  # nobody asks for it, but what is seen is read by it
                self._engine.observe((Reading(source, at_ns, reasons),))
        self._board_says, self._board_ns = says, at_ns
        self._board = [self._latest[source] for source, _ in says if source in self._latest]
        self._others = [latest for latest in self._brackets if latest not in self._board]
        self._board_brackets = len(self._others) < len(self._brackets)
        self._note_others()
        self._turn()

    def _shot(self, number: int, at_ns: int) -> None:
        """`_frame` for one frame of the tape."""
        if self._masked:
            self._begin(self._tape.moment(number).frame)
        tape, gate, lease = self._tape, self._gate, self._gate.lease
        malformed, score = tape.malformed[number], 1.0
        if self._identifying:
            seen_blocks = self._anchor if lease is None else lease.seen_blocks
            score = 0.0 if malformed else tape.score(number, seen_blocks)
        now_ns, outlook = self._clock.now_ns(), self._outlook
        repeat = tape.repeats[number]
        stopped = gate.admit(Pending(number, at_ns, score, number, tape.nbytes, repeat), now_ns)
        self._outlooks.append(outlook)
        self._say(self._live, tape.liveness[number], at_ns)
        if self._signs is not None:
            self._say(self._signs, self._engine.sign_map(score), at_ns)
        else:
            self._note_others()  # liveness may bracket there
        if not malformed and evidence_due(self._evidence_ns, at_ns):
            self._examine(None, at_ns, final=False)
        self._acted = False
        self._turn()
        self._outlooks[number] = self._outlook  # now its own evidence has been heard
        for blocked in stopped:
            self._blocked(blocked)
        if self._acted or (stopped and gate.lease is not None):  # `admit` did so otherwise
            for blocked in gate.tick(now_ns):
                self._blocked(blocked)

    def _say(self, latest: _Latest, reasons: tuple[Reason, ...], at_ns: int) -> None:
        """Take a reading; one that is as the last of its source is caught up later."""
        if latest.repeats(reasons, at_ns):
            latest.at_ns = at_ns
            if not latest.again:
                self._repeated(latest)
            return
        self._catch_up()
        self._engine.observe((Reading(latest.source, at_ns, reasons),))
        latest.reasons = reasons if at_ns >= latest.at_ns else None
        latest.at_ns = at_ns
        self._changed = True

    def _repeated(self, latest: _Latest) -> None:
        if not latest.again:
            latest.again = True
            self._again.append(latest)

    def _examined(self, frame: Any, at_ns: int, *, final: bool) -> Examined:
        seen = self._tape.sighting(at_ns, final=final)
        result = self._engine.read(seen)
        again = not final and not self._holding and not result.unsettled
        asked = []
        for reading in result.readings:
            latest, reasons = self._latest.get(reading.source), reading.reasons
            if latest is not None:
                asked.append((latest, reasons))
                again = again and latest.repeats(reasons, at_ns)
        if not again:
            self._changed = True
            self._catch_up()
        for known, reasons in asked:
            known.reasons, known.at_ns = reasons, at_ns
            if again:
                self._repeated(known)
        self._note_others()
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
        self._outlook = self._judge.outlook
        self._seen_ns = self._context.seen_ns

    def _note_change(self, now_ns: int) -> None:
        """Nobody asks for the changes."""

    def _lasts(self, now_ns: int) -> bool:
        """Whether what held in the last turn does still."""
        self._catch_up()
        self._until_ns = self._context.lasts_ns(self._turned_ns)
        return now_ns <= self._until_ns

    def _go_on(self, now_ns: int) -> None:
        """Renew the lease where a turn would have done so."""
        seen_ns = min(self._others_ns, self._board_ns) if self._board_brackets else self._others_ns
        if seen_ns == self._seen_ns and now_ns - self._sent_ns < RENEW_NS:
            return
        if 0 <= self._sent_ns <= now_ns - LIFE_NS:
            self._whole_turn(now_ns)
            return
        self._seen_ns = seen_ns
        for action in self._judge.go_on(seen_ns, now_ns):
            self._act(action, now_ns)
        self._releaser.drain()

    def _note_others(self) -> None:
        self._others_ns = min([latest.at_ns for latest in self._others], default=FOREVER_NS)

    def _settle_board(self) -> None:
        """Note when the board's sources last said what they say."""
        for latest in self._board:
            if latest.at_ns < self._board_ns:
                latest.at_ns = self._board_ns
                self._repeated(latest)

    def _catch_up(self) -> None:
        """Let the sources go on to where they are, and the time to the last turn."""
        context = self._context
        self._settle_board()
        for latest in self._again:
            context.go_on(latest.source, latest.at_ns)
            latest.again = False
        self._again.clear()
        if self._turned_ns > START_NS:
            context.go_on(Source.INTEGRITY, self._turned_ns)
        context.pass_time(self._turned_ns)

    def _act(self, action: Action, now_ns: int) -> None:
        self._acted = True
        super()._act(action, now_ns)
        if isinstance(action, Tell):
            self._sent_ns = now_ns if isinstance(action.message, Lease) else _NEVER

    def _mask(self, captured_ns: int, now_ns: int) -> Mask | None:
        return super()._mask(captured_ns, now_ns) if self._masked else _CLEAR

    def _blocked(self, blocked: Blocked) -> None:
        """As `Replay` does; a decision that is like the last one is not found again."""
        number, reason = blocked.frame.sequence, blocked.reason
        then, now, last = self._outlooks[number], self._judge.outlook, self._alike
        if last is not None and last[0] is then and last[1] is now and last[2] is reason:
            self._rows[number] = last[3]
        else:
            super()._blocked(blocked)
            self._alike = then, now, reason, self._rows[number]

    def _decided(
        self,
        sequence: int,
        verdict: FrameOutcome,
        setting: Setting,
        reasons: tuple[Reason, ...],
        rules: tuple[str, ...],
    ) -> None:
        last = self._last_kind
        alike = last is not None and reasons is last[2] and rules is last[3] and setting is last[1]
        if not alike:
            kind = self._last_kind = verdict, setting, reasons, rules  # reasons tell the verdict
            self._last_row = self._kinds.setdefault(kind, len(self._kinds))
        self._rows[sequence] = self._last_row
