"""The bridge process: the one process of the guard that talks to the board.

    python -m firmware_bridge.process < settings.json

Its loop runs every 25 ms, and every 50 ms while something has blocked for long: it
writes its heartbeat, reads port and decider without waiting, and sends what is due. A
message from the decider starts the next turn at once. Bytes from the port wait for the
next turn; the board sends 50 readings a second. When the decider's socket closes, the
process sends a last revocation and ends. If the port disappears later, the process
looks for it twice a second; meanwhile the link is down.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import sys

from edge import ipc, scheduling
from edge.clock import MS, BootClock
from edge.errors import BridgeError, GuardError
from edge.evidence import board_link as messages
from edge.heartbeat import Beats, Role
from firmware_bridge.bridge import GAP_NS, Bridge
from firmware_bridge.packets import Keys
from firmware_bridge.port import Port
from firmware_bridge.session import Session
from firmware_bridge.settings import BridgeSettings

TURN_MS = 25  # half of what a lease and a ping are renewed by
REST_TURN_MS = 50  # while the decider needs little: no lease to renew, and a ping each turn
RETRY_NS = 500 * MS
RT_PRIORITY = 9  # below the gate; each turn takes well under a millisecond


class Loop:
    """Carries bytes and messages between port, rule and decider."""

    def __init__(
        self, path: str, baud: int, session: Session, beats: Beats, decider: socket.socket
    ) -> None:
        self._path = path
        self._baud = baud
        self._port: Port | None = Port(path, baud)  # at the start a bad port is an error
        self._bridge = Bridge(session)
        self._bridge.port(there=True)
        self._beats = beats
        self._decider = decider
        self._retry_after_ns = 0
        self._last_ns: int | None = None

    def turn(self, now_ns: int) -> None:
        """One turn of the loop.

        Raises:
            ipc.PeerGone: the decider has gone away.
        """
        self._beats.beat(Role.BRIDGE, now_ns)
        gap_ns = 0 if self._last_ns is None else now_ns - self._last_ns
        self._last_ns = now_ns
        if self._port is None and now_ns >= self._retry_after_ns:
            self._reopen(now_ns)
        try:
            if gap_ns > GAP_NS:
                self._bridge.paused(now_ns)
                if self._port is not None:
                    self._port.flush_input()
            self._from_board(now_ns)
            self._from_decider(now_ns)
            out = self._bridge.to_board(self._beats.oldest_age_ns(now_ns), now_ns)
            if out and self._port is not None:
                self._port.write(out)
        except BridgeError:
            self._lose_port(now_ns)
        status = self._bridge.to_decider(now_ns)
        if status is not None:
            ipc.send(self._decider, messages.encode(status))

    def wait(self) -> None:
        """Sleep until the decider sends a message, at most one turn."""
        resting = self._last_ns is not None and self._beats.resting(self._last_ns)
        turn_ms = REST_TURN_MS if resting else TURN_MS
        select.select([self._decider], [], [], turn_ms / 1000)

    def end(self, now_ns: int) -> None:
        """Revoke, then give the port back."""
        if self._port is None:
            return
        with contextlib.suppress(BridgeError):
            self._port.write(self._bridge.revoke(now_ns))
        self._port.close()

    def _from_board(self, now_ns: int) -> None:
        if self._port is None:
            return
        for message in self._bridge.hear_board(self._port.read(), now_ns):
            ipc.send(self._decider, messages.encode(message))

    def _from_decider(self, now_ns: int) -> None:
        for data in ipc.drain(self._decider):
            try:
                self._bridge.hear_decider(messages.decode(data), now_ns)
            except GuardError as err:
                print(f"bridge: ignored: {err}", file=sys.stderr)

    def _reopen(self, now_ns: int) -> None:
        self._retry_after_ns = now_ns + RETRY_NS
        with contextlib.suppress(BridgeError):
            self._port = Port(self._path, self._baud)
            self._bridge.port(there=True)

    def _lose_port(self, now_ns: int) -> None:
        if self._port is not None:
            self._port.close()
        self._port = None
        self._retry_after_ns = now_ns + RETRY_NS
        self._bridge.port(there=False)


def main() -> int:
    """Run until the decider disconnects; 2 if the port cannot be used."""
    ipc.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C in a terminal is the parent's to act on
    settings = ipc.await_order(BridgeSettings)
    scheduling.real_time(RT_PRIORITY)
    clock = BootClock()
    try:
        session = Session(Keys.derive(settings.key), simulated=settings.simulated)
        beats, decider = Beats(settings.beats_fd), ipc.attach(settings.decider_fd)
        loop = Loop(settings.port, settings.baud, session, beats, decider)
    except BridgeError as err:
        print(f"bridge: {err}", file=sys.stderr)
        return 2
    scheduling.settle()
    try:
        while True:
            loop.turn(clock.now_ns())
            loop.wait()
    except ipc.PeerGone:
        loop.end(clock.now_ns())
    return 0


if __name__ == "__main__":
    sys.exit(main())
