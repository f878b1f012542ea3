"""The decider process: reads evidence, judges, and tells gate, board and log.

    python -m edge.decision.decider < settings.json

`loading` reads its files, `intake` receives messages, `engine` decides and `effects`
carries the decisions out. This module runs their loop and ends them in order. It waits
for nothing except the audit log's sync and a look, during which it has its turns. If this
process stops or stalls, the gate's leases expire by themselves.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import cv2

from edge import ipc, scheduling
from edge.clock import MS, BootClock, Clock, S
from edge.decision.effects import Channels, Effects
from edge.decision.engine import Engine
from edge.decision.fork_alarm import ForkAlarm
from edge.decision.intake import Intake
from edge.decision.judge import REPORT_NS, Tell
from edge.decision.loading import load
from edge.decision.monitor import Monitor
from edge.decision.policy_day import PolicyDay
from edge.decision.self_check import SelfCheck
from edge.decision.settings import DeciderSettings
from edge.errors import GuardError
from edge.frames import lifecycle
from edge.frames.lifecycle import Failed, Ready
from edge.frames.pool import Pool
from edge.heartbeat import REST_MARK_NS, Beats, Role
from edge.models.aside import aside
from edge.reasons import Reason

T = TypeVar("T")
TURN_MS = 40  # between two turns at most...
PAUSE_S = 0.020  # ...and at least: what comes within it is heard together
REST_S = 0.080  # the same while the picture is rested: less than an evidence period
LAST_WORDS_NS = 1 * S  # how long the end of the guard waits for the gate's
BEGUN_NS = 10 * S  # until then, what only the first decisions need is in memory
GAP_NS = 250 * MS  # a pause of this process longer than this begins the dwell again


class Decider:
    """Turns: everybody is heard once, then the engine acts."""

    def __init__(self, settings: DeciderSettings, clock: Clock | None = None) -> None:
        """Load everything; raises GuardError where something is not what it should be."""
        self._clock = clock = clock or BootClock()
        self._beats = Beats(settings.beats_fd)
        self._channels = channels = Channels.attach(settings)
        loaded = load(settings, clock)
        setup, chosen = loaded.setup, loaded.chosen
        now_ns = clock.now_ns()
        accepts_unproven = setup.device.clock_unproven or settings.virtual
        self._day = day = PolicyDay(chosen, now_ns, accepts_unproven=accepts_unproven)
        self._engine = engine = Engine(
            setup, chosen.policy, loaded.fingerprint, loaded.models, now_ns, reload=loaded.reload
        )
        monitor = Monitor(channels.parent)
        self._effects = effects = Effects(loaded, engine.judge, day, channels, monitor, clock)
        consent_state = loaded.consent_state
        self._self_check = SelfCheck(
            loaded.clerk,
            chosen.version,
            ForkAlarm(setup.device.fork_alarm),
            consent_state,
            self._beats,
            clock,
            setup.interlocked,
        )
        layout = settings.picture.layout
        pool = Pool(settings.pool_fd, settings.pool, layout, writable=False)
        self._intake = Intake(
            pool,
            channels,
            engine,
            effects,
            self._self_check,
            consent_state,
            monitor,
            self._beats,
            clock,
        )
        effects.begin(settings, now_ns)
        self._turn_ns = now_ns  # when the last turn began
        self._over = False  # the stream ended and every released frame is accounted for

    def run(self) -> bool:
        """Turn until the parent or the gate is gone; then end the log; whether it took its end.

        Raises:
            MemoryError: there is none left; everything is revoked.
        """
        self._turn_ns = self._clock.now_ns()
        channels = self._channels
        begun = scheduling.LateReturn(self._turn_ns + BEGUN_NS)
        try:
            while True:
                time.sleep(REST_S if self._engine.judge.resting else PAUSE_S)
                _wait(channels.gate, channels.bridge, channels.parent)
                self.turn()
                begun.turn(self._turn_ns)
        except ipc.PeerGone:
            return self._stop()
        except MemoryError:
            self._revoke_all()
            self._stop()
            raise

    def _revoke_all(self) -> None:
        """There is no memory left: the gate first, then the board; the log says why."""
        self._engine.judge.silent = (Reason.RESOURCE,)
        self._effects.act()

    def turn(self) -> None:
        """Read every channel once, then let the engine act.

        Raises:
            ipc.PeerGone: the parent or the gate is gone.
        """
        gap = self._begin()
        now_ns = self._turn_ns
        if gap:  # before turns in the middle of a frame, which see none
            self._act(gap=True)
        if self._intake.gate(self._look):
            self._end_well()
        self._act(gap=gap)
        self._beats.rest(now_ns + REST_MARK_NS if self._engine.judge.resting else 0)

    def _look(self, look: Callable[[], T]) -> T:
        """Make one look at a frame, with turns before it and while it lasts."""
        self._between()
        return aside(look, self._between)

    def _between(self) -> None:
        """A turn in the middle of a frame: all but the gate, which sent it, are heard."""
        try:
            gap = self._begin()
            self._self_check.late |= self._intake.too_long(self._turn_ns)
            self._act(gap=gap)
        except ipc.PeerGone:
            pass  # found again once the gate's words are all read
        except MemoryError:
            self._revoke_all()  # now: a look that lasts is waited for first
            raise

    def _begin(self) -> bool:
        """Show that this process lives and hear the parent; whether there was a pause before."""
        now_ns = self._clock.now_ns()
        self._beats.beat(Role.DECIDER, now_ns)
        gap = now_ns - self._turn_ns > GAP_NS
        self._turn_ns = now_ns
        self._intake.parent()
        return gap

    def _act(self, *, gap: bool) -> None:
        """Hear the board and the inbox, then let the engine act on all that is known.

        This follows the gate's messages: reading a frame takes its time.
        """
        self._intake.bridge()
        self._intake.people(self._day.moment.now_s)
        term = self._effects.ask_day(self._clock.now_ns())
        failed = self._engine.failures.out
        judge, check = self._engine.judge, self._self_check
        judge.silent = check.reasons(term, gap=gap, models_failed=failed)
        if not self._over:
            self._effects.act()

    def _end_well(self) -> None:
        """The stream is over: the permit ends, but what was released may still be read."""
        self._over = True
        while actions := self._engine.judge.stop(self._clock.now_ns()):
            for action in actions:
                if not isinstance(action, Tell):
                    self._effects.do(action)

    def _stop(self) -> bool:
        """End the permit, read the gate's last reports, and close the log with its counts."""
        self._take_last_words()
        gone = False
        until_ns = self._clock.now_ns() + LAST_WORDS_NS
        while True:
            now_ns = self._clock.now_ns()
            late_ns = REPORT_NS if gone else 0  # no process is left to wait for
            for action in self._engine.judge.stop(now_ns + late_ns):
                self._effects.do(action)
            if not self._engine.judge.ending and (gone or now_ns > until_ns):
                break
            try:
                _wait(self._channels.gate)
                self._intake.gate_reports()
            except ipc.PeerGone:
                gone = True
        return self._effects.close(self._intake.frames, self._intake.results)

    def _take_last_words(self) -> None:
        """Act on an escape that the parent reported while the gate was already gone."""
        with contextlib.suppress(ipc.PeerGone):
            self._intake.parent()
        if self._self_check.escaped and not self._over:
            self._engine.judge.silent = (Reason.MATCHER_ESCAPE_ATTEMPT,)
            self._effects.act()


def _wait(*channels: socket.socket | None) -> None:
    """Sleep until a message comes, at most one turn."""
    fds = [channel.fileno() for channel in channels if channel is not None]
    select.select(fds, [], [], TURN_MS / 1000)


def main() -> int:
    """Run until the guard ends."""
    ipc.die_with_parent()
    scheduling.prefer()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = ipc.await_order(DeciderSettings)
    cv2.setNumThreads(1)
    parent = ipc.attach(settings.parent_fd)
    try:
        decider = Decider(settings)
    except GuardError as err:
        ipc.send(parent, lifecycle.encode(Failed(str(err))))
        return 2
    scheduling.settle()
    ipc.send(parent, lifecycle.encode(Ready()))
    try:
        return 0 if decider.run() else ipc.UNRECORDED
    except MemoryError as err:
        print(f"decider: {Reason.RESOURCE.value}: {err or 'out of memory'}", file=sys.stderr)
        return ipc.EXHAUSTED


if __name__ == "__main__":
    sys.exit(main())
