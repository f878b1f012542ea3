"""What the decider does: carries the judge's actions to gate, board and log.

The order is the judge's. The log's entries are stamped here, and what a later start must
know (the time that has passed, the length of the log) is kept here: in the log and on
the board.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from edge import ipc
from edge.audit.clerk import Clerk
from edge.audit.schema import ClockJump, ClockReset, Entry, Floor, Kind, Stamp, Start, Stop
from edge.clock import Clock, S
from edge.decision.judge import Action, Ask, Judge, Tell, Write
from edge.decision.loading import Loaded
from edge.decision.monitor import Monitor
from edge.decision.policy_day import PolicyDay
from edge.decision.settings import DeciderSettings
from edge.errors import AuditError
from edge.evidence import board_link as board
from edge.lease import Revocation
from edge.lease import encode as encode_lease
from edge.reasons import Reason
from edge.version import VERSION

KEEP_FLOOR_S = 3600  # how far the log's floor may lie behind the proven time


@dataclass(frozen=True, slots=True)
class Channels:
    """The decider's ends; only a lane that asks for a board has a bridge to it."""

    gate: socket.socket
    parent: socket.socket
    bridge: socket.socket | None

    @classmethod
    def attach(cls, settings: DeciderSettings) -> Channels:
        """The inherited ones.

        Raises:
            GuardError: one was made by somebody else.
        """
        fd = settings.bridge_fd
        bridge = ipc.attach(fd) if fd is not None else None
        return cls(ipc.attach(settings.gate_fd), ipc.attach(settings.parent_fd), bridge)


class Effects:
    """One guard's log, and what it tells gate, board and parent."""

    def __init__(
        self,
        loaded: Loaded,
        judge: Judge,
        day: PolicyDay,
        channels: Channels,
        monitor: Monitor,
        clock: Clock,
    ) -> None:
        self.clerk: Clerk = loaded.clerk
        self.policy_version = loaded.chosen.version
        self._loaded = loaded
        self._binding = loaded.setup.binding
        self._judge = judge
        self._day = day
        self._channels = channels
        self._monitor = monitor
        self._clock = clock
        self._kept_floor_s = loaded.chosen.floor_s  # as the log has it

    def begin(self, settings: DeciderSettings, now_ns: int) -> None:
        """Write that a guard began, blocked.

        Raises:
            AuditError: the log takes nothing.
        """
        setup, chosen = self._loaded.setup, self._loaded.chosen
        start = Start(
            self._stamp(now_ns),
            VERSION,
            chosen.policy.pack.name,
            setup.session.operation,
            setup.device.dwell_s,
            setup.release,
            settings.virtual,
            self._loaded.enrolment,
            settings.board,
        )
        self.clerk.write(start, durable=True)
        not_yet_s = setup.device.clock_not_yet_s
        if not_yet_s is not None and self._loaded.time_floor_ns >= not_yet_s * S:
            reset = ClockReset(self._stamp(now_ns), not_yet_s * S, chosen.floor_s * S)
            self.clerk.write(reset, durable=True)
        if self._day.has_term:
            self._keep_floor(now_ns)
        self._mirror_floor()

    def act(self) -> None:
        """Let the judge act until it has nothing more to do."""
        while actions := self._judge.step(self._clock.now_ns()):
            for action in actions:
                self.do(action)
        self._monitor.outlook(self._judge.outlook, self._clock.now_ns())
        self._monitor.checkpoint(self.clerk.log.checkpoint)

    def do(self, action: Action) -> None:
        """Carry one action out."""
        match action:
            case Tell(message):
                ipc.send(self._channels.gate, encode_lease(message))
                if isinstance(message, Revocation):
                    self._monitor.revoked(message, self._judge.outlook)
            case Ask(claim):
                if self._channels.bridge is not None:
                    ipc.send(self._channels.bridge, board.encode(claim))
            case Write(entry, durable):
                self.write(entry, durable=durable)

    def write(self, entry: Callable[[Stamp], Entry], *, durable: bool) -> None:
        """Write an entry; says so and goes on if the log takes none, which blocks."""
        before = self.clerk.log.size
        made = entry(self._stamp(self._clock.now_ns()))
        try:
            index = self.clerk.write(made, durable)
        except AuditError as err:
            print(f"decider: {err}", file=sys.stderr)
            return
        # a change that came too soon after another is written later
        if index >= before and made.kind in (Kind.PERMIT, Kind.END, Kind.DENY):
            self._monitor.wrote(index, permitted=made.kind is Kind.PERMIT)
        if durable:
            self._mirror_floor()
            self._judge.recorded(index, self._clock.now_ns())

    def ask_day(self, now_ns: int) -> tuple[Reason, ...]:
        """What is wrong with the time and with the policy's dates, asked once a second.

        Which day's rules hold is settled here too, so none begins or ends with a restart.
        """
        moment = self._day.ask(now_ns, dated=self._binding.lane.identifying)
        if moment is not None:
            if moment.jump_s:
                self.write(partial(ClockJump, by_s=moment.jump_s), durable=False)
            if self._day.floor_s - self._kept_floor_s > KEEP_FLOOR_S:
                try:
                    self._keep_floor(now_ns)
                except AuditError as err:  # the next durable entry blocks on the same cause
                    print(f"decider: {err}", file=sys.stderr)
            if self._day.turn():
                self._judge.ruling.rule_by(self._day.policy)
        return self._day.reasons

    def close(self, frames: int, results: tuple[int, int]) -> bool:
        """Write that the guard ended in good order, and close the log; whether it took that.

        Args:
            frames: that were captured, in the whole run.
            results: the matcher's, handed on and dropped.
        """
        stop = Stop(self._stamp(self._clock.now_ns()), self._judge.released, frames, *results)
        try:
            self.clerk.close(stop)
            taken = True
        except AuditError as err:
            print(f"decider: {err}", file=sys.stderr)
            taken = False
        self._monitor.checkpoint(self.clerk.log.checkpoint)
        return taken

    def _keep_floor(self, now_ns: int) -> None:
        """Write the time that is proven to have passed into the log, for later starts."""
        self._kept_floor_s = self._day.floor_s
        floor = Floor(self._stamp(now_ns), self.policy_version, self._kept_floor_s * S)
        self.clerk.write(floor, durable=True)

    def _mirror_floor(self) -> None:
        """Let the board remember how long the log is; it answers with what it knows."""
        if self._channels.bridge is not None:
            floors = board.Floors(self.clerk.log.floor, self.policy_version)
            ipc.send(self._channels.bridge, board.encode(floors))

    def _stamp(self, now_ns: int) -> Stamp:
        binding = self._binding
        digest = self._day.policy.digest  # of today; the binding names the guard's first day
        return Stamp(binding.boot, now_ns, self._day.wall_ns(now_ns), binding.camera, digest)
