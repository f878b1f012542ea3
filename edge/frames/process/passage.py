"""Moves a frame from the pool to the matcher's ring, and only under a lease.

Gate, masks, releaser and endpoint work together here. If a lease ends early, this
module blocks and wipes the waiting frames, wipes the ring, and tells the decider.
"""

from __future__ import annotations

import os
import socket

import numpy as np

from edge import ipc
from edge.clock import MS, Clock
from edge.frames.gate import Blocked, Gate, Pending
from edge.frames.matcher_endpoint import MatcherEndpoint
from edge.frames.messages import Ended, encode
from edge.frames.pool import Pool
from edge.frames.process.ledger import Ledger
from edge.frames.process.lender import Lender
from edge.frames.process.slots import Slots
from edge.frames.releaser import Releaser
from edge.frames.settings import GateSettings
from edge.lease import MIN_VIEW_SCORE, Lease, Revocation
from edge.masking.history import MaskHistory
from edge.masking.noise import BYTES as NOISE_BYTES
from edge.masking.people import PeopleMask
from edge.reasons import Reason

DRAIN_NS = 1_000 * MS  # how long the end of a stream may take
REFUSALS = 3  # leases in a row; some are on their way when this process gives one up


class Passage:
    """Holds the lease, and what waits for one."""

    def __init__(
        self,
        settings: GateSettings,
        clock: Clock,
        pool: Pool,
        endpoint: MatcherEndpoint,
        slots: Slots,
        lender: Lender,
        ledger: Ledger,
        decider: socket.socket,
    ) -> None:
        """`decider` is told when a lease has ended."""
        binding = settings.binding
        self._size = (settings.picture.height, settings.picture.width)
        self._pool = pool
        self._endpoint = endpoint
        self._slots = slots
        self._lender = lender
        self._ledger = ledger
        self._decider = decider
        floor = max(MIN_VIEW_SCORE, settings.min_view_score) if binding.lane.identifying else 0.0
        self.gate = Gate(binding, min_view_score=floor)
        noise = os.urandom(NOISE_BYTES)
        self._masks = MaskHistory(
            *self._size,
            settings.masks,
            noise,
            people_too=binding.lane.masked,
            layout=settings.picture.layout,
        )
        self._releaser = Releaser(
            self.gate, endpoint, clock, self._pixels, self._passed, self._block, self._masks.of
        )
        self.leased = False
        self._refusals = 0  # of leases, in a row
        self._final = False  # the last frame has been offered
        self.over = False  # the stream ended, and nothing waits
        self.left = False  # this process releases nothing any more

    def grant(self, lease: Lease, now_ns: int) -> None:
        """Take a lease; refusals in a row are reported, or the decider would go on for ever."""
        refused = self.gate.grant(lease, now_ns)
        if refused is None:
            self._ledger.begin(lease.epoch)
        self.leased = self.gate.lease is not None
        self._refusals = 0 if refused is None else self._refusals + 1
        if self._refusals > REFUSALS:
            self.report(refused)

    def revoke(self, revocation: Revocation) -> None:
        """End the lease by the decider's order."""
        self._block_all(self.gate.revoke(revocation))
        self._forget(None)

    def doubt(self, now_ns: int, reason: Reason) -> None:
        """Nothing from before may be released any more, leased or not."""
        self._block_all(self.gate.bar(now_ns, reason))
        self._forget(reason)

    def distrust(self, now_ns: int, reason: Reason) -> None:
        """A message that no process of ours sends: nothing from before may be released."""
        self._block_all(self.gate.bar(now_ns, reason))
        self.lost_lease(reason)

    def finish(self, now_ns: int, end_ns: int) -> bool:
        """End well a stream that ended at `end_ns`; whether it is over just now.

        The last frame gets a final reading; then what still waits is blocked.
        """
        if self.over:
            return False
        if not self._final:
            self._final = self._lender.offer(final=True)
        looked = self._final and self._lender.lent is None
        if now_ns - end_ns <= DRAIN_NS and (not looked or self.gate.waiting):
            return False
        self._block_all(self.gate.bar(now_ns, Reason.BRACKET))
        self.leased = False  # a good end, not a revoke: what was released may still be read
        self.over = True
        self.report(None)
        self._endpoint.finish("end of stream")
        return True

    def leave(self, now_ns: int) -> None:
        """Block and wipe everything, then say what was released."""
        self._block_all(self.gate.bar(now_ns, Reason.NO_LEASE))
        self._endpoint.wipe()
        self.left = True
        self.report(None)

    def hear_mask(self, mask: PeopleMask | None) -> None:
        """Where people may be from now on; None forgets all that is known."""
        if mask is None:
            self._masks.forget()
        else:
            self._masks.receive(mask)

    def settle(self, now_ns: int) -> None:
        """What time decides, then release what passes."""
        self._block_all(self.gate.tick(now_ns))
        self.lost_lease(None)
        self._releaser.drain()

    def block(self, stopped: list[Blocked], reason: Reason) -> None:
        """Wipe frames that are blocked; the decider is told if the lease is gone with them."""
        self._block_all(stopped)
        self.lost_lease(reason)

    def lost_lease(self, reason: Reason | None) -> None:
        """Wipe and tell if the gate has given up its lease."""
        if self.leased and self.gate.lease is None:
            self._forget(reason)

    def report(self, reason: Reason | None) -> None:
        """Tell the decider that no lease is held, and what was released."""
        epoch = self.gate.epoch
        released, last_ns = self._ledger.tally(epoch)
        final = self.over or self.left or self.gate.dead
        quota = self._endpoint.quota
        ended = Ended(
            epoch,
            released,
            last_ns,
            reason,
            self.over,
            final,
            self._ledger.judged,
            quota.accepted,
            quota.refused,
        )
        ipc.send(self._decider, encode(ended))

    def _forget(self, reason: Reason | None) -> None:
        self._endpoint.wipe()
        self.leased = False
        self.report(reason)

    def _pixels(self, frame: Pending) -> np.ndarray:
        return self._pool.frame(frame.slot, *self._size)

    def _passed(self, frame: Pending) -> None:
        self._ledger.released(frame, self.gate.epoch)
        if not self._masks.plain:
            self._slots.doom(frame.slot)  # what a mask covers does not stay in the pool
        self._slots.drop(frame.slot)

    def _block(self, blocked: Blocked) -> None:
        frame = blocked.frame
        self._ledger.resolve(frame, blocked.reason, self.gate.epoch)
        if self._lender.reads(frame.slot):
            self._slots.doom(frame.slot)  # still being read; wiped when it is given back
        else:
            self._pool.wipe(frame.slot)
        self._slots.drop(frame.slot)

    def _block_all(self, stopped: list[Blocked]) -> None:
        for blocked in stopped:
            self._block(blocked)
