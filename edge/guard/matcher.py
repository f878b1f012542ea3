"""The matcher supervisor: starts the matcher, in its sandbox if it has one, and restarts it.

A matcher that tries to leave its sandbox is killed with all its children. This
guard does not start it again: somebody has to look at it first. The kernel reports
attempts through the seccomp filter, see `edge.sandbox.notifier`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping
from functools import partial

from edge import ipc
from edge.attempts import Attempt
from edge.clock import MS, S
from edge.guard.matcher_output import OutputRelay, relays_of
from edge.guard.processes import Child, spawn_matcher, spawn_sandboxed
from edge.sandbox import spec as sandbox
from edge.sandbox.notifier import SeccompNotifier
from edge.sandbox.paths import refused

_PAUSES_NS = (0, 500 * MS, 1 * S, 2 * S, 5 * S)
_LAST_WORDS_S = 1.0  # for what a matcher printed last
_NOT_FOUND = 127  # a shell's exit code for a command that is not there
_LAST_WORDS = 160  # letters of a matcher's last line
_HEALTHY_NS = 60 * S  # a matcher that ran for this long has made good what was before


def cause(child: Child, last_words: str) -> str:
    """Why a matcher ended, as far as its exit code and its last line on standard error say."""
    code = child.process.returncode
    if code == _NOT_FOUND:
        return (
            ", for a program that it starts was not found: name the interpreter itself, not a "
            "script that picks one"
        )
    return f": {last_words[:_LAST_WORDS]}" if last_words and code > 0 else ""


class MatcherSupervisor:
    """At most one matcher at a time."""

    def __init__(
        self,
        command: tuple[str, ...],
        confinement: sandbox.Confinement | None,
        say: Callable[[str], None],
        *,
        escaped: str = "",
    ) -> None:
        """`escaped`: how a matcher of this command tried to get out before; then none starts."""
        self.child: Child | None = None
        self.connected = False  # a matcher has connected at least once
        self.escaped = bool(escaped)
        self.attempt = escaped  # what it tried, in words
        self.tried: Attempt | None = None  # the same as the log has it, if this guard saw it
        self.failure = ""  # why there can be none at all
        self.lost = 0  # matchers that ended by themselves while frames could come
        self.lines_left_out = 0  # of what they printed, for there was too much
        self._command = command
        self._confinement = confinement
        self._say = say
        self._environment: Callable[[], Mapping[str, str]] = dict
        self._notifier: SeccompNotifier | None = None
        self._relays: tuple[OutputRelay, ...] = ()
        self._losses = 0
        self._began_ns = 0
        self._again_ns: int | None = None

    def start(self, ask: Callable[[], Mapping[str, str]], now_ns: int) -> None:
        """Start the matcher, if there is to be one; `ask` says what the next one connects with.

        Raises:
            ipc.PeerGone: the gate does not listen any more.
        """
        self._environment = ask
        self._began_ns = now_ns
        if not self._command or self.escaped:
            return
        environment = ask()
        if self._confinement is None:
            self.child = spawn_matcher(list(self._command), environment)
            return
        given = {k: v for k, v in environment.items() if k != "FRAMEGATE_SOCKET"}
        ours, theirs = socket.socketpair()
        self._notifier = SeccompNotifier(ours, list(map(str, self._confinement.devices)))
        self._notifier.start()
        with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
            try:
                channel.connect(environment["FRAMEGATE_SOCKET"])
            except OSError as err:  # the gate listens there, or is gone
                raise ipc.PeerGone(str(err)) from err
            self.child = spawn_sandboxed(
                self._command, self._confinement, given, channel.fileno(), theirs.fileno()
            )
        self._relays = relays_of(self.child, partial(refused, confinement=self._confinement))

    def fds(self) -> list[int]:
        """Descriptors whose readiness means that `turn` has work."""
        found = [] if self.child is None else [self.child.pidfd]
        if self._notifier is not None and not self.escaped:
            found.append(self._notifier.fd)
        return found

    def turn(self, ready: set[int], now_ns: int, *, over: bool) -> None:
        """See to what happened; `over`: the stream ended, a matcher may end with it."""
        if self._notifier is not None and self._notifier.fd in ready and not self.escaped:
            self.escaped = True
            self.attempt, self.tried = self._notifier.attempt, self._notifier.kind
            self._say(
                f"MATCHER_ESCAPE_ATTEMPT: the matcher tried: {self.attempt}; it is ended "
                "and not started again until the guard is restarted or reloaded"
            )
            self._kill_all()
        if self.child is not None and self.child.pidfd in ready:
            self._lost(self.child, now_ns, over=over)
        if self._again_ns is not None and now_ns >= self._again_ns:
            self._again_ns = None
            self.start(self._environment, now_ns)

    def close(self) -> None:
        """End the matcher, and what it left."""
        if self.child is not None:
            self.child.end()
            self._kill_all()
        self._let_go()
        self._environment = dict  # the guard's own: it would keep the guard from being let go

    def _lost(self, child: Child, now_ns: int, *, over: bool) -> None:
        self._kill_all()  # while its number is still its own
        how = child.describe_end()
        relays = self._relays
        self._let_go()
        if over or self.escaped or child.process.returncode == 0:
            return
        if self._confinement is not None and child.process.returncode == sandbox.REFUSED:
            self.failure = f"{relays[-1].lines.last or 'the matcher was not started'}"
            return
        if now_ns - self._began_ns > _HEALTHY_NS:
            self._losses = 0
        self._again_ns = now_ns + _PAUSES_NS[min(self._losses, len(_PAUSES_NS) - 1)]
        self._losses += 1
        self.lost += 1
        words = relays[-1].lines.last if relays else ""
        self._say(f"MATCHER_LOST: {how}{cause(child, words)}; no frames until it is started again")

    def _kill_all(self) -> None:
        """A sandboxed matcher cannot leave its process group: this ends it and all its children."""
        if self.child is not None and self._confinement is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGKILL)

    def _let_go(self) -> None:
        if self.child is not None:
            self.child.end()
        if self._notifier is not None:
            self._notifier.close()
        for relay in self._relays:
            relay.join(_LAST_WORDS_S)
            self.lines_left_out += relay.lines.left_out
        self.child = self._notifier = None
        self._relays = ()
