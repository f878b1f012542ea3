"""The gate process: one thread that looks at every frame and releases what passes.

    python -m edge.frames.gate_process < settings.json

It polls capture, decider and matcher with a short timeout, so that revocation
never waits for a camera. It is the only process that maps both the capture
pool and the release ring.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
import time

import cv2
import numpy as np

from edge import ipc, scheduling
from edge.clock import MS, BootClock, Clock
from edge.errors import GuardError, LeaseError
from edge.frames import lifecycle
from edge.frames.gate import Blocked, Gate, Pending
from edge.frames.lifecycle import (
    MatcherConnected,
    MatcherResult,
    Over,
    Ready,
    ResultRefused,
    StreamState,
    Token,
)
from edge.frames.matcher_endpoint import MatcherEndpoint
from edge.frames.messages import (
    Anchor,
    Captured,
    End,
    Ended,
    Freed,
    Offered,
    Resolved,
    Returned,
    SourceEnd,
    decode,
    encode,
    encode_note,
    encode_resolved,
)
from edge.frames.pool import Pool
from edge.frames.releaser import Releaser
from edge.frames.ring import Ring
from edge.frames.sentinel import Sentinel
from edge.frames.settings import GateSettings
from edge.frames.shaper import Shaper
from edge.frames.warm_up import WarmUp
from edge.heartbeat import Beats, Role
from edge.lease import MIN_VIEW_SCORE, Lease
from edge.lease import decode as decode_lease
from edge.masking.history import MaskHistory
from edge.masking.message import decode as decode_mask
from edge.masking.noise import BYTES as NOISE_BYTES
from edge.reasons import Reason
from edge.view.fingerprint import Fingerprint
from edge.view.look import MALFORMED
from edge.view.signs import ALL_BLOCKS
from edge.wire import Tag

TURN_MS = 20
GAP_NS = 150 * MS  # a pause of this process longer than this is a doubt
EVIDENCE_NS = 90 * MS  # an evidence frame is offered this often at most...
SUSPECT_NS = 30 * MS  # ...or this often while the picture changes a lot
SUSPECT_DIFFERENCE = 25.0  # own clips p99.9: 15 grey levels a pixel; the smallest cut: 26
DRAIN_NS = 1_000 * MS  # how long the end of a stream may take
REFUSALS = 3  # leases in a row; some are on their way when this process gives one up
COMPLAINT_NS = 1_000 * MS  # the parent hears of refused results this often at most
BATCH = 16
BATCH_NS = 50 * MS
RT_PRIORITY = 10
_MASK = bytes([Tag.MASK])
_NO_PICTURE = np.zeros((0, 0, 3), np.uint8)


class GateProcess:
    """Everything the gate's one thread does."""

    def __init__(
        self,
        settings: GateSettings,
        clock: Clock | None = None,
        warm_up: WarmUp | None = None,
    ) -> None:
        """`warm_up` is held before each frame that is due while there is a lease."""
        self._clock = clock or BootClock()
        self._warm_up = warm_up
        self._beats = Beats.attach(settings.beats_fd)
        self._capture = ipc.attach(settings.capture_fd)
        self._decider = ipc.attach(settings.decider_fd)
        self._parent = ipc.attach(settings.parent_fd)
        layout, size = settings.picture.layout, settings.pool
        self._size = (settings.picture.height, settings.picture.width)
        self._pool = Pool(settings.pool_fd, size.slots, size.slot_bytes, layout)
        ring = Ring(settings.ring_fd)
        ring.seal()
        ring.wipe_all()  # its memory is there before the first frame is in a hurry
        binding = settings.binding
        self._identifying = binding.lane.identifying
        fingerprint = Fingerprint.from_bytes(settings.view) if settings.view else None
        self._sentinel = Sentinel(fingerprint, layout)
        floor = max(MIN_VIEW_SCORE, settings.min_view_score) if self._identifying else 0.0
        self._gate = Gate(binding, min_view_score=floor)
        self._endpoint = MatcherEndpoint(
            socket.socket(fileno=settings.listen_fd),
            ring,
            token=settings.token,
            lane=binding.lane,
            uid=settings.uid,
            shaper=Shaper(settings.output, layout, *self._size),
            rate_hz=settings.picture.rate_hz,
        )
        people_too = binding.lane.masked
        self._masks = MaskHistory(
            *self._size, settings.masks, os.urandom(NOISE_BYTES), people_too=people_too
        )
        self._releaser = Releaser(
            self._gate,
            self._endpoint,
            self._clock,
            self._pixels,
            self._passed,
            self._block,
            self._masks.of,
        )
        self._steps: dict[int, int] = {}  # sequence -> time spent on arrival, ns
        self._held: dict[int, int] = {}  # slot -> how many still need it
        self._doomed: set[int] = set()  # lent slots to wipe when they come back
        self._newest: Captured | None = None  # of the well formed ones
        self._before: Captured | None = None  # the frame before it, still held
        self._unreported: Captured | None = None  # the frame just looked at
        self._lent: int | None = None
        self._offered_ns = -EVIDENCE_NS
        self._anchor = ALL_BLOCKS
        self._leased = False
        self._refusals = 0  # of leases, in a row
        self._tally = (0, -1)  # frames released in this epoch, capture time of the last
        self._tally_epoch = 0
        self._complained_ns = -COMPLAINT_NS
        self._resolved: list[Resolved] = []
        self._judged = 0  # frames with a final word
        self._sent_ns = 0
        self._end_ns: int | None = None  # when the stream ended
        self._final = False  # the last frame has been offered
        self._over = False
        self._stopping = False
        self._left = False  # this process releases nothing any more
        self._capture_fd, self._decider_fd = self._capture.fileno(), self._decider.fileno()
        self._parent_fd = self._parent.fileno()
        self._poll = select.poll()
        for fd in (self._capture_fd, self._decider_fd, self._parent_fd):
            self._poll.register(fd, select.POLLIN)
        self._watched: set[int] = set()  # descriptors of the endpoint
        self._watch()
        self._last_ns = self._clock.now_ns()

    def run(self) -> None:
        """Turn until a process that the gate talks to is gone; then leave in good order."""
        with contextlib.suppress(ipc.PeerGone):
            while not self._stopping:
                self.turn()
        self.leave()

    def admit(self, matcher: socket.socket, hello: bytes) -> None:
        """Admit or refuse a matcher that is connected already."""
        self._endpoint.greet(matcher, hello)

    def stop(self) -> None:
        """Leave after this turn; for a signal's handler."""
        self._stopping = True

    def leave(self) -> None:
        """Block and wipe everything, then say what was released: the log ends with it."""
        self._block_all(self._gate.bar(self._clock.now_ns(), Reason.NO_LEASE))
        self._endpoint.wipe()
        self._left = True
        self._report(None)
        self._say_resolved()

    def turn(self) -> None:
        """Wait for something, for 20 ms at most; look at one frame; release what passes.

        Raises:
            ipc.PeerGone: a process that the gate talks to is gone.
        """
        ready = self._await()
        now_ns = self._clock.now_ns()
        if now_ns - self._last_ns > GAP_NS:
            self._doubt(now_ns)
        self._last_ns = now_ns
        self._beats.beat(Role.GATE, now_ns)
        if self._parent_fd in ready:
            for word in ipc.drain(self._parent):
                match lifecycle.decode(word):
                    case Token(token):
                        self._endpoint.renew(token)
                    case StreamState(flowing, reasons):
                        self._endpoint.tell({"flowing": flowing, "reasons": reasons})
        self._endpoint.tell_state()
        if not self._watched.isdisjoint(ready) or self._endpoint.overdue(now_ns):
            self._serve(now_ns)
            self._watch()
        if self._decider_fd in ready:
            self._hear_decider()
        if self._capture_fd in ready:
            # one frame a turn, released before the next
            data = ipc.receive(self._capture, ipc.SHORT_MESSAGE)
            if data is not None:
                self._hear_capture(data)
            self._hear_decider()  # again, so that nothing is released past a revocation
        self._settle()
        self._tell()

    def _await(self) -> set[int]:
        """What is ready within 20 ms; a cache warm-up may be held, and ends the waiting."""
        warm_up, wait_ms = self._warm_up, TURN_MS
        if warm_up is not None and self._leased:
            early_ms = warm_up.pace.wait_ms(self._clock.now_ns())
            if early_ms is not None and early_ms <= TURN_MS:
                ready = {fd for fd, _ in self._poll.poll(early_ms)}
                if ready:
                    return ready
                warm_up.run()
                wait_ms = 0
        return {fd for fd, _ in self._poll.poll(wait_ms)}

    def _watch(self) -> None:
        """Poll the descriptors that the endpoint has now."""
        wanted = set(self._endpoint.fds())
        for fd in self._watched - wanted:
            self._poll.unregister(fd)
        for fd in wanted - self._watched:
            self._poll.register(fd, select.POLLIN)
        self._watched = wanted

    def _serve(self, now_ns: int) -> None:
        before = self._endpoint.listening
        self._endpoint.serve(now_ns)
        for report in self._endpoint.reports:
            if not ipc.send(self._decider, encode(report)):
                self._endpoint.show_out()  # a comparison that nobody counts: no more frames
        self._endpoint.reports.clear()
        for result in self._endpoint.results:
            ipc.send(self._parent, lifecycle.encode(MatcherResult(*result)))
        self._endpoint.results.clear()
        if self._endpoint.complaint and now_ns - self._complained_ns >= COMPLAINT_NS:
            refused = ResultRefused(self._endpoint.complaint)
            if ipc.send(self._parent, lifecycle.encode(refused)):
                self._complained_ns, self._endpoint.complaint = now_ns, ""
        if self._endpoint.listening and not before:
            ipc.send(self._parent, lifecycle.encode(MatcherConnected()))

    def _hear_decider(self) -> None:
        for data in ipc.drain(self._decider, size=ipc.SHORT_MESSAGE):
            if data[:1] == b"F":
                self._hear_lease(data)
                continue
            if data[:1] == _MASK:
                self._hear_mask(data)
                continue
            try:
                message = decode(data)
            except GuardError:
                self._distrust(Reason.LEASE_MALFORMED)
                continue
            if isinstance(message, Anchor):
                self._anchor = message.seen_blocks
            elif isinstance(message, Returned) and message.slot == self._lent:
                self._lent = None
                self._drop(message.slot)

    def _hear_mask(self, data: bytes) -> None:
        try:
            self._masks.hear(decode_mask(data))
        except GuardError:
            self._masks.forget()
            self._distrust(Reason.LEASE_MALFORMED)

    def _hear_lease(self, data: bytes) -> None:
        now_ns = self._clock.now_ns()
        try:
            message = decode_lease(data)
        except LeaseError:
            self._distrust(Reason.LEASE_MALFORMED)
            return
        if isinstance(message, Lease):
            refused = self._gate.grant(message, now_ns)
            if refused is None and message.epoch != self._tally_epoch:
                self._tally, self._tally_epoch = (0, -1), message.epoch
            self._leased = self._gate.lease is not None
            self._refusals = 0 if refused is None else self._refusals + 1
            if self._refusals > REFUSALS:  # the decider would go on for ever
                self._report(refused)
            return
        self._block_all(self._gate.revoke(message))
        self._endpoint.wipe()
        self._leased = False
        self._report(None)

    def _hear_capture(self, data: bytes) -> None:
        try:
            message = decode(data)
        except GuardError:
            self._distrust(Reason.FRAME_MALFORMED)
            return
        if isinstance(message, SourceEnd):
            ipc.send(self._decider, data)
            if message.end is End.EOF:
                self._end_ns = self._clock.now_ns()
        elif isinstance(message, Captured):
            if message.slot < self._pool.slots and message.slot not in self._held:
                self._frame(message)
                return
            self._distrust(Reason.FRAME_MALFORMED)  # a slot that is not there, or not free
            self._judge(message.sequence, message.captured_ns, Reason.FRAME_MALFORMED)

    def _distrust(self, reason: Reason) -> None:
        """A message that no process of ours sends: nothing from before it may be released."""
        self._block_all(self._gate.bar(self._clock.now_ns(), reason))
        self._lost_lease(reason)

    def _frame(self, shot: Captured) -> None:
        began_ns = time.perf_counter_ns()
        slot = shot.slot
        fits = (shot.height, shot.width) == self._size  # the ring was made for this one
        picture = self._pool.frame(slot, *self._size) if fits else _NO_PICTURE
        lease = self._gate.lease
        seen = self._sentinel.glance(picture, self._anchor if lease is None else lease.seen_blocks)
        score = 0.0 if seen is None else seen if self._identifying else 1.0
        repeat = self._sentinel.repeat
        frame = Pending(shot.sequence, shot.captured_ns, score, slot, picture.nbytes, repeat)
        if seen is None:
            stopped = [Blocked(frame, Reason.FRAME_MALFORMED)]
        else:
            stopped = self._gate.admit(frame, self._clock.now_ns())
        self._held[slot] = 1
        if not stopped or stopped[-1] != Blocked(frame, Reason.FRAME_MALFORMED):
            self._held[slot] = 2  # by the FIFO, and as the newest frame
            self._before, self._newest = self._newest, shot
        self._steps[shot.sequence] = time.perf_counter_ns() - began_ns
        self._block_all(stopped)
        self._lost_lease(Reason.VIEW_FOREIGN)
        self._unreported = shot
        if self._warm_up is not None:
            self._warm_up.pace.arrived(self._last_ns)

    def _tell(self) -> None:
        """Tell the decider of the frame just looked at; after its release, which is in a hurry."""
        before, self._before = self._before, None
        if before is not None:
            self._drop(before.slot)
        shot, self._unreported = self._unreported, None
        if shot is None:
            return
        if shot is not self._newest:  # its own time may be wrong: reported as of now, not lent
            note = encode_note(shot.sequence, self._clock.now_ns(), MALFORMED)
            ipc.send(self._decider, note)
            return
        look = self._sentinel.note()
        ipc.send(self._decider, encode_note(shot.sequence, shot.captured_ns, look))
        since_ns = shot.captured_ns - self._offered_ns
        suspect = look.difference > SUSPECT_DIFFERENCE and since_ns >= SUSPECT_NS
        if since_ns >= EVIDENCE_NS or suspect:
            self._offer(final=False)

    def _offer(self, *, final: bool) -> bool:
        shot = self._newest
        if shot is None or self._lent is not None:
            return False
        offer = Offered(shot.slot, shot.sequence, shot.captured_ns, shot.height, shot.width, final)
        if not ipc.send(self._decider, encode(offer)):
            return False
        self._held[shot.slot] += 1
        self._lent = shot.slot
        self._offered_ns = shot.captured_ns
        return True

    def _settle(self) -> None:
        """What time decides, then release what passes, then tell."""
        now_ns = self._clock.now_ns()
        self._block_all(self._gate.tick(now_ns))
        self._lost_lease(None)
        self._releaser.drain()
        if self._end_ns is not None:
            self._finish(now_ns)
        if self._resolved and (
            len(self._resolved) >= BATCH or now_ns - self._sent_ns >= BATCH_NS or self._over
        ):
            self._sent_ns = now_ns
            self._say_resolved()

    def _say_resolved(self) -> None:
        while self._resolved:
            ipc.send(self._parent, encode_resolved(self._resolved[:BATCH]))
            del self._resolved[:BATCH]

    def _finish(self, now_ns: int) -> None:
        """The last frame gets a final reading; then what still waits is blocked."""
        if self._over or self._end_ns is None:
            return
        if not self._final:
            self._final = self._offer(final=True)
        late = now_ns - self._end_ns > DRAIN_NS
        if late or (self._final and self._lent is None and not self._gate.waiting):
            self._block_all(self._gate.bar(now_ns, Reason.BRACKET))
            self._leased = False  # a good end, not a revoke: what was released may still be read
            self._over = True
            self._report(None)
            self._endpoint.finish("end of stream")
            ipc.send(self._parent, lifecycle.encode(Over()))

    def _doubt(self, now_ns: int) -> None:
        """This process stood still: nothing from before may be released any more."""
        self._block_all(self._gate.bar(now_ns, Reason.TIME_GAP))
        self._endpoint.wipe()
        self._leased = False
        self._report(Reason.TIME_GAP)

    def _lost_lease(self, reason: Reason | None) -> None:
        if self._leased and self._gate.lease is None:
            self._leased = False
            self._endpoint.wipe()
            self._report(reason)

    def _report(self, reason: Reason | None) -> None:
        epoch = self._gate.epoch
        released, last_ns = self._tally if self._tally_epoch == epoch else (0, -1)
        final = self._over or self._left or self._gate.dead
        quota = self._endpoint.quota
        ended = Ended(
            epoch,
            released,
            last_ns,
            reason,
            self._over,
            final,
            self._judged,
            quota.accepted,
            quota.refused,
        )
        ipc.send(self._decider, encode(ended))

    def _pixels(self, frame: Pending) -> np.ndarray:
        return self._pool.frame(frame.slot, *self._size)

    def _passed(self, frame: Pending) -> None:
        self._tally = (self._tally[0] + 1, frame.captured_ns)
        self._resolve(frame, None)
        if not self._masks.plain:
            self._doomed.add(frame.slot)  # what a mask covers does not stay in the pool
        self._drop(frame.slot)

    def _block(self, blocked: Blocked) -> None:
        self._resolve(blocked.frame, blocked.reason)
        slot = blocked.frame.slot
        if self._lent == slot or (self._newest is not None and self._newest.slot == slot):
            self._doomed.add(slot)  # still being read; wiped when it is given back
        else:
            self._pool.wipe(slot)
        self._drop(slot)

    def _block_all(self, stopped: list[Blocked]) -> None:
        for blocked in stopped:
            self._block(blocked)

    def _resolve(self, frame: Pending, reason: Reason | None) -> None:
        step_ns = self._steps.pop(frame.sequence, 0)
        self._judge(frame.sequence, frame.captured_ns, reason, step_ns)

    def _judge(
        self, sequence: int, captured_ns: int, reason: Reason | None, step_ns: int = 0
    ) -> None:
        """The final decision on a frame; sent to the parent soon."""
        self._judged += 1
        self._resolved.append(Resolved(sequence, captured_ns, reason, self._gate.epoch, step_ns))

    def _drop(self, slot: int) -> None:
        """One user of the slot less; the last one gives it back to capture."""
        left = self._held[slot] - 1
        self._held[slot] = left
        if left == 0:
            del self._held[slot]
            if slot in self._doomed:
                self._doomed.discard(slot)
                self._pool.wipe(slot)
            ipc.send(self._capture, encode(Freed(slot)))


def prepare_process() -> str:
    """Make this process a quiet one; returns the scheduling it got, to be reported."""
    cv2.setNumThreads(1)
    scheduling.settle()
    gc.disable()
    if threading.active_count() != 1:
        raise RuntimeError(f"the gate runs one thread, found {threading.active_count()}")
    return scheduling.real_time(RT_PRIORITY)


def main() -> int:
    """Run until the guard ends."""
    ipc.die_with_parent(signal.SIGTERM)  # not at once: nobody else is left to wipe the ring
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = ipc.await_order(GateSettings)
    process = GateProcess(settings, warm_up=WarmUp(GateProcess, settings, BootClock()))
    signal.signal(signal.SIGTERM, lambda number, frame: process.stop())
    granted = prepare_process()
    ipc.send(ipc.attach(os.dup(settings.parent_fd)), lifecycle.encode(Ready(granted)))
    try:
        process.run()
    except MemoryError as err:
        process.leave()
        print(f"gate: {Reason.RESOURCE.value}: {err or 'out of memory'}", file=sys.stderr)
        return ipc.EXHAUSTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
