"""Faults of the guard itself, independent of what the camera sees.

Some findings last for one turn (a pause, a slow model), some as long as their cause, and
some until the guard is restarted: an escape attempt, or a state that was rolled back.
"""

from __future__ import annotations

import sys

from edge.audit.clerk import Clerk
from edge.clock import MS, Clock
from edge.consent.state import ConsentState
from edge.decision.fork_alarm import ForkAlarm
from edge.evidence import board_link as board
from edge.heartbeat import NEVER_NS, Beats, Role
from edge.reasons import Reason

SILENT_NS = 200 * MS  # a process that has not beaten for this long is stopped or dead


class SelfCheck:
    """Collects the findings; asked once a turn."""

    def __init__(
        self,
        clerk: Clerk,
        policy_version: int,
        fork_alarm: ForkAlarm,
        consent_state: ConsentState,
        beats: Beats,
        clock: Clock,
        *,
        bridged: bool,
    ) -> None:
        """Begin with nothing found.

        Args:
            policy_version: of the policy in force; 0 of one that ships.
            bridged: the process of the board's bridge must beat too.
        """
        self._clerk = clerk
        self._policy_version = policy_version
        self._fork_alarm = fork_alarm
        self._consent_state = consent_state
        self._beats = beats
        self._clock = clock
        self._roles = (Role.CAPTURE, Role.GATE, Role.PARENT) + ((Role.BRIDGE,) if bridged else ())
        self._named_silent: set[Role] = set()
        self._superseded = False  # the board remembers a newer policy; stays so
        self._rolled_back = False  # the board remembers a longer log; stays so
        self.escaped = False  # the matcher tried to get out of its sandbox; stays so
        self.late = False  # a model took too long since the last report

    def board_floors(self, floors: board.Floors) -> None:
        """Take the board's floors for log and policy."""
        self._rolled_back |= floors.log_size > self._clerk.size
        self._superseded |= floors.policy_version > self._policy_version

    def reasons(
        self, term: tuple[Reason, ...], *, gap: bool, models_failed: bool
    ) -> tuple[Reason, ...]:
        """Everything that is wrong now; tends the log too.

        Args:
            term: what is wrong with the time and with the policy's dates.
            gap: this process paused.
            models_failed: too often, so that they are not asked again.
        """
        reasons = [Reason.LOG_ROLLBACK] if self._rolled_back else []
        if self._rolled_back and self._superseded:  # not one file: an old image of the whole disk
            reasons.append(Reason.STATE_ROLLBACK)
        if self.escaped:
            reasons.append(Reason.MATCHER_ESCAPE_ATTEMPT)
        reasons.extend(term)
        if self._superseded:
            reasons.append(Reason.POLICY_ROLLBACK)
        reasons.extend(self._fork_alarm.reasons(self._clock.now_ns()))
        reasons.extend(self._consent_state.reasons(self._clock.now_ns()))
        if gap:
            reasons.append(Reason.TIME_GAP)
        if self.late:
            reasons.append(Reason.MODEL_TIMEOUT)
            self.late = False
        if models_failed:
            reasons.append(Reason.MODEL_OUTPUT)
        if not self._clerk.tend(self._clock.now_ns()):
            reasons.append(Reason.AUDIT_UNAVAILABLE)
        if self._say_who_is_silent(self._clock.now_ns()):
            reasons.append(Reason.PROCESS_SILENT)
        return tuple(reasons)

    def _say_who_is_silent(self, now_ns: int) -> bool:
        """Whether a process of the guard is silent; prints its name once."""
        silent = self._beats.silent(now_ns, SILENT_NS, self._roles)
        for role in set(silent) - self._named_silent:
            age_ms = min(self._beats.age_ns(role, now_ns), NEVER_NS) // MS
            since = "since the start" if age_ms >= NEVER_NS // MS else f"for {age_ms} ms"
            name = role.name.lower()
            print(f"PROCESS_SILENT: no heartbeat of the {name} process {since}", file=sys.stderr)
        self._named_silent = set(silent)
        return bool(silent)
