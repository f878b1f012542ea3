"""Replay: judge a recording as if it were a live camera, in virtual time.

The same sentinel, gate, vision and judge as in the running guard, driven by the
file's own timestamps, as fast as the machine allows and with the same result
every time. Evidence costs no time here and the board answers at once, so a
replay says what the rules decide, not how fast. Nothing is ever released to a
matcher: the endpoint only counts, or is a ring that the evaluation reads itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edge.audit.schema import Context as Setting
from edge.audit.schema import Entry, Release, Stamp
from edge.clock import MS, VirtualClock
from edge.commissioning.records import Device, Session
from edge.decision.engine import Engine, Examined
from edge.decision.judge import Action, Ask, Outlook, Tell, Write
from edge.decision.session_facts import Setup
from edge.evidence.readings import Reading
from edge.evidence.vision import DUE_NS, FaceFinder, Models, SceneFinder
from edge.frames.gate import Blocked, Gate, Pending
from edge.frames.messages import Ended
from edge.frames.releaser import MatcherEndpoint, Releaser
from edge.lease import MIN_VIEW_SCORE, Binding, Lease
from edge.masking.history import MaskHistory
from edge.masking.mask import Mask
from edge.masking.noise import BYTES as NOISE_BYTES
from edge.policy.outcome import Decides
from edge.reasons import Reason, with_gates
from edge.replay.examiner import Examiner, Moment, Pixels, Sample
from edge.report.record import ContextChange, FrameDecision
from edge.report.record import Outcome as FrameOutcome
from edge.view.body_watch import BodyFinder
from edge.view.fingerprint import Fingerprint
from edge.view.signs import ALL_BLOCKS

START_NS = 1_000 * MS  # virtual boot time of the clip's first frame
TURN_NS = 100 * MS  # between two turns where no frame and no sample comes


@dataclass(slots=True)
class Outcome:
    """Everything a replay found."""

    decisions: list[FrameDecision] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    changes: list[ContextChange] = field(default_factory=list)
    gate_ns: list[int] = field(default_factory=list)
    evidence_frames: int = 0
    last_ns: int = START_NS


class _Nothing:
    """An endpoint without a reader: a replay releases no pixels."""

    listening = True  # as if a matcher were there: what would have been released is counted

    def stage(self, frame: np.ndarray, mask: Mask) -> int:
        return 0

    def publish(self, slot: int, frame: np.ndarray, captured_ns: int, epoch: int) -> int:
        return 0

    def wipe(self) -> None:
        """Nothing was kept."""


class Replay:
    """One recording, one device, one session."""

    def __init__(
        self,
        device: Device,
        session: Session,
        policy: Decides,
        fingerprint: Fingerprint | None,
        faces: FaceFinder,
        *,
        release: Release = Release.BRACKETED,
        camera: bytes = bytes(16),
        log: Callable[[Entry, bool], int] | None = None,
        wall_ns: int = 0,
        scene: SceneFinder | None = None,
        bodies: BodyFinder | None = None,
        endpoint: MatcherEndpoint | None = None,
        min_view_score: float = MIN_VIEW_SCORE,
        max_age_ns: int | None = None,
        examiner: Examiner | None = None,
        rests: bool = True,
    ) -> None:
        """Begin blocked.

        Args:
            log: appends one entry durably or not and returns its index.
            bodies: finds people of whom no face is seen; without it only faces are people.
            endpoint: gets the pixels of what passes; without one they are not even kept.
            min_view_score: share of agreeing signs that a frame needs, as the policy says.
            max_age_ns: how old evidence may be, where the policy says so.
            examiner: looks at the frames; without one the pictures themselves are looked at.
            rests: reads pictures now and then only while they decide nothing, as the guard does.
        """
        lane = session.operation
        self._binding = Binding(camera, bytes(16), policy.digest, lane)
        setup = Setup(
            device,
            session,
            self._binding,
            release,
            interlocked=False,
            camera_known=True,
            min_view_score=min_view_score,
            max_age_ns=max_age_ns,
            lag_ns=0,  # a recording's times are those of its exposures
        )
        self._identifying = lane.identifying
        self._clock = VirtualClock(START_NS)
        models = Models(faces, scene, bodies)
        self._engine = Engine(setup, policy, fingerprint, models, START_NS, rests=rests)
        self._examiner = examiner or Pixels(fingerprint)
        self._gate = Gate(self._binding, min_view_score=min_view_score if lane.identifying else 0.0)
        self._releaser = Releaser(
            self._gate,
            endpoint or _Nothing(),
            self._clock,
            lambda frame: self._pictures.get(frame.sequence, _NO_PIXELS),
            self._passed,
            self._blocked,
            self._mask,
        )
        self._mask_rules, self._masked = device.masks, lane.masked
        self._masks: MaskHistory | None = None  # made for the size of the first frame
        self._keeps = endpoint is not None
        self._pictures: dict[int, np.ndarray] = {}  # of the frames that wait
        self._log = log
        self._wall_ns = wall_ns
        self._anchor = ALL_BLOCKS
        self._evidence_ns: int | None = None
        self._released = (0, -1)
        self._captured_ns: list[int] = []  # of each frame, from the clip's first
        self._outlooks: list[Outlook] = []  # what the judge thought while it was the newest
        self._records = 0
        self.outcome = Outcome()

    def run(self, shots: Iterable[Moment], samples: Sequence[Sample]) -> Outcome:
        """Play the frames and the board samples in order of time, then drain."""
        waiting = list(samples)
        waiting.reverse()
        last: Moment | None = None
        for shot in shots:
            at_ns = START_NS + shot.captured_ns
            while waiting and START_NS + waiting[-1].captured_ns <= at_ns:
                self._sample(waiting.pop())
            self._pass_time(at_ns)
            self._frame(shot.frame, at_ns)
            last = shot
        if last is not None:
            self._finish(last, waiting)
        return self.outcome

    def _finish(self, last: Moment, waiting: list[Any]) -> None:
        """A final reading of every class for the last frame, then the FIFO drains."""
        at_ns = START_NS + last.captured_ns
        self._examine(last.frame, at_ns, final=True)
        while waiting and START_NS + waiting[-1].captured_ns <= at_ns + 100 * MS:
            self._sample(waiting.pop())
        self._turn()
        for blocked in self._gate.bar(self._clock.now_ns(), Reason.BRACKET):
            self._blocked(blocked)
        self.outcome.decisions.sort(key=lambda d: d.frame)
        self.outcome.last_ns = self._clock.now_ns()

    def _mask(self, captured_ns: int, now_ns: int) -> Mask | None:
        """What a frame would leave through; see `edge.masking.history`."""
        assert self._masks is not None  # a frame waits, so one came
        return self._masks.of(captured_ns, now_ns)

    def _pass_time(self, at_ns: int) -> None:
        """Let the clock go on to `at_ns`; like a guard, the judge does not sleep in between."""
        while at_ns - self._clock.now_ns() > TURN_NS:
            self._clock.move_to(self._clock.now_ns() + TURN_NS)
            self._turn()
        if at_ns > self._clock.now_ns():
            self._clock.move_to(at_ns)

    def _sample(self, sample: Any) -> None:
        at_ns = max(START_NS + sample.captured_ns, 0)
        self._pass_time(at_ns)
        moved = replace(sample, captured_ns=at_ns)
        self.outcome.readings.extend(self._engine.board(moved))
        self._turn()

    def _begin(self, frame: Any) -> None:
        """Make what needs the size of the pictures."""
        if self._masks is None:
            self._masks = MaskHistory(
                frame.shape[0], frame.shape[1], self._mask_rules, _NOISE, people_too=self._masked
            )

    def _frame(self, frame: Any, at_ns: int) -> None:
        self._begin(frame)
        sequence = len(self._outlooks)
        began = time.perf_counter_ns()
        lease = self._gate.lease
        look = self._examiner.look(frame, self._anchor if lease is None else lease.seen_blocks)
        score = look.view_score if self._identifying else 1.0
        repeat = self._examiner.repeat
        pending = Pending(sequence, at_ns, score, sequence, frame.nbytes, repeat)
        if self._keeps:
            assert isinstance(frame, np.ndarray)  # an endpoint gets pictures
            self._pictures[sequence] = frame
        stopped = self._gate.admit(pending, self._clock.now_ns())
        self.outcome.gate_ns.append(time.perf_counter_ns() - began)
        self._captured_ns.append(at_ns - START_NS)
        self._outlooks.append(self._engine.judge.outlook)
        self.outcome.readings.extend(self._engine.saw(look, at_ns))
        if evidence_due(self._evidence_ns, at_ns) and not look.malformed:
            self._examine(frame, at_ns, final=False)
        self._turn()
        self._outlooks[sequence] = self._engine.judge.outlook  # now its own evidence has been heard
        for blocked in stopped:
            self._blocked(blocked)
        for blocked in self._gate.tick(self._clock.now_ns()):
            self._blocked(blocked)

    def _examine(self, frame: Any, at_ns: int, *, final: bool) -> None:
        found = self._examined(frame, at_ns, final=final)
        self._evidence_ns = at_ns
        if found.seen_blocks is not None:
            self._anchor = found.seen_blocks
        self.outcome.readings.extend(found.readings)
        self.outcome.evidence_frames += 1
        if found.mask is not None and self._masks is not None:
            self._masks.receive(found.mask)

    def _examined(self, frame: Any, at_ns: int, *, final: bool) -> Examined:
        return self._examiner.examine(self._engine, frame, at_ns, final=final)

    def _turn(self) -> None:
        """Let the judge act until it has nothing more to do, then release what passes."""
        now_ns = self._clock.now_ns()
        while actions := self._engine.judge.step(now_ns):
            for action in actions:
                self._act(action, now_ns)
        self._note_change(now_ns)
        self._releaser.drain()

    def _act(self, action: Action, now_ns: int) -> None:
        match action:
            case Tell(Lease() as lease):
                self._gate.grant(lease, now_ns)
            case Tell(revocation):
                assert not isinstance(revocation, Lease)
                for blocked in self._gate.revoke(revocation):
                    self._blocked(blocked)
                report = Ended(revocation.epoch, *self._released, None, False, True)
                self._engine.judge.ended(report)
                self._released = (0, -1)
            case Write(entry, durable):
                index = self._record(entry, durable, now_ns)
                if durable:
                    self._engine.judge.recorded(index, now_ns)
            case Ask():
                raise AssertionError("a replay has no board to ask")

    def _record(self, entry: Callable[[Stamp], Entry], durable: bool, now_ns: int) -> int:
        self._records += 1
        if self._log is None:
            return self._records
        return self._log(entry(self.stamp(now_ns)), durable)

    def stamp(self, now_ns: int) -> Stamp:
        """The stamp of a log entry at this virtual time."""
        binding = self._binding
        return Stamp(
            binding.boot, now_ns, self._wall_ns + now_ns - START_NS, binding.camera, binding.policy
        )

    def _passed(self, frame: Pending) -> None:
        sequence = frame.sequence
        self._pictures.pop(sequence, None)
        self._released = (self._released[0] + 1, frame.captured_ns)
        setting, rules = self._outlooks[sequence].setting, self._engine.judge.outlook.rules
        self._decided(sequence, FrameOutcome.PASS, setting, (), rules)

    def _blocked(self, blocked: Blocked) -> None:
        sequence = blocked.frame.sequence
        self._pictures.pop(sequence, None)
        then, now = self._outlooks[sequence], self._engine.judge.outlook
        reasons = with_gates((*then.reasons, *now.reasons), blocked.reason)
        setting = then.setting if then.reasons else now.setting
        self._decided(sequence, FrameOutcome.BLOCK, setting, reasons, then.rules or now.rules)

    def _decided(
        self,
        sequence: int,
        verdict: FrameOutcome,
        setting: Setting,
        reasons: tuple[Reason, ...],
        rules: tuple[str, ...],
    ) -> None:
        at_ns = self._captured_ns[sequence]
        self.outcome.decisions.append(
            FrameDecision(sequence, at_ns, verdict, setting, reasons, rules)
        )

    def _note_change(self, now_ns: int) -> None:
        outlook = self._engine.judge.outlook
        changes = self.outcome.changes
        if not changes or changes[-1].to.value != outlook.setting.value:
            at_s = max(0, now_ns - START_NS) / 1e9
            changes.append(ContextChange(at_s, outlook.setting, outlook.reasons))


def evidence_due(last_ns: int | None, at_ns: int) -> bool:
    """Whether a frame is an evidence frame, by when the last one was captured."""
    return last_ns is None or at_ns - last_ns >= DUE_NS


_NOISE = random.Random(0).randbytes(NOISE_BYTES)  # the same every time: no picture leaves
_NO_PIXELS = np.zeros((1, 1, 3), np.uint8)
