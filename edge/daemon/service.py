"""The daemon: keeps a guard running and restarts it, blocked, when a process is lost.

There is one `Guard` at a time. If any of its processes is lost, the daemon ends the
guard and wipes its ring. After a pause, which grows, it starts a new guard that
permits nothing yet. SIGHUP checks the files first. If they are valid, the running
guard revokes and ends before the new one starts, so no frame is released between two
policies. The daemon feeds the watchdog only while it sees fresh decisions and fresh
messages from the board.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge import isolation
from edge.cameras.source import parse_source
from edge.clock import MS, BootClock, S
from edge.daemon.also import escaped_before
from edge.daemon.notify import Notifier, handed_listener
from edge.daemon.settings import Listen, Settings, load_settings
from edge.errors import GuardError, UsageError
from edge.evidence.readings import Source
from edge.frames.lifecycle import SourceNote
from edge.guard.recorder import Recorder
from edge.guard.supervisor import Guard
from edge.report.rule_notes import notes_for
from edge.status.others import Others
from edge.status.server import StatusServer
from edge.status.snapshot import Facts, Ledger, snapshot
from edge.version import VERSION

FRESH_NS = 1 * S  # a decision or board sample older than this is not fresh
TELL_NS = 250 * MS  # status and watchdog
HEALTHY_NS = 60 * S  # a guard that ran for this long has made good what was before
BACK_OFF_NS = (500 * MS, 1 * S, 2 * S, 5 * S, 10 * S, 30 * S)


def verified(recorder: Recorder, now_ns: int, *, board: bool) -> bool:
    """Whether a fresh decision and, if a board is needed, its fresh state have arrived."""
    if recorder.outlook is None or not 0 <= now_ns - recorder.outlook_ns < FRESH_NS:
        return False
    if not board:
        return True
    heard = recorder.newest.get(Source.DOCK)
    return heard is not None and 0 <= now_ns - heard.captured_ns < FRESH_NS


class Service:
    """Runs guards until a signal stops it."""

    def __init__(self, config: Path, say: Callable[[str], None]) -> None:
        """Check the configuration and take the status port.

        Raises:
            UsageError: the configuration is refused, or the port is taken.
        """
        self._config = config
        self._say = say
        self._settings = load_settings(config)
        self._clock = BootClock()
        self._notifier = Notifier(os.environ)
        self._ledger = Ledger(time.time())
        self._others = Others(self._ledger.began_s, _names(self._settings))
        listener = handed_listener(os.environ) or bound(self._settings.listen)
        self._server = StatusServer(listener, self._settings.status_file, self._settings.plan.audit)
        self._stopping = False
        self._reloading = False
        self._ready = False
        self._escaped: dict[str, str] = {}  # how a matcher tried to get out, until a reload
        self._trouble = ""
        self._failures = 0
        self._published_ns = 0
        self._first: Guard | None = None  # checked, not started yet
        self._check: subprocess.Popen[str] | None = None  # of a reload

    def run(self) -> int:
        """Until SIGTERM or SIGINT.

        Raises:
            UsageError: the records or keys do not hold at the first start.
        """
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._reload)
        self._first = Guard(self._settings.plan, self._say)  # wrong now is wrong for good
        self._server.start()
        try:
            while not self._stopping:
                self._one_guard()
        finally:
            self._notifier.tell("STOPPING=1")
            if self._check is not None:
                self._check.kill()
                self._check.wait()
            self._tell("stopped", force=True)
            self._server.close()
        return 0

    def _one_guard(self) -> None:
        """Start a guard, watch it until it is lost, replaced or no longer wanted."""
        self._tell("starting", force=True)
        began_ns = self._clock.now_ns()
        try:
            plan = escaped_before(self._settings.plan, self._escaped)
            guard = self._first or Guard(plan, self._say)
            self._first = None
            try:
                with guard:
                    self._watch(guard)
            finally:
                self._ledger.end(guard.recorder)
                self._ledger.end_matcher(guard.matcher.lost, guard.matcher.lines_left_out)
                self._others.end(guard.others)
                for one in (guard, *guard.others):
                    if one.matcher.attempt:
                        self._escaped.setdefault(one.plan.name, one.matcher.attempt)
        except GuardError as err:
            self._lost(str(err))
        else:
            if guard.failure is not None:
                self._lost(guard.failure)
            elif guard.over:
                self._rest(guard.source_note)
        if self._clock.now_ns() - began_ns > HEALTHY_NS:
            self._failures = min(self._failures, 1)
        self._pause()

    def _watch(self, guard: Guard) -> None:
        board = guard.session.operation.identifying
        facts = _facts(guard, board)
        rules: tuple[str, ...] = ()
        notes = notes_for(guard.policy, rules)
        while guard.failure is None and not guard.over and not self._stopping:
            guard.turn()
            recorder = guard.recorder
            self._ledger.add(*recorder.take())
            now_ns = self._clock.now_ns()
            self._ledger.note(recorder, now_ns, time.time())
            self._others.note(guard.others, now_ns, time.time())
            if now_ns - self._published_ns >= TELL_NS:
                if recorder.outlook is not None and recorder.outlook.rules != rules:
                    rules = recorder.outlook.rules
                    notes = notes_for(guard.policy, rules)
                good = verified(recorder, now_ns, board=board) and all(
                    verified(other.recorder, now_ns, board=False) for other in guard.others
                )
                self._feed(good)
                self._tell(
                    "running",
                    escape=guard.matcher.attempt,
                    matcher_lost=guard.matcher.lost,
                    matcher_lines=guard.matcher.lines_left_out,
                    recorder=recorder,
                    beats=guard.beats,
                    facts=facts,
                    notes=notes,
                    verified=good,
                    others=guard.others,
                )
            if self._replaced():
                return

    def _replaced(self) -> bool:
        """Whether a reload was asked for and the files hold; they are checked in a process apart.

        The guard in force goes on meanwhile, and stays if they do not hold.
        """
        if self._reloading and self._check is None:
            self._reloading = False
            self._check = subprocess.Popen(
                isolation.python("edge.daemon.check", str(self._config)),
                env=isolation.environment(),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # ^C is the daemon's to act on
            )
        if self._check is None or self._check.poll() is None:
            return False
        _, output = self._check.communicate()
        good = self._check.returncode == 0
        self._check = None
        if not good:
            self._say(f"reload refused: {output.strip()}; the old files stay in force")
            return False
        settings = load_settings(self._config)
        if settings.listen != self._settings.listen:
            self._say("reload: [status] listen changes at the next start only")
        if settings.plan.audit != self._settings.plan.audit:
            self._server.show(settings.plan.audit)
        self._settings = settings
        self._others.keep(_names(settings))
        self._escaped = {}
        self._ledger.reloads += 1
        self._failures = 0
        self._say("reload: the permit is revoked; starting with the new files")
        return True

    def _feed(self, good: bool) -> None:
        """Tell the service manager that all is well, if it is."""
        if not good:
            return
        if not self._ready:
            self._ready = True
            self._notifier.tell("READY=1")
        self._notifier.tell("WATCHDOG=1")

    def _lost(self, why: str) -> None:
        self._trouble = why
        self._ledger.restarts += 1
        self._ledger.lost(why, time.time())
        self._failures += 1

    def _pause(self) -> None:
        """Wait before the next start; longer after each loss that follows soon."""
        if self._stopping or self._failures == 0:
            return
        pause_ns = BACK_OFF_NS[min(self._failures, len(BACK_OFF_NS)) - 1]
        self._say(f"{self._trouble}; blocked, starting again in {pause_ns / S:g} s")
        until_ns = self._clock.now_ns() + pause_ns
        while not self._stopping and self._clock.now_ns() < until_ns:
            if self._replaced():
                return
            self._tell("waiting")
            time.sleep(0.05)

    def _rest(self, note: SourceNote | None) -> None:
        """The recording that stands in for the camera is over: stay, blocked, to be looked at."""
        self._trouble = "the recording that stands in for the camera is over"
        if note is not None:
            self._trouble += f"; not all of it was judged: {note.words}"
        self._say(f"{self._trouble}; everything is blocked")
        while not self._stopping and not self._replaced():
            self._tell("over")
            time.sleep(0.05)

    def _tell(
        self, phase: str, *, force: bool = False, others: tuple[Guard, ...] = (), **seen: Any
    ) -> None:
        now_ns = self._clock.now_ns()
        if not force and now_ns - self._published_ns < TELL_NS:
            return
        self._published_ns = now_ns
        self._server.tell(
            snapshot(
                phase,
                self._ledger,
                now_ns=now_ns,
                wall_s=time.time(),
                trouble=self._trouble,
                also=self._others.shown(others, now_ns),
                **seen,
            )
        )

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _reload(self, number: int, frame: object) -> None:
        self._reloading = True


def bound(listen: Listen | None) -> socket.socket | None:
    """A listening socket on loopback, or None if none is wanted.

    Raises:
        UsageError: the port is taken or not ours to take.
    """
    if listen is None:
        return None
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        return socket.create_server((listen.host, listen.port), family=family, backlog=64)
    except OSError as err:
        why = os.strerror(err.errno or 0)  # the module adds to its own text
        raise UsageError(
            f"[status] listen: {listen.host}:{listen.port} cannot be used: {why}"
        ) from err


def _names(settings: Settings) -> list[str]:
    """The matchers beside the first."""
    return [another.name for another in settings.plan.others]


def _facts(guard: Guard, board: bool) -> Facts:
    return Facts(
        version=VERSION,
        camera=parse_source(guard.plan.source).shown,
        lane=guard.session.operation.value,
        site=guard.device.site,
        pack=guard.policy.pack.name,
        policy=guard.policy.digest.hex(),
        release=guard.plan.release,
        dwell_s=guard.device.dwell_s,
        audit=str(guard.plan.audit),
        left_out=guard.device.matcher_without,
        board=board,
        board_kind=guard.board_kind.value,
        board_at=guard.plan.board,
    )
