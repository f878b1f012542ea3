"""Sends evidence to the decider: a note on each frame, and at intervals a frame to examine."""

from __future__ import annotations

import socket

from edge import ipc
from edge.clock import MS
from edge.frames.messages import Captured, Offered, encode, encode_note
from edge.frames.process.slots import Slots
from edge.frames.sentinel import Sentinel
from edge.view.look import MALFORMED

EVIDENCE_NS = 90 * MS  # an evidence frame is offered this often at most...
SUSPECT_NS = 30 * MS  # ...or this often while the picture changes a lot
SUSPECT_DIFFERENCE = 25.0  # own clips p99.9: 15 grey levels a pixel; the smallest cut: 26


class Lender:
    """Holds the newest well-formed frame, so that it can be lent; one is lent at a time."""

    def __init__(self, decider: socket.socket, slots: Slots, sentinel: Sentinel) -> None:
        """`decider` gets the notes and the frames; `sentinel` has examined them."""
        self._decider = decider
        self._slots = slots
        self._sentinel = sentinel
        self._newest: Captured | None = None  # of the well formed ones
        self._before: Captured | None = None  # the frame before it, still held
        self.unreported: Captured | None = None  # the frame just looked at; `tell` passes that on
        self._offered_ns = -EVIDENCE_NS
        self.lent: int | None = None  # the slot that the decider reads now

    def reads(self, slot: int) -> bool:
        """Whether the frame there is lent, or may still be."""
        return self.lent == slot or (self._newest is not None and self._newest.slot == slot)

    def keep(self, shot: Captured) -> None:
        """Hold a well-formed frame as the newest one."""
        self._slots.share(shot.slot)
        self._before, self._newest = self._newest, shot

    def returned(self, slot: int) -> None:
        """The decider gives a slot back; one that was not lent changes nothing."""
        if slot == self.lent:
            self.lent = None
            self._slots.drop(slot)

    def tell(self, now_ns: int) -> None:
        """Tell of the frame just looked at; after its release, which is in a hurry."""
        before, self._before = self._before, None
        if before is not None:
            self._slots.drop(before.slot)
        shot, self.unreported = self.unreported, None
        if shot is None:
            return
        if shot is not self._newest:  # its own time may be wrong: reported as of now, not lent
            ipc.send(self._decider, encode_note(shot.sequence, now_ns, MALFORMED))
            return
        look = self._sentinel.note()
        ipc.send(self._decider, encode_note(shot.sequence, shot.captured_ns, look))
        since_ns = shot.captured_ns - self._offered_ns
        suspect = look.difference > SUSPECT_DIFFERENCE and since_ns >= SUSPECT_NS
        if since_ns >= EVIDENCE_NS or suspect:
            self.offer(final=False)

    def offer(self, *, final: bool) -> bool:
        """Lend the newest frame; False if there is none, or one is lent already."""
        shot = self._newest
        if shot is None or self.lent is not None:
            return False
        offer = Offered(shot.slot, shot.sequence, shot.captured_ns, shot.height, shot.width, final)
        if not ipc.send(self._decider, encode(offer)):
            return False
        self._slots.share(shot.slot)
        self.lent = shot.slot
        self._offered_ns = shot.captured_ns
        return True
