"""Handles the decider's messages: leases, revocations, masks and returned frames."""

from __future__ import annotations

import socket

from edge import ipc
from edge.clock import Clock
from edge.errors import GuardError, LeaseError
from edge.frames.messages import Returned, decode
from edge.frames.process.inspector import Inspector
from edge.frames.process.lender import Lender
from edge.frames.process.passage import Passage
from edge.lease import Lease
from edge.lease import decode as decode_lease
from edge.masking.message import decode as decode_mask
from edge.reasons import Reason
from edge.wire import Tag

_MASK = bytes([Tag.MASK])


class DeciderMessages:
    """Reads the decider's messages; one that it would not send ends the lease."""

    def __init__(
        self,
        decider: socket.socket,
        clock: Clock,
        passage: Passage,
        lender: Lender,
        inspector: Inspector,
    ) -> None:
        """The last three get what the messages are for."""
        self._decider = decider
        self._clock = clock
        self._passage = passage
        self._lender = lender
        self._inspector = inspector

    def receive(self) -> None:
        """Take every message that is waiting."""
        for data in ipc.drain(self._decider, size=ipc.SHORT_MESSAGE):
            if data[:1] == b"F":
                self._take_lease(data)
                continue
            if data[:1] == _MASK:
                self._take_mask(data)
                continue
            try:
                message = decode(data)
            except GuardError:
                self._distrust(Reason.LEASE_MALFORMED)
                continue
            if isinstance(message, Returned):
                if message.seen_blocks is not None:
                    self._inspector.anchor = message.seen_blocks
                self._lender.returned(message.slot)

    def _take_mask(self, data: bytes) -> None:
        try:
            self._passage.hear_mask(decode_mask(data))
        except GuardError:
            self._passage.hear_mask(None)
            self._distrust(Reason.LEASE_MALFORMED)

    def _take_lease(self, data: bytes) -> None:
        now_ns = self._clock.now_ns()
        try:
            message = decode_lease(data)
        except LeaseError:
            self._distrust(Reason.LEASE_MALFORMED)
            return
        if isinstance(message, Lease):
            self._passage.grant(message, now_ns)
        else:
            self._passage.revoke(message)

    def _distrust(self, reason: Reason) -> None:
        self._passage.distrust(self._clock.now_ns(), reason)
