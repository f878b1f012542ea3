"""The gate process: one thread that looks at every frame and releases what passes.

    python -m edge.frames.gate_process < settings.json

It polls capture, decider and matcher with a short timeout, so that revocation
never waits for a camera. It is the only process that maps both the capture
pool and the release ring. This module carries the messages; `edge.frames.process`
has what is done with them.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time

import cv2

from edge import ipc, scheduling
from edge.clock import MS, BootClock, Clock
from edge.errors import GuardError
from edge.frames import lifecycle
from edge.frames.gate import Blocked
from edge.frames.lifecycle import Over, Ready, StreamState, Token
from edge.frames.matcher_endpoint import MatcherEndpoint
from edge.frames.messages import Captured, End, SourceEnd, decode
from edge.frames.pool import Pool
from edge.frames.process.decider_messages import DeciderMessages
from edge.frames.process.inspector import Inspector
from edge.frames.process.ledger import Ledger
from edge.frames.process.lender import Lender
from edge.frames.process.matcher_messages import MatcherMessages
from edge.frames.process.passage import Passage
from edge.frames.process.slots import Slots
from edge.frames.process.wait import Wait
from edge.frames.ring import Ring
from edge.frames.sentinel import Sentinel
from edge.frames.settings import GateSettings
from edge.frames.shaper import Shaper
from edge.frames.warm_up import WarmUp
from edge.heartbeat import Beats, Role
from edge.lease import Lease
from edge.reasons import Reason
from edge.view.fingerprint import Fingerprint

GAP_NS = 150 * MS  # a pause of this process longer than this is a doubt
RT_PRIORITY = 10


class GateProcess:
    """Carries messages between the channels and what a frame passes."""

    def __init__(
        self, settings: GateSettings, clock: Clock | None = None, warm_up: WarmUp | None = None
    ) -> None:
        """`warm_up` is held before each frame that is due while there is a lease."""
        self._clock = clock = clock or BootClock()
        self._beats = Beats(settings.beats_fd)
        self._capture = ipc.attach(settings.capture_fd)
        self._decider = ipc.attach(settings.decider_fd)
        self._parent = ipc.attach(settings.parent_fd)
        layout = settings.picture.layout
        self._size = (settings.picture.height, settings.picture.width)
        pool = Pool(settings.pool_fd, settings.pool, layout)
        ring = Ring(settings.ring_fd)
        ring.seal()
        ring.wipe_all()  # its memory is there before the first frame is in a hurry
        fingerprint = Fingerprint.from_bytes(settings.view) if settings.view else None
        sentinel = Sentinel(fingerprint, layout)
        self._inspector = Inspector(
            sentinel, pool, self._size, scored=settings.binding.lane.identifying
        )
        self._endpoint = MatcherEndpoint(
            socket.socket(fileno=settings.listen_fd),
            ring,
            token=settings.token,
            lane=settings.binding.lane,
            uid=settings.uid,
            shaper=Shaper(settings.output, layout, *self._size),
            rate_hz=settings.picture.rate_hz,
        )
        self._slots = Slots(pool, self._capture)
        self._lender = Lender(self._decider, self._slots, sentinel)
        self._ledger = Ledger(self._parent)
        self._passage = Passage(
            settings,
            clock,
            pool,
            self._endpoint,
            self._slots,
            self._lender,
            self._ledger,
            self._decider,
        )
        self._matcher_messages = MatcherMessages(self._endpoint, self._decider, self._parent)
        self._decider_messages = DeciderMessages(
            self._decider, clock, self._passage, self._lender, self._inspector
        )
        self._end_ns: int | None = None  # when the stream ended
        self._stopping = False
        fds = [channel.fileno() for channel in (self._capture, self._decider, self._parent)]
        self._capture_fd, self._decider_fd, self._parent_fd = fds
        self._wait = Wait(fds, clock, warm_up)
        self._wait.watch(self._endpoint.fds())
        self._last_ns = clock.now_ns()

    @property
    def lease(self) -> Lease | None:
        """What frames are released under now, if they are."""
        return self._passage.gate.lease

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
        now_ns = self._clock.now_ns()
        self._passage.leave(now_ns)
        self._ledger.send(now_ns)

    def turn(self) -> None:
        """Wait for something, for a turn at most; look at one frame; release what passes.

        Raises:
            ipc.PeerGone: a process that the gate talks to is gone.
        """
        ends_ns = None if self.lease is None else self.lease.expires_ns
        resting = self._beats.resting(self._last_ns)
        ready = self._wait.ready(leased=self._passage.leased, ends_ns=ends_ns, resting=resting)
        now_ns = self._clock.now_ns()
        if now_ns - self._last_ns > GAP_NS:  # this process stood still
            self._passage.doubt(now_ns, Reason.TIME_GAP)
        self._last_ns = now_ns
        self._beats.beat(Role.GATE, now_ns)
        if self._parent_fd in ready:
            self._take_parent()
        self._endpoint.tell_state()
        if self._wait.watched(ready) or self._endpoint.overdue(now_ns):
            self._matcher_messages.serve(now_ns)
            self._wait.watch(self._endpoint.fds())
        if self._decider_fd in ready:
            self._decider_messages.receive()
        if self._capture_fd in ready:
            # one frame a turn, released before the next
            data = ipc.receive(self._capture, ipc.SHORT_MESSAGE)
            if data is not None:
                self._take_capture(data)
            self._decider_messages.receive()  # again, so that nothing is released past a revocation
        self._settle()
        self._lender.tell(self._clock.now_ns())

    def _take_parent(self) -> None:
        for word in ipc.drain(self._parent):
            match lifecycle.decode(word):
                case Token(token):
                    self._endpoint.renew(token)
                case StreamState(flowing, reasons):
                    self._endpoint.tell({"flowing": flowing, "reasons": reasons})

    def _take_capture(self, data: bytes) -> None:
        try:
            message = decode(data)
        except GuardError:
            self._passage.distrust(self._clock.now_ns(), Reason.FRAME_MALFORMED)
            return
        match message:
            case SourceEnd(end, _):
                ipc.send(self._decider, data)
                if end is End.EOF:
                    self._end_ns = self._clock.now_ns()
            case Captured(slot) if self._slots.vacant(slot):
                self._frame(message)
            case Captured(_, sequence, captured_ns):  # a slot that is not there, or not free
                malformed = Reason.FRAME_MALFORMED
                self._passage.distrust(self._clock.now_ns(), malformed)
                self._ledger.judge(sequence, captured_ns, malformed, self._passage.gate.epoch)

    def _frame(self, shot: Captured) -> None:
        began_ns = time.perf_counter_ns()
        frame, whole = self._inspector.look(shot, self._passage.gate.lease)
        malformed = Blocked(frame, Reason.FRAME_MALFORMED)
        stopped = self._passage.gate.admit(frame, self._clock.now_ns()) if whole else [malformed]
        self._slots.take(shot.slot)
        if not stopped or stopped[-1] != malformed:
            self._lender.keep(shot)
        self._ledger.arrived(shot.sequence, time.perf_counter_ns() - began_ns)
        self._passage.block(stopped, Reason.VIEW_FOREIGN)
        self._lender.unreported = shot
        self._wait.frame_came(self._last_ns)

    def _settle(self) -> None:
        """What time decides, then release what passes, then tell."""
        now_ns = self._clock.now_ns()
        self._passage.settle(now_ns)
        if self._end_ns is not None and self._passage.finish(now_ns, self._end_ns):
            ipc.send(self._parent, lifecycle.encode(Over()))
        if self._ledger.due(now_ns, over=self._passage.over):
            self._ledger.send(now_ns)


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
    ipc.die_with_parent(signal.SIGTERM)  # not at once: no other process is left to wipe the ring
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
