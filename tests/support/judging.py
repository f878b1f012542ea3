"""A judge with good evidence, which a test may make bad."""

from __future__ import annotations

from edge.audit.schema import End, Release, Stamp
from edge.clock import MS, S
from edge.commissioning.records import Device, Session
from edge.decision.judge import Action, Ask, Judge, Tell, Write
from edge.decision.session_facts import Setup
from edge.evidence.board_link import BoardStatus, Fault, Link
from edge.evidence.readings import BoardSample, Reading, Source, Vector
from edge.frames.messages import Ended
from edge.lease import Binding, Lane, Lease, Revocation
from edge.policy.engine import Policy
from edge.reasons import Reason

STEP_NS = 20 * MS


POLICY = Policy.load("strict")


BINDING = Binding(bytes(16), bytes(16), POLICY.digest, Lane.VERIFY)


DEVICE = Device(
    camera="fixed",
    mount="fixed_surveyed",
    site="till-2",
    dock_id="D-0017",
    publicly_accessible=False,
    lanes=(Lane.VERIFY,),
    dwell_s=1.0,
    user="private_business",
    by_or_for="neither",
    jurisdiction="EU",
)


SESSION = Session(Lane.VERIFY, "self_only", consent="valid", active_involvement=True)


SETUP = Setup(DEVICE, SESSION, BINDING, Release.BRACKETED, True, True, lag_ns=0)


STAMP = Stamp(bytes(16), 0, 0, bytes(16), POLICY.digest)


class World:
    """Everything around a judge: good evidence, a board that answers, a log that works."""

    def __init__(self, setup: Setup = SETUP, policy: Policy = POLICY) -> None:
        self.now_ns = S
        self.judge = Judge(setup, policy, self.now_ns)
        self.board_permits: int | None = None  # the decision the board has acknowledged
        self.answers = True
        self.writes = True
        self.lost: set[Source] = set()
        self.bad: dict[Source, Reason] = {}
        self.silent: tuple[Reason, ...] = ()
        self.done: list[Action] = []
        self.records = 0
        self.gate_answers = True
        self.docked = True
        self.refuse_permits = False  # a board that never acknowledges
        self.released = 3  # the number of frames that the gate reports as released under a lease

    def run(self, ns: int) -> list[Action]:
        """Let time pass in small steps; returns what the judge did meanwhile."""
        begun = len(self.done)
        for _ in range(ns // STEP_NS):
            self.now_ns += STEP_NS
            self.step()
        return self.done[begun:]

    def step(self) -> None:
        now_ns = self.now_ns
        gyro, accel = self.imu(now_ns)
        if Source.DOCK not in self.lost:
            self.judge.board(
                BoardSample(
                    now_ns,
                    dock=self.docked,
                    dock_id="D-0017",
                    tampered=False,
                    gyro_rad_s=gyro,
                    accel_m_s2=accel,
                )
            )
        sources = (Source.SIGN_MAP, Source.LIVENESS, Source.VIEW, Source.PEOPLE)
        for source in sources:
            if source not in self.lost:
                reason = self.bad.get(source)
                self.judge.observe([Reading(source, now_ns, (reason,) if reason else ())], 0xFFF)
        decision = self.board_permits or 0
        status = BoardStatus(now_ns, Link.UP, decision > 0, decision, Fault.NONE)
        if self.answers:
            self.judge.board_status = status
        self.judge.silent = self.silent
        while actions := self.judge.step(now_ns):
            for action in actions:
                self.carry_out(action)

    def imu(self, now_ns: int) -> tuple[Vector, Vector]:
        """The board's readings: rotation (rad/s) and acceleration (m/s^2)."""
        return (0.001, 0.0, now_ns % 7 / 1e4), (0.0, 0.0, 9.8)

    def stop(self) -> list[Action]:
        """Stop in good order; returns the judge's actions."""
        begun = len(self.done)
        while actions := self.judge.stop(self.now_ns):
            for action in actions:
                self.carry_out(action)
        return self.done[begun:]

    def answer(self) -> None:
        """Deliver the gate's late report on the newest revoked epoch."""
        messages = [a.message for a in self.done if isinstance(a, Tell)]
        epoch = next(m.epoch for m in reversed(messages) if isinstance(m, Revocation))
        self.judge.ended(Ended(epoch, self.released, self.now_ns, None, False, final=True))
        self.gate_answers = True

    def carry_out(self, action: Action) -> None:
        self.done.append(action)
        match action:
            case Write(_, True) if self.writes:
                self.records += 1
                self.judge.recorded(self.records, self.now_ns)
            case Ask(claim):
                heard = claim.releasing and self.answers and not self.refuse_permits
                self.board_permits = claim.decision if heard else None
            case Tell(Revocation(epoch, _, _)) if self.gate_answers:
                self.judge.ended(Ended(epoch, self.released, self.now_ns, None, False, final=True))


def kinds(actions: list[Action]) -> list[str]:
    """The actions in words, repeats left out."""
    words: list[str] = []
    for action in actions:
        match action:
            case Tell(message):
                word = type(message).__name__
            case Ask(claim):
                word = "ask" if claim.releasing else "unask"
            case Write(entry, durable):
                word = type(entry(STAMP)).__name__ + ("!" if durable else "")
        if not words or words[-1] != word:
            words.append(word)
    return words


def leases(actions: list[Action]) -> list[Lease]:
    return [a.message for a in actions if isinstance(a, Tell) and isinstance(a.message, Lease)]


def ends(actions: list[Action]) -> list[End]:
    """The ends of permits among the log entries."""
    entries = [action.entry(STAMP) for action in actions if isinstance(action, Write)]
    return [entry for entry in entries if isinstance(entry, End)]
