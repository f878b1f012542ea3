"""The frame gate: may this one frame be released?

Runs once per frame, copies no pixels, never waits. Everything slow (scene
model, policy, UART) happens elsewhere and arrives here as one immutable
`Lease`. A frame that no good reading has bracketed yet waits in a private
FIFO, bounded in bytes, count and age; any doubt empties it. All times are
integer nanoseconds of CLOCK_BOOTTIME and come in as arguments.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

from edge.clock import MS
from edge.lease import Binding, Lease, Revocation
from edge.reasons import Reason


class Verdict(Enum):
    """What the gate says of one frame; a blocking verdict carries its reason code."""

    PASS = None
    WAIT = Reason.BRACKET  # captured after the lease's evidence: a later lease may cover it
    NO_LEASE = Reason.NO_LEASE
    LEASE_EXPIRED = Reason.LEASE_EXPIRED
    VIEW_FOREIGN = Reason.VIEW_FOREIGN
    FRAME_STALE = Reason.FRAME_STALE


_SHUT = (1, 0, 0, 1.0)  # covers no capture time at all
_PASS = Verdict.PASS  # asked for each frame; a module's name is found in half the time


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait in the FIFO, and for how long."""

    max_bytes: int = 48 * 1024 * 1024
    max_frames: int = 64
    max_age_ns: int = 500 * MS


@dataclass(frozen=True, slots=True)
class Pending:
    """A frame in hand: where its pixels lie, when it was captured, what the sentinel scored."""

    sequence: int
    captured_ns: int
    view_score: float
    slot: int
    size: int  # bytes
    repeat: bool = False  # the same pixels as the frame before it


@dataclass(frozen=True, slots=True)
class Blocked:
    """A frame that will never be released; the caller wipes its pixels."""

    frame: Pending
    reason: Reason


class Gate:
    """Passes a frame only if a live lease covers its capture and it shows the enrolled view."""

    def __init__(
        self, binding: Binding, *, min_view_score: float, limits: Limits | None = None
    ) -> None:
        """`min_view_score` is this gate's own floor; a lease can only ask for more."""
        self._binding = binding
        self._floor = min_view_score
        self._limits = limits or Limits()
        self._lease: Lease | None = None  # a new gate blocks
        self._min_score = min_view_score
        self._window = _SHUT  # the lease as `check` wants it
        self._epoch = 0  # newest epoch heard of, granted or revoked
        self._revoked = 0  # epochs up to this one are revoked
        self._barred_ns = -1  # nothing captured up to here may be leased any more
        self._last_ns = -1
        self._fifo: deque[Pending] = deque()
        self._fifo_bytes = 0

    @property
    def epoch(self) -> int:
        """The newest epoch heard of; names the lease or revocation that decides now."""
        return self._epoch

    @property
    def dead(self) -> bool:
        """Whether that epoch is revoked: no lease of it is ever taken again."""
        return self._epoch <= self._revoked

    @property
    def lease(self) -> Lease | None:
        return self._lease

    @property
    def waiting(self) -> int:
        """Frames in the FIFO."""
        return len(self._fifo)

    @property
    def seen_blocks(self) -> int:
        """The blocks of the enrolled view that the sign map is compared over; all without lease."""
        return self._lease.seen_blocks if self._lease is not None else -1

    def grant(self, lease: Lease, now_ns: int) -> Reason | None:
        """Take a lease, or say why not. A refused lease changes nothing."""
        bound = self._binding
        if (lease.camera, lease.boot, lease.policy, lease.lane) != (
            bound.camera,
            bound.boot,
            bound.policy,
            bound.lane,
        ):
            return Reason.LEASE_MALFORMED
        if lease.epoch <= self._revoked or lease.epoch < self._epoch:
            return Reason.LEASE_MALFORMED
        if now_ns >= lease.expires_ns:
            return Reason.LEASE_EXPIRED
        if lease.from_ns <= self._barred_ns:
            return Reason.FRAME_STALE
        self._lease = lease
        self._epoch = lease.epoch
        self._min_score = max(self._floor, lease.min_view_score)
        self._window = (lease.from_ns, lease.to_ns, lease.expires_ns, self._min_score)
        return None

    def revoke(self, revocation: Revocation) -> list[Blocked]:
        """End every lease up to the revoked epoch and empty the FIFO."""
        self._revoked = max(self._revoked, revocation.epoch)
        self._epoch = max(self._epoch, revocation.epoch)
        if self._lease is not None and self._lease.epoch > self._revoked:
            return []  # an old revocation, overtaken by a newer grant
        reason = revocation.reasons[0] if revocation.reasons else Reason.NO_LEASE
        return self._withdraw(reason)

    def bar(self, until_ns: int, reason: Reason) -> list[Blocked]:
        """End the lease, empty the FIFO, and refuse leases that reach back to `until_ns`."""
        self._barred_ns = max(self._barred_ns, until_ns)
        return self._withdraw(reason)

    def admit(self, frame: Pending, now_ns: int) -> list[Blocked]:
        """Take one frame in hand; returns what is blocked by it, possibly itself."""
        captured_ns = frame.captured_ns
        if captured_ns <= self._last_ns or captured_ns > now_ns:
            return [Blocked(frame, Reason.FRAME_MALFORMED)]
        self._last_ns = captured_ns
        if frame.view_score < self._min_score:
            blocked = self.bar(captured_ns, Reason.VIEW_FOREIGN)
            blocked.append(Blocked(frame, Reason.VIEW_FOREIGN))
            return blocked
        if frame.repeat:  # whatever the stream: an old picture under a new time is no new one
            return [*self.tick(now_ns), Blocked(frame, Reason.CAM_FROZEN)]
        if now_ns - captured_ns > self._limits.max_age_ns:
            return [Blocked(frame, Reason.FRAME_STALE)]
        self._fifo.append(frame)
        self._fifo_bytes += frame.size
        return self.tick(now_ns)

    def check(self, frame: Pending, now_ns: int) -> Verdict:
        """The verdict on `frame` at `now_ns`; asked before the copy and again after it."""
        from_ns, to_ns, expires_ns, min_score = self._window
        if (
            from_ns <= frame.captured_ns < to_ns
            and now_ns < expires_ns
            and frame.view_score >= min_score
        ):
            return _PASS
        return self._refusal(frame, now_ns)

    def tick(self, now_ns: int) -> list[Blocked]:
        """Apply what time alone decides: expiry, bounds, frames no lease will ever cover."""
        lease = self._lease
        if lease is None:
            return self._withdraw(Reason.NO_LEASE)
        if now_ns >= lease.expires_ns:
            return self._withdraw(Reason.LEASE_EXPIRED)
        blocked: list[Blocked] = []
        limits = self._limits
        while self._fifo:
            head = self._fifo[0]
            if head.captured_ns < lease.from_ns:
                blocked.append(Blocked(self.take(), Reason.FRAME_STALE))
            elif (
                len(self._fifo) > limits.max_frames
                or self._fifo_bytes > limits.max_bytes
                or now_ns - head.captured_ns > limits.max_age_ns
            ):
                blocked.append(Blocked(self.take(), Reason.FIFO_FULL))
            else:
                break
        return blocked

    def head(self, now_ns: int) -> Pending | None:
        """The oldest waiting frame if it passes now; it stays in the FIFO until `take`."""
        if self._fifo and self.check(self._fifo[0], now_ns) is _PASS:
            return self._fifo[0]
        return None

    def take(self) -> Pending:
        """Remove the oldest waiting frame."""
        frame = self._fifo.popleft()
        self._fifo_bytes -= frame.size
        return frame

    def _refusal(self, frame: Pending, now_ns: int) -> Verdict:
        """Why `frame` does not pass; the first of the reasons in this order."""
        lease = self._lease
        if lease is None:
            return Verdict.NO_LEASE
        if now_ns >= lease.expires_ns:
            return Verdict.LEASE_EXPIRED
        if frame.view_score < self._min_score:
            return Verdict.VIEW_FOREIGN
        if frame.captured_ns >= lease.to_ns:
            return Verdict.WAIT
        return Verdict.FRAME_STALE

    def _withdraw(self, reason: Reason) -> list[Blocked]:
        self._lease = None
        self._window = _SHUT
        self._min_score = self._floor
        blocked = [Blocked(frame, reason) for frame in self._fifo]
        self._fifo.clear()
        self._fifo_bytes = 0
        return blocked
