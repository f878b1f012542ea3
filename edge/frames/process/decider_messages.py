"""Handles the decider's messages: leases, revocations, masks and returned frames."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from edge import ipc
from edge.clock import Clock
from edge.errors import GuardError
from edge.frames.messages import Message, Returned, decode
from edge.frames.process.inspector import Inspector
from edge.frames.process.lender import Lender
from edge.frames.process.passage import Passage
from edge.lease import Lease, Revocation
from edge.lease import decode as decode_lease
from edge.masking.message import decode as decode_mask
from edge.masking.people import PeopleMask
from edge.reasons import Reason
from edge.wire import Tag

_MASK = bytes([Tag.MASK])


@dataclass(frozen=True, slots=True)
class DeciderMessages:
    """Reads the decider's messages; one that it would not send ends the lease."""

    decider: socket.socket
    clock: Clock
    passage: Passage  # this and what follows get what the messages are for
    lender: Lender
    inspector: Inspector

    def receive(self) -> None:
        """Take every message that is waiting."""
        for data in ipc.drain(self.decider, size=ipc.SHORT_MESSAGE):
            try:
                message = _decoded(data)
            except GuardError:
                if data[:1] == _MASK:
                    self.passage.hear_mask(None)
                self.passage.distrust(self.clock.now_ns(), Reason.LEASE_MALFORMED)
                continue
            match message:
                case Lease():
                    self.passage.grant(message, self.clock.now_ns())
                case Revocation():
                    self.passage.revoke(message)
                case PeopleMask():
                    self.passage.hear_mask(message)
                case Returned(slot, seen_blocks):
                    if seen_blocks is not None:
                        self.inspector.anchor = seen_blocks
                    self.lender.returned(slot)


def _decoded(data: bytes) -> Lease | Revocation | PeopleMask | Message:
    if data[:1] == b"F":
        return decode_lease(data)
    return decode_mask(data) if data[:1] == _MASK else decode(data)
