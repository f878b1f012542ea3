"""Faults of the guard itself, independent of what the camera sees.

Some findings last for one turn (a pause, a slow model), some as long as their cause, and
some until the guard is restarted: an escape attempt, or a state that was rolled back.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from edge.audit.clerk import Clerk
from edge.clock import MS, Clock
from edge.consent.state import ConsentState
from edge.decision.fork_alarm import ForkAlarm
from edge.evidence import board_link as board
from edge.heartbeat import NEVER_NS, Beats, Role
from edge.reasons import Reason

SILENT_NS = 200 * MS  # a process that has not beaten for this long is stopped or dead


@dataclass(slots=True)
class SelfCheck:
    """Collects the findings; asked once a turn."""

    clerk: Clerk
    policy_version: int  # of the policy in force; 0 of one that ships
    fork_alarm: ForkAlarm
    consent_state: ConsentState
    beats: Beats
    clock: Clock
    bridged: bool  # the process of the board's bridge must beat too
    named_silent: frozenset[Role] = frozenset()
    named_trouble: str = ""  # of the log
    superseded: bool = False  # the board remembers a newer policy; stays so
    rolled_back: bool = False  # the board remembers a longer log; stays so
    escaped: bool = False  # the matcher tried to get out of its sandbox; stays so
    late: bool = False  # a model took too long since the last report

    def board_floors(self, floors: board.Floors) -> None:
        """Take the board's floors for log and policy."""
        self.rolled_back |= floors.log_size > self.clerk.log.size
        self.superseded |= floors.policy_version > self.policy_version

    def reasons(
        self, term: tuple[Reason, ...], *, gap: bool, models_failed: bool
    ) -> tuple[Reason, ...]:
        """Everything that is wrong now; tends the log too.

        Args:
            term: what is wrong with the time and with the policy's dates.
            gap: this process paused.
            models_failed: too often, so that they are not asked again.
        """
        reasons = [Reason.LOG_ROLLBACK] if self.rolled_back else []
        if self.rolled_back and self.superseded:  # not one file: an old image of the whole disk
            reasons.append(Reason.STATE_ROLLBACK)
        if self.escaped:
            reasons.append(Reason.MATCHER_ESCAPE_ATTEMPT)
        reasons.extend(term)
        if self.superseded:
            reasons.append(Reason.POLICY_ROLLBACK)
        reasons.extend(self.fork_alarm.reasons(self.clock.now_ns()))
        reasons.extend(self.consent_state.reasons(self.clock.now_ns()))
        if gap:
            reasons.append(Reason.TIME_GAP)
        if self.late:
            reasons.append(Reason.MODEL_TIMEOUT)
            self.late = False
        if models_failed:
            reasons.append(Reason.MODEL_OUTPUT)
        well = self.clerk.tend(self.clock.now_ns())
        if not well:
            reasons.append(Reason.AUDIT_UNAVAILABLE)
        self._say_trouble("" if well else self.clerk.trouble)
        if self._say_who_is_silent(self.clock.now_ns()):
            reasons.append(Reason.PROCESS_SILENT)
        return tuple(reasons)

    def _say_trouble(self, trouble: str) -> None:
        """Print what is wrong with the log, each cause once while it lasts."""
        if trouble and trouble != self.named_trouble:
            print(f"{Reason.AUDIT_UNAVAILABLE.value}: {trouble}", file=sys.stderr)
        self.named_trouble = trouble

    def _say_who_is_silent(self, now_ns: int) -> bool:
        """Whether a process of the guard is silent; prints its name once."""
        roles = (Role.CAPTURE, Role.GATE, Role.PARENT, *((Role.BRIDGE,) if self.bridged else ()))
        silent = self.beats.silent(now_ns, SILENT_NS, roles)
        for role in set(silent) - self.named_silent:
            age_ms = min(self.beats.age_ns(role, now_ns), NEVER_NS) // MS
            since = "since the start" if age_ms >= NEVER_NS // MS else f"for {age_ms} ms"
            name = role.name.lower()
            print(f"PROCESS_SILENT: no heartbeat of the {name} process {since}", file=sys.stderr)
        self.named_silent = frozenset(silent)
        return bool(silent)
