"""A test stand: one board on a rig, a host session that talks to it in real time.

Faults can be put on the line in both directions; each is a function from one
written chunk to the chunks that arrive.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator

from edge.clock import MS, BootClock
from edge.evidence.board_link import Floors
from edge.evidence.readings import BoardSample
from firmware_bridge import packets
from firmware_bridge.checks import faults
from firmware_bridge.checks.faults import LineFault
from firmware_bridge.checks.rigs import Rig
from firmware_bridge.packets import Keys
from firmware_bridge.payloads import Status
from firmware_bridge.port import Port
from firmware_bridge.session import Session

_TURN_S = 0.002
_RENEW_NS = 50 * MS


class CheckFailed(AssertionError):
    """The board failed a check; the message says what was expected and what happened."""


class NotInTime(CheckFailed):
    """Something good did not come, or did not last: a machine that is late causes that as well."""


class Harness:
    """Host and board, ready for one check."""

    def __init__(self, rig: Rig, root: bytes, decision: int = 0) -> None:
        """`decision` is one that the board knows: later ones count from it on."""
        self.rig = rig
        self.root = root
        self.clock = BootClock()
        self.port = Port(rig.port)
        self.session = Session(Keys.derive(root))
        self.to_board: LineFault = faults.none()
        self.to_host: LineFault = faults.none()
        self.samples: list[BoardSample] = []
        self.floors: list[Floors] = []  # as the board reported them
        self.life_ms = 200
        self.sent = b""  # the last packet that was written
        self.late_ns = 0  # the longest that this machine has left the link alone
        self.decision = max(int(time.time()) & 0x3FFF_FFFF, decision)
        self._turned_ns: int | None = None  # when the link had its last turn
        self._keep: int | None = None
        self._acknowledged = False
        self._renew_after_ns = 0

    def close(self) -> None:
        self.port.close()

    def new_session(self, root: bytes | None = None, versions: tuple[int, int] = (1, 1)) -> None:
        """Begin again, perhaps with another key or other versions."""
        self.session = Session(Keys.derive(root or self.root), versions=versions)

    def new_decision(self) -> int:
        self.decision += 1
        return self.decision

    @property
    def status(self) -> Status:
        status = self.session.status
        if status is None:
            raise CheckFailed("the board has sent no status")
        return status

    def line(self) -> bool:
        """The level of the line if it can be measured, else the board's report of it."""
        if self.rig.watches_line:
            return self.rig.changes[-1][1] if self.rig.changes else False
        return self.session.status is not None and self.session.status.permitted

    def write(self, data: bytes) -> None:
        """Send packets; the fault of the line acts on each packet separately."""
        for packet in data.split(b"\0")[:-1]:
            self.sent = packet
            for piece in self.to_board(packet + b"\0"):
                self.port.write(piece)

    def pump(self, ms: float, until: Callable[[], bool] | None = None) -> bool:
        """Run the link for `ms`, or until a condition is true; returns whether it became true."""
        end_ns = self.clock.now_ns() + round(ms * MS)
        while True:
            now_ns = self.clock.now_ns()
            self.late_ns = max(self.late_ns, now_ns - (self._turned_ns or now_ns))
            self._turned_ns = now_ns
            data = self.port.read()
            for piece in self.to_host(data) if data else []:
                for heard in self.session.receive(piece, now_ns):
                    if isinstance(heard, BoardSample):
                        self.samples.append(heard)
                    else:
                        self.floors.append(heard)
            if until is not None and until():
                return True
            if now_ns >= end_ns:
                return until is None
            self._send(now_ns)
            select.select([self.port], [], [], _TURN_S)

    def _send(self, now_ns: int) -> None:
        out = self.session.due(now_ns)
        status = self.session.status
        if self._keep is not None and status is not None:
            self._acknowledged |= status.permitted and status.decision == self._keep
            if now_ns >= self._renew_after_ns and self.session.greeting is not None:
                self._renew_after_ns = now_ns + _RENEW_NS
                out += self.lease(self._keep, releasing=self._acknowledged)
        if out:
            self.write(out)

    def lease(self, decision: int, *, life_ms: int | None = None, releasing: bool = False) -> bytes:
        """The bytes of a lease; not sent."""
        life_ms = self.life_ms if life_ms is None else life_ms
        return self.session.lease(
            decision, life_ms, releasing=releasing, now_ns=self.clock.now_ns()
        )

    def keep(self, decision: int | None) -> None:
        """Renew `decision` from now on; None stops."""
        self._keep = decision
        self._acknowledged = False
        self._renew_after_ns = 0

    # what checks say

    def link(self, timeout_ms: float = 3000) -> None:
        """Greet the board and wait for its status."""
        up = self.pump(timeout_ms, lambda: self.session.up(self.clock.now_ns()))
        if not up:
            raise NotInTime(f"no link within {timeout_ms:g} ms: {self.session.counters}")

    def permit(self, *, renewed: bool = True) -> int:
        """Link if need be, and get a permit under a new decision, which is then `renewed`."""
        self.link()
        decision = self.new_decision()
        self.keep(decision)
        if not self.pump(1000, lambda: self.line() and self.status.decision == decision):
            raise NotInTime(f"a fresh lease did not raise the line: {self.session.status}")
        if not renewed:
            self.keep(None)
        return decision

    def during(self, ms: float) -> Iterator[float]:
        """The milliseconds gone by, each time it is asked, until `ms` have."""
        start_ns = self.clock.now_ns()
        while (gone_ms := (self.clock.now_ns() - start_ns) / MS) < ms:
            yield gone_ms

    def expect_down(self, within_ms: float, why: str, since_ns: int | None = None) -> float:
        """Wait for the line to drop; how long that took, in milliseconds."""
        start_ns = self.clock.now_ns() if since_ns is None else since_ns
        if not self.pump(within_ms, lambda: not self.line()):
            raise CheckFailed(f"the line was still up {within_ms:g} ms after {why}")
        end_ns = self.rig.changes[-1][0] if self.rig.changes else self.clock.now_ns()
        return max(end_ns - start_ns, 0) / MS

    def expect_stays(self, level: bool, for_ms: float, what: str) -> None:
        """The line must keep its level."""
        if self.pump(for_ms, lambda: self.line() is not level):
            kind = NotInTime if level else CheckFailed
            raise kind(f"the line went {'down' if level else 'up'} with {what}")

    def expect(self, met: Callable[[], bool], what: str, within_ms: float = 1000) -> None:
        if not self.pump(within_ms, met):
            raise NotInTime(f"{what} did not come within {within_ms:g} ms")


def exhaust(session: Session) -> bytes:
    """The last packet a session can send before its sequence numbers are used up."""
    session.sent_sequence = packets.MAX_SEQUENCE - 1
    return session.lease(0, 0, releasing=False, now_ns=0)
