"""The parent: watches over the processes of a guard, and wipes the ring.

It gives its own heartbeat, so that stopping it drops the interlock like
stopping any other. When the gate dies it zeroes the release ring through its
own mapping. A lost matcher is started again; the loss of any other process
ends the guard, blocked.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
from collections.abc import Callable, Sequence
from functools import partial

from edge import ipc, scheduling
from edge.audit.schema import Board, Context
from edge.clock import BootClock, S
from edge.errors import GuardError, spent
from edge.evidence.readings import Source
from edge.frames import lifecycle
from edge.frames.lifecycle import (
    Escape,
    MatcherConnected,
    MatcherResult,
    Over,
    ResultRefused,
    SourceNote,
    StreamState,
    Token,
)
from edge.frames.messages import decode_resolved, is_resolved
from edge.frames.ring import Ring
from edge.guard.launch import Launch
from edge.guard.matcher import MatcherSupervisor
from edge.guard.plan import Plan, check
from edge.guard.processes import Child, first_lost
from edge.guard.recorder import Recorder
from edge.guard.run_folder import RunFolder, sweep
from edge.heartbeat import REST_TURN_MS, Beats, Role
from edge.reasons import Reason
from edge.sandbox.result_relay import ResultRelay
from framegate_client.results import Result

TURN_MS = 40  # no heartbeat of a process that a lease needs is older
BOARD_WAIT_NS = 3 * S  # how long the start waits for the board's first word
RT_PRIORITY = 1  # a late heartbeat of the parent would drop the interlock
MOST_REASONS = 4  # that a waiting matcher gets
MATCHER_WAIT_NS = 10 * S  # and this long for the matcher to connect
LAST_WORDS_NS = 3 * S  # for gate and decider to say what they released and wrote
BEGUN_NS = 8 * S  # after this, what only the start took is given back
MODEL_LIMIT_NS = 3 * S  # a model silent for this long has hung; permits ended long before


class Guard:
    """A running guard; use as a context manager."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        """Check every record; `say` gets the messages for the operator.

        Raises:
            GuardError: a record, key, view, policy or model is not what it should be.
        """
        self.plan = plan
        self._say = say
        self._clock = BootClock()
        checked = check(plan, say)
        self.store, self.device, self.session = checked.store, checked.device, checked.session
        self.view, self.policy = checked.view, checked.policy
        identifying = self.session.operation.identifying  # other lanes: never called controlled
        self.recorder = Recorder(Context.CONTROLLED if identifying else Context.UNCONTROLLED)
        self.beats = Beats.create()
        self._launch = Launch(checked, self.beats, say)
        self.children = self._launch.children
        self.others = tuple(
            Guard(other, partial(_say_of, say, other.name)) for other in plan.others
        )
        self._over = False  # its own gate has given all
        self.unrecorded = False  # the log did not take the last entry, which counts the frames
        self.source_note: SourceNote | None = None  # what of a recording was not given
        self.failure: str | None = None
        self.matcher = MatcherSupervisor(
            plan.matcher, checked.confinement, say, escaped=plan.escaped
        )
        self._escape_logged = False
        self._results = ResultRelay(plan.results, say)
        self._state: StreamState | None = None  # as the matcher last got it
        self._model_began_ns = self._model_seen_ns = 0
        self._begun = scheduling.LateReturn(None)  # until then
        self._folder: RunFolder | None = None  # a guard that is only checked leaves no trace
        self.token = secrets.token_hex(16)  # what the next matcher shows
        self._gate: socket.socket | None = None
        self._decider: socket.socket | None = None

    @property
    def ring(self) -> Ring | None:
        """The release ring, once the camera's picture is known."""
        return self._launch.ring

    @property
    def board_kind(self) -> Board:
        """What the log's start says; known when the camera is."""
        return self._launch.board_kind

    @property
    def over(self) -> bool:
        """Whether the stream ended, for every matcher on it."""
        return self._over and all(other.over for other in self.others)

    @property
    def environment(self) -> dict[str, str]:
        """What the next matcher of a started guard needs to connect, once."""
        assert self._folder is not None
        return {
            "FRAMEGATE_SOCKET": str(self._folder.socket),
            "FRAMEGATE_TOKEN": self.token,
            "FRAMEGATE_LANE": self.session.operation.value,
        }

    def __enter__(self) -> Guard:
        try:
            self._start()
        except ipc.PeerGone as err:
            lost = self._first_lost()
            self.close()
            raise GuardError(lost) from err
        except OSError as err:  # no descriptor, process or memory left, or a file is away
            self.close()
            raise GuardError(f"the guard cannot start: {spent(err) or err}") from err
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def turn(self) -> None:
        """One turn of the parent's loop, 40 ms or until something ends; at rest twice that.

        What gate and decider have to tell is heard once a turn: it feeds displays.
        """
        group = (self, *self.others)
        self._beat()
        poll = select.poll()
        for fd in (fd for guard in group for fd in guard.fds()):
            poll.register(fd, select.POLLIN)
        now_ns = self._clock.now_ns()
        resting = all(guard.beats.resting(now_ns) for guard in group)
        ready = {fd for fd, _ in poll.poll(REST_TURN_MS if resting else TURN_MS)}
        self._begun.turn(now_ns)
        for guard in group:
            guard.attend(ready)
        for other in self.others:
            other.source_note = self.source_note
            if other.failure is not None and self.failure is None:
                self.failure = f"matcher {other.plan.name}: {other.failure}"

    def _beat(self) -> None:
        for guard in (self, *self.others):
            guard.beats.beat(Role.PARENT, self._clock.now_ns())

    def fds(self) -> list[int]:
        """What ends a turn early when it is ready."""
        return [*(child.pidfd for child in self.children.values()), *self.matcher.fds()]

    def attend(self, ready: set[int]) -> None:
        """This guard's part of a turn, `ready` being the descriptors that are."""
        now_ns = self._clock.now_ns()
        assert self._gate is not None and self._decider is not None
        self.beats.beat(Role.PARENT, now_ns)
        self._reap([child for child in self.children.values() if child.pidfd in ready])
        self._end_a_hung_model(now_ns)
        with contextlib.suppress(ipc.PeerGone):
            for data in ipc.drain(self._decider):
                self._decider_message(data)
            for data in ipc.drain(self._gate):
                self._gate_message(data)
        with contextlib.suppress(ipc.PeerGone):  # the gate is gone: its end is seen by itself
            self.matcher.turn(ready, now_ns, over=self._over)
        self._tell_matcher(now_ns)
        if self.matcher.escaped and not self._escape_logged:
            with contextlib.suppress(ipc.PeerGone):  # all is revoked, and the log says why
                message = lifecycle.encode(Escape(self.matcher.tried))
                self._escape_logged = ipc.send(self._decider, message)
        if self.matcher.failure and self.failure is None:
            self.failure = self.matcher.failure

    def run(self, each_turn: Callable[[Recorder], None] = lambda recorder: None) -> None:
        """Turn until the stream is over or a process is lost (see `failure`)."""
        while not self.over and self.failure is None:
            self.turn()
            each_turn(self.recorder)
        self._let_matcher_finish()

    def close(self) -> None:
        """End every process in order: the decider writes the end of its log first."""
        scheduling.give_back()
        group = (self, *self.others)
        _take_last_words(group, self._clock)
        for guard in group:
            guard.end()

    def end(self) -> None:
        """End this guard's own processes, whose last words were heard."""
        for channel in self._launch.sockets:
            channel.close()
        self._launch.release_outlet()
        for name in ("decider", "bridge", "gate"):
            if name in self.children:
                self.children[name].end(wait_s=3.0)
                self.unrecorded |= self.children[name].process.returncode == ipc.UNRECORDED
        for child in self.children.values():
            child.end()
        self.matcher.close()
        self._results.close()
        if self.ring is not None:
            self.ring.wipe_all()
        for fd in self._launch.memory:
            os.close(fd)
        self._launch.memory.clear()
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def last_handlers(self) -> dict[socket.socket, Callable[[bytes], None]]:
        """Say that this is the end: the channels that may still speak, and who takes each."""
        takes = {"gate": self._gate_message, "decider": self._decider_message}
        channels = {"gate": self._gate, "decider": self._decider}
        for child in self.children.values():
            child.dismiss()
        self._gate = self._decider = None
        return {c: takes[name] for name, c in channels.items() if c and name in self.children}

    # starting

    def _start(self) -> None:
        sweep()
        scheduling.hold_real_time(RT_PRIORITY)
        ipc.hide_memory()
        launch, group = self._launch, (self, *self.others)
        for guard in group:
            guard._folder = RunFolder()
        for other in self.others:
            assert other._folder is not None
            other._launch.spawn_beside(other._folder.socket)
        assert self._folder is not None
        launch.spawn(self._folder.socket, [other._launch for other in self.others])
        for guard in group:
            guard._gate, guard._decider = guard._launch.gate, guard._launch.decider
        launch.configure(self.token, [other.token for other in self.others])
        scheduling.return_memory()  # while the others load, and before there is a second thread
        for guard in group:
            guard._launch.await_ready("gate", self._beat)
            guard._begin_matcher()
        for guard in group:
            guard._launch.await_ready("decider", self._beat)
        self._await_board()
        self._await_matchers()
        launch.go()
        self._begun = scheduling.LateReturn(self._clock.now_ns() + BEGUN_NS)

    def _begin_matcher(self) -> None:
        if self.ring is None or not self.ring.sealed:
            raise GuardError("the gate did not seal the release ring")
        self.matcher.start(lambda: self.environment, self._clock.now_ns())

    def _first_lost(self) -> str:
        """Which process was lost in the middle of a start; its channel broke first."""
        children = [c for guard in (self, *self.others) for c in guard.children.values()]
        until_ns = self._clock.now_ns() + LAST_WORDS_NS
        while self._clock.now_ns() < until_ns:
            ended = [child for child in children if child.process.poll() is not None]
            if ended:
                return first_lost(children, ended).describe_end()
            select.select([], [], [], TURN_MS / 1000)
        return "a process of the guard closed its channel during the start"

    def _await_board(self) -> None:
        """Give the board a moment to be heard, so that a camera's first frames count."""
        asked = self.session.operation.identifying
        if asked and not self._in_time(BOARD_WAIT_NS, lambda: Source.DOCK in self.recorder.newest):
            self._say("LINK_LOST: the board has not answered; the guard starts blocked")

    def _await_matchers(self) -> None:
        """Give each matcher the time to load what it needs, so that it misses nothing."""

        def late() -> list[Guard]:
            group = (self, *self.others)
            return [g for g in group if g.matcher.child is not None and not g.matcher.connected]

        if not self._in_time(MATCHER_WAIT_NS, lambda: not late()) and self.failure is None:
            for guard in late():
                guard._say(
                    "MATCHER_LOST: the matcher has not connected; the guard starts without it"
                )

    def _in_time(self, limit_ns: int, met: Callable[[], bool]) -> bool:
        """Turn until that is met; False if it takes longer, or the guard fails meanwhile."""
        until_ns = self._clock.now_ns() + limit_ns
        while not met():
            if self.failure is not None or self._clock.now_ns() > until_ns:
                return False
            self.turn()
        return True

    # watching

    def _decider_message(self, data: bytes) -> None:
        if lifecycle.belongs(data):  # its report that it is ready, outside a start
            return
        self.recorder.decider_message(data)

    def _gate_message(self, data: bytes) -> None:
        if is_resolved(data):
            self.recorder.resolved(decode_resolved(data))
            return
        match lifecycle.decode(data):
            case Over():
                self._over = True
                if not self.plan.name:  # the camera is the first matcher's
                    self.source_note = self._launch.source_note()
            case MatcherResult(subject, score, comparisons):
                result = Result(subject, score, comparisons)
                self._results.take(result, self._clock.now_ns())
            case ResultRefused(why, ended=True):
                reason = Reason.MATCHER_PROTOCOL
                self._say(f"{reason.value}: {reason.happened} {reason.stays_off} ({why})")
            case ResultRefused(why):
                line = f"dropped what the matcher handed in (one line a minute at most): {why}"
                self._results.warn(line, self._clock.now_ns())
            case MatcherConnected():
                self.matcher.connected = True
                self.token = secrets.token_hex(16)  # the one it showed is spent
                if self._gate is not None:
                    ipc.send(self._gate, lifecycle.encode(Token(self.token)))

    def _tell_matcher(self, now_ns: int) -> None:
        """Whether frames are released, and if not, why not, whenever that changes."""
        flowing = self.recorder.passes(now_ns)
        reasons = self.recorder.why_not(now_ns)[:MOST_REASONS]
        helps = tuple((reason.value, reason.happened, reason.next_step) for reason in reasons)
        state = StreamState(flowing, helps)
        if state != self._state and self._gate is not None:
            with contextlib.suppress(ipc.PeerGone):
                if ipc.send(self._gate, lifecycle.encode(state)):
                    self._state = state

    def _reap(self, ended: list[Child]) -> None:
        lost = {child.name for child in ended}
        # whichever end is seen first: others may end of the gate's end before it is seen itself
        if self.ring is not None and ("gate" in lost or (lost and not self._over)):
            self.ring.wipe_all()
        if ended and not self._over and self.failure is None:
            self.failure = first_lost(self.children.values(), ended).describe_end()

    def _end_a_hung_model(self, now_ns: int) -> None:
        """A model that does not come back takes its process with it; leases ended long before."""
        began_ns, decider = self.beats.model_began_ns, self.children["decider"]
        if began_ns == 0 or began_ns != self._model_began_ns:
            self._model_began_ns, self._model_seen_ns = began_ns, now_ns
        elif now_ns - self._model_seen_ns > MODEL_LIMIT_NS and self.failure is None:
            if decider.stopped:  # by someone: it may go on yet, and finds a gap in time then
                self._model_seen_ns = now_ns
                return
            decider.process.kill()
            limit_s = MODEL_LIMIT_NS / S
            self.failure = f"MODEL_TIMEOUT: a model did not answer for {limit_s:g} s"

    def _let_matcher_finish(self) -> None:
        """The stream is over: a matcher that reads to the end gets the time to say so."""
        group = (self, *self.others)
        self._in_time(3 * S, lambda: all(guard.matcher.child is None for guard in group))


def _say_of(say: Callable[[str], None], name: str, line: str) -> None:
    say(f"matcher {name}: {line}")


def _take_last_words(group: Sequence[Guard], clock: BootClock) -> None:
    """Say that this is the end, and take what gates and deciders still have to tell."""
    speaking = {channel: take for guard in group for channel, take in guard.last_handlers().items()}
    for channel in speaking:
        with contextlib.suppress(OSError):  # it is gone already
            channel.shutdown(socket.SHUT_WR)
    until_ns = clock.now_ns() + LAST_WORDS_NS
    while speaking and clock.now_ns() < until_ns:
        for channel in select.select(list(speaking), [], [], TURN_MS / 1000)[0]:
            try:
                for data in ipc.drain(channel):
                    speaking[channel](data)
            except ipc.PeerGone:
                del speaking[channel]
