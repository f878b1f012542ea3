"""The bridge's rule: which leases to send and what to tell the decider.

No I/O and no clock. A lease lasts `LIFE_NS` less the age of the oldest
heartbeat of the guard's processes, so the interlock drops if one of them stops. A
claim is sent at once and then renewed. When it is withdrawn, the bridge revokes
it at once, and again until the board reports that the line is low. Times are nanoseconds of
CLOCK_BOOTTIME.
"""

from __future__ import annotations

from edge.clock import MS
from edge.evidence.board_link import BoardStatus, Claim, Fault, Floors, Link, Message
from edge.lease import LIFE_NS, RENEW_NS
from edge.reasons import Reason, worst_first
from firmware_bridge.session import Session
from firmware_bridge.virtual.sensors import Veto

STATUS_NS = 40 * MS  # the decider hears at least every 50 ms
GAP_NS = 100 * MS  # after a pause this long, the loop discards what was waiting
GAP_REPORT_NS = 500 * MS
PATIENCE_NS = 300 * MS  # for the board to follow a claim

_VETO = {
    Veto.NOT_DOCKED: Reason.NOT_DOCKED,
    Veto.TAMPERED: Reason.TAMPER,
    Veto.MOTION: Reason.MOTION,
    Veto.SPEED: Reason.SPEED,
    Veto.SILENT: Reason.SENSOR_SILENT,
}


class Bridge:
    """Between one decider and one board."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._claim: Claim | None = None
        self._claimed_ns = 0
        self._acknowledged = False  # the board has permitted the present claim
        self._renew_after_ns = 0
        self._revoking = False
        self._revoke_after_ns = 0
        self._revoked_sequence = 0
        self._floors: Floors | None = None
        self._has_port = False
        self._gap_ns: int | None = None
        self._starved = False  # a heartbeat is too old for any lease
        self._last_sent: BoardStatus | None = None

    def port(self, *, there: bool) -> None:
        """The port came, or went away."""
        self._has_port = there
        self._session.restart()

    def paused(self, now_ns: int) -> None:
        """Handle a pause of the loop: what arrived meanwhile is not fresh."""
        self._gap_ns = now_ns
        self._drop_claim()
        self._session.restart()

    def hear_decider(self, message: Message, now_ns: int) -> None:
        """Take a claim or floors from the decider; nothing else comes that way."""
        if isinstance(message, Floors):
            self._floors = message
        if not isinstance(message, Claim):
            return
        if not message.releasing or message.decision == 0:
            self._drop_claim()
        elif self._claim != message:
            self._claim = message
            self._claimed_ns = now_ns
            self._acknowledged = False
            self._renew_after_ns = now_ns
            self._revoking = False

    def hear_board(self, data: bytes, now_ns: int) -> list[Message]:
        """Take bytes from the port; returns the messages for the decider."""
        heard: list[Message] = list(self._session.receive(data, now_ns))
        status = self._session.status
        if status is not None and self._claim is not None:
            self._acknowledged |= status.permitted and status.decision == self._claim.decision
        if status is not None and 0 < self._revoked_sequence <= status.host_sequence:
            self._revoking = False
            self._revoked_sequence = 0
        return heard

    def to_board(self, oldest_age_ns: int, now_ns: int) -> bytes:
        """What to write to the port now."""
        session = self._session
        out = session.due(now_ns)
        if session.greeting is None:
            self._revoked_sequence = 0
            if self._acknowledged:
                self._drop_claim()  # the permit is over; the decider must claim again
            return out
        if self._floors is not None:
            out += session.floors(self._floors, now_ns)
            self._floors = None
        if self._revoking and now_ns >= self._revoke_after_ns:
            out += session.lease(0, 0, releasing=False, now_ns=now_ns)
            self._revoked_sequence = session.sent_sequence
            self._revoke_after_ns = now_ns + RENEW_NS
        claim = self._claim
        life_ms = (LIFE_NS - oldest_age_ns) // MS
        self._starved = life_ms <= 0
        if claim is not None and not self._starved and now_ns >= self._renew_after_ns:
            out += session.lease(
                claim.decision, life_ms, releasing=self._acknowledged, now_ns=now_ns
            )
            self._renew_after_ns = now_ns + RENEW_NS
        return out

    def revoke(self, now_ns: int) -> bytes:
        """The last bytes to the board before the bridge ends."""
        return self._session.lease(0, 0, releasing=False, now_ns=now_ns)

    def to_decider(self, now_ns: int) -> BoardStatus | None:
        """The state of board and link, when it has changed or is due."""
        status = self._status(now_ns)
        last = self._last_sent
        if (
            last is not None
            and now_ns - last.captured_ns < STATUS_NS
            and (last.link, last.permitted, last.decision, last.fault, last.reasons)
            == (status.link, status.permitted, status.decision, status.fault, status.reasons)
        ):
            return None
        self._last_sent = status
        return status

    def _drop_claim(self) -> None:
        self._claim = None
        self._acknowledged = False
        self._starved = False
        self._revoking = True
        self._revoke_after_ns = 0

    def _status(self, now_ns: int) -> BoardStatus:
        reasons = list(self._session.troubles(now_ns))
        if self._gap_ns is not None and now_ns - self._gap_ns <= GAP_REPORT_NS:
            reasons.append(Reason.TIME_GAP)
        board = self._session.status
        if board is None or not self._session.up(now_ns):
            reasons.append(Reason.LINK_LOST)
            link = Link.HELLO if self._has_port else Link.DOWN
            return BoardStatus(now_ns, link, False, 0, Fault.NONE, worst_first(reasons))
        reasons += [reason for veto, reason in _VETO.items() if board.veto & veto]
        claim = self._claim
        ignored = claim is not None and not (board.permitted and board.decision == claim.decision)
        if claim is not None and self._starved:
            reasons.append(Reason.PROCESS_SILENT)
        elif board.fault is Fault.SEQUENCE or (ignored and now_ns - self._claimed_ns > PATIENCE_NS):
            reasons.append(Reason.INTERLOCK_FAULT)
        return BoardStatus(
            now_ns, Link.UP, board.permitted, board.decision, board.fault, worst_first(reasons)
        )
