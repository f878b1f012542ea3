"""A reference model of gate, queue, lease and ring, written as simply as possible.

One list of frames and a few numbers; the model is not fast, and shares only its input
values with the product. Times are nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.frames.gate import Limits, Pending
from edge.lease import Binding, Lease
from edge.reasons import Reason


@dataclass
class Reference:
    """A gate, its queue and the ring behind it."""

    binding: Binding
    floor: float
    limits: Limits
    slots: int
    lease: Lease | None = None
    dead_epochs: int = 0
    newest_epoch: int = 0
    barred_ns: int = -1
    last_ns: int = -1
    waiting: list[Pending] = field(default_factory=list)
    ring: list[Pending] = field(default_factory=list)  # published, unread, not wiped
    blocked: list[tuple[int, Reason]] = field(default_factory=list)

    def grant(self, lease: Lease, now_ns: int) -> bool:
        asked = (lease.camera, lease.boot, lease.policy, lease.lane)
        mine = (self.binding.camera, self.binding.boot, self.binding.policy, self.binding.lane)
        known = lease.epoch > self.dead_epochs and lease.epoch >= self.newest_epoch
        alive = now_ns < lease.expires_ns and lease.from_ns > self.barred_ns
        if asked == mine and known and alive:
            self.lease, self.newest_epoch = lease, lease.epoch
            return True
        return False

    def revoke(self, epoch: int, reason: Reason) -> None:
        self.dead_epochs = max(self.dead_epochs, epoch)
        self.newest_epoch = max(self.newest_epoch, epoch)
        if self.lease is None or self.lease.epoch <= self.dead_epochs:
            self.withdraw(reason)

    def bar(self, until_ns: int, reason: Reason) -> None:
        self.barred_ns = max(self.barred_ns, until_ns)
        self.withdraw(reason)

    def withdraw(self, reason: Reason) -> None:
        self.lease = None
        self.blocked += [(frame.sequence, reason) for frame in self.waiting]
        self.waiting, self.ring = [], []

    def admit(self, frame: Pending, now_ns: int) -> None:
        if not self.last_ns < frame.captured_ns <= now_ns:
            self.blocked.append((frame.sequence, Reason.FRAME_MALFORMED))
            return
        self.last_ns = frame.captured_ns
        asked = self.lease.min_view_score if self.lease else 0.0
        if frame.view_score < max(self.floor, asked):
            self.waiting.append(frame)
            self.bar(frame.captured_ns, Reason.VIEW_FOREIGN)
        elif now_ns - frame.captured_ns > self.limits.max_age_ns:
            self.blocked.append((frame.sequence, Reason.FRAME_STALE))
        else:
            self.waiting.append(frame)
            self.tick(now_ns)

    def tick(self, now_ns: int) -> None:
        if self.lease is None or now_ns >= self.lease.expires_ns:
            self.withdraw(Reason.LEASE_EXPIRED if self.lease else Reason.NO_LEASE)
            return
        for frame in list(self.waiting):
            early = frame.captured_ns < self.lease.from_ns
            full = (
                len(self.waiting) > self.limits.max_frames
                or sum(f.size for f in self.waiting) > self.limits.max_bytes
                or now_ns - frame.captured_ns > self.limits.max_age_ns
            )
            if not early and not full:
                return
            self.waiting.remove(frame)
            reason = Reason.FRAME_STALE if early else Reason.FIFO_FULL
            self.blocked.append((frame.sequence, reason))

    def passes(self, now_ns: int) -> bool:
        """Whether the oldest waiting frame may be released now."""
        if not self.waiting or self.lease is None or now_ns >= self.lease.expires_ns:
            return False
        score, captured_ns = self.waiting[0].view_score, self.waiting[0].captured_ns
        covered = self.lease.from_ns <= captured_ns < self.lease.to_ns
        return covered and score >= max(self.floor, self.lease.min_view_score)

    def release(self) -> None:
        self.ring = [*self.ring, self.waiting.pop(0)][-self.slots :]
