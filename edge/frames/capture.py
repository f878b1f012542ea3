"""The capture process: owns the camera, writes frames into the pool, tells the gate.

    python -m edge.frames.capture < settings.json

It says what camera it found, waits for the pool's size and a go, then delivers; a
camera that can writes each frame straight into a slot of the pool. A
stalled driver stalls only this process. A camera that goes away is looked for
again with growing pauses; a file that ends is the end of the stream.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from edge import ipc, scheduling
from edge.cameras.lag import Lag, LagWatch
from edge.cameras.layout import Layout
from edge.cameras.live import open_camera
from edge.cameras.opencv import Camera, PacedCamera, Shot
from edge.cameras.pictures import Wanted, always
from edge.clock import MS, BootClock, Clock
from edge.errors import CameraError, GuardError
from edge.frames import lifecycle
from edge.frames.lifecycle import CameraHello, Failed, Go, Lifecycle, SourceNote
from edge.frames.messages import End, Freed, SourceEnd, decode, encode, encode_captured
from edge.frames.pool import Pool
from edge.frames.settings import CaptureSettings, Outlet, Picture, PoolSize
from edge.heartbeat import Beats, Heart, Role
from edge.sandbox.decoder import Needs, confine

_RETRY_S = (0.5, 1.0, 2.0, 5.0)
_KEPT_FRAMES = 3  # what decoding one takes, besides the frame
REST_NS = 500 * MS  # between two frames while they decide nothing


class Deliverer:
    """Puts shots into free slots of the pool; what finds none is dropped and counted."""

    def __init__(
        self, gate: socket.socket, pool: Pool, height: int, width: int, layout: Layout = Layout.BGR
    ) -> None:
        """`height`, `width` and `layout` are the camera's."""
        self._gate = gate
        self._pool = pool
        self._layout = layout
        self._shape = (height, width)
        self._free = list(range(pool.size.slots))
        self._lent: tuple[int, np.ndarray] | None = None  # the slot that the next frame goes to
        self.sequence = 0
        self.dropped = 0

    def room(self) -> np.ndarray | None:
        """Where the camera may write its next frame, so that it need not be copied."""
        if self._lent is None:
            if not self._free:
                self._reclaim()
            if not self._free:
                return None
            slot = self._free.pop()  # the last one freed is the likeliest to be cached
            self._lent = slot, self._pool.frame(slot, *self._shape)
        return self._lent[1]

    def deliver(self, shot: Shot) -> None:
        """Hand one frame to the gate.

        Raises:
            ipc.PeerGone: the gate is gone.
        """
        self.room()
        sequence = self.sequence
        self.sequence += 1
        if self._lent is None:
            self.dropped += 1
            return
        slot, place = self._lent
        size = self._shape
        if shot.frame is not place:
            size = self._copied(shot.frame, place)
        if ipc.send(self._gate, encode_captured(slot, sequence, shot.captured_ns, *size)):
            self._lent = None
        else:
            self.dropped += 1
        self._reclaim()  # now that this frame is on its way

    def _copied(self, frame: np.ndarray, place: np.ndarray) -> tuple[int, int]:
        """The size of `frame`, which now lies in `place` if it is one of this camera's."""
        size = self._layout.size(frame.shape) if frame.dtype == np.uint8 else None
        if size == self._shape:
            place[:] = frame
        return size or (0, 0)  # no picture of this camera's layout: the gate will say so

    def _reclaim(self) -> None:
        for data in ipc.drain(self._gate, size=ipc.SHORT_MESSAGE):
            freed = decode(data)
            if isinstance(freed, Freed):
                self._free.append(freed.slot)

    def end(self, why: End) -> None:
        """Tell the gate that nothing follows."""
        ipc.send(self._gate, encode(SourceEnd(why, self.sequence)))


class FanOut:
    """Delivers each frame to several gates: a pool, slots and a count of its own each."""

    def __init__(self, first: Deliverer, *others: Deliverer) -> None:
        """The camera writes straight into the pool of `first`; the others get copies."""
        self._first = first
        self._others = others

    def room(self) -> np.ndarray | None:
        """Where the camera may write its next frame; None if it has to be copied from elsewhere."""
        return self._first.room()

    def deliver(self, shot: Shot) -> None:
        """Hand one frame to every gate.

        Raises:
            ipc.PeerGone: one of them is gone, and with it this guard.
        """
        for other in self._others:
            other.deliver(shot)  # before the first has it, who may wipe it where it lies
        self._first.deliver(shot)

    def end(self, why: End) -> None:
        """Tell every gate that nothing follows."""
        for deliverer in (*self._others, self._first):
            deliverer.end(why)


class Demand:
    """Which frames of a live camera are wanted: few of them while no guard needs more.

    A guard that something else has blocked for long marks its page of heartbeats. The mark
    ends by itself, and a guard takes it back once that cause is over.
    """

    def __init__(self, pages: Sequence[Beats], heart: Heart, clock: Clock) -> None:
        """`pages` are those of the guards that the frames are for."""
        self._pages = pages
        self._heart = heart
        self._clock = clock
        self._last_ns = -REST_NS

    def wanted(self) -> bool:
        """Whether the frame that the camera has now is wanted; beats, for one has come."""
        self._heart.beat()
        now_ns = self._clock.now_ns()
        resting = all(page.resting(now_ns) for page in self._pages)
        if resting and now_ns - self._last_ns < REST_NS:
            return False
        self._last_ns = now_ns
        return True


def main() -> int:
    """Run until the source ends for good, or the gate or the parent is gone."""
    ipc.die_with_parent()
    scheduling.prefer()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return _serve(ipc.await_order(CaptureSettings))
    except ipc.PeerGone:
        return 0


def _serve(settings: CaptureSettings) -> int:
    """Open the camera, say which it is, and deliver.

    Raises:
        ipc.PeerGone: the gate or the parent is gone.
    """
    clock = BootClock()
    parent = socket.socket(fileno=settings.parent_fd)
    own = Outlet(settings.gate_fd, settings.pool_fd, settings.beats_fd)
    outlets = [(outlet, ipc.attach(outlet.gate_fd)) for outlet in (own, *settings.others)]
    try:
        for lacking in confine(Needs.of(settings.source)):
            print(f"capture: {lacking}; it decodes without that layer", file=sys.stderr)
        camera = open_camera(settings.source, clock, settings.start_limit_s)
    except GuardError as err:
        ipc.tell(parent, lifecycle.encode(Failed(str(err))))
        return 2
    picture = Picture(camera.height, camera.width, camera.rate_hz, camera.layout)
    hello = CameraHello(camera.identity, picture, camera.dating)
    ipc.tell(parent, lifecycle.encode(hello))
    size = _next_message(parent)
    if not isinstance(size, PoolSize):
        return 0
    deliverers = [
        Deliverer(
            gate,
            Pool(outlet.pool_fd, size, camera.layout),
            camera.height,
            camera.width,
            camera.layout,
        )
        for outlet, gate in outlets
    ]
    pages = [Beats(outlet.beats_fd) for outlet, _ in outlets]
    heart = Heart(pages, Role.CAPTURE, clock)
    scheduling.return_memory()  # before there is a second thread
    scheduling.keep_memory(_KEPT_FRAMES * size.slot_bytes)
    heart.start()
    if not isinstance(_next_message(parent), Go):
        return 0
    scheduling.settle()
    deliverer = deliverers[0] if len(deliverers) == 1 else FanOut(*deliverers)
    wanted = Demand(pages, heart, clock).wanted
    return _deliver(camera, settings, deliverer, clock, parent, heart.beat, wanted)


def _next_message(parent: socket.socket) -> Lifecycle:
    """What the parent says next, waited for.

    Raises:
        ipc.PeerGone: it is gone.
    """
    return lifecycle.decode(ipc.await_word(parent, ipc.SHORT_MESSAGE))


def pass_on(
    camera: Camera,
    deliverer: Deliverer | FanOut,
    max_lag_ns: int,
    beat: Callable[[], None] = lambda: None,
    wanted: Wanted = always,
) -> bool:
    """Deliver what the camera gives until it ends; whether that was anything.

    Args:
        camera: where the frames come from.
        deliverer: where they go.
        max_lag_ns: a frame that comes later than the quickest by more, by the stream's own
            clock, is not delivered, and the guard learns of it; 0 for a camera that dates its
            frames.
        beat: called for each frame that is wanted.
        wanted: see `Camera.shots`.
    """
    watch = LagWatch(max_lag_ns) if max_lag_ns > 0 else None
    delivered = False
    try:
        for shot in camera.shots(deliverer.room, wanted):
            beat()
            lag = watch.judge(shot.stream_ns, shot.captured_ns) if watch else Lag.WITHIN
            if lag is Lag.BEYOND:
                deliverer.end(End.LAGGING)
            if lag is not Lag.WITHIN:
                continue  # while measuring: it may have waited in a buffer
            deliverer.deliver(shot)
            delivered = True
    except CameraError as err:  # the file was changed under us: nothing more of it counts
        print(f"framegate: {err}", file=sys.stderr)
    return delivered


def _deliver(
    camera: Camera,
    settings: CaptureSettings,
    deliverer: Deliverer | FanOut,
    clock: BootClock,
    parent: socket.socket,
    beat: Callable[[], None],
    wanted: Wanted = always,
) -> int:
    tries = 0
    while True:
        if pass_on(camera, deliverer, settings.max_lag_ns, beat, wanted):
            tries = 0
        camera.close()
        if isinstance(camera, PacedCamera):  # it is finite
            if not camera.tally.complete:
                note = SourceNote(camera.tally.lost, str(camera.tally))
                ipc.tell(parent, lifecycle.encode(note))
            deliverer.end(End.EOF)
            signal.pause()  # keeps beating until the guard ends it
        deliverer.end(End.LOST)
        identity = camera.identity, camera.layout, camera.dating
        while True:
            time.sleep(_RETRY_S[min(tries, len(_RETRY_S) - 1)])
            tries += 1
            try:
                camera = open_camera(settings.source, clock, settings.start_limit_s)
            except CameraError:
                continue
            if (camera.identity, camera.layout, camera.dating) == identity:
                break
            camera.close()  # another camera in its place is not this camera


if __name__ == "__main__":
    sys.exit(main())
