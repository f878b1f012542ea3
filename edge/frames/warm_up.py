"""The cache warm-up: the gate's turn, run once just before a frame is due.

Between two frames other programs fill the caches of a small computer, and the
same turn takes three times as long as in a loop. `Pace` predicts the next
frame; `WarmUp` then runs one turn of a second gate, on a black frame
of the smallest size. That gate has a pool, a ring and channels of its own with
nobody at their other ends, and knows no memory of the real one.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import Protocol

from edge import ipc
from edge.cameras.layout import Layout
from edge.cameras.opencv import Shot
from edge.clock import MS, Clock
from edge.errors import GuardError
from edge.frames.capture import Deliverer
from edge.frames.matcher_endpoint import VERSIONS
from edge.frames.output_format import OutputFormat
from edge.frames.pool import Pool
from edge.frames.ring import Ring
from edge.frames.settings import GateSettings, Picture
from edge.heartbeat import Beats
from edge.lease import LIFE_NS, Binding, Lane, Lease, encode
from edge.masking.polygons import MaskRules
from edge.view import signs

SHORTEST_NS = 5 * MS  # frames that come faster keep the caches warm themselves
LONGEST_NS = 120 * MS  # a gate takes a longer pause for a doubt
LEAD_MS = 1  # it begins one to two milliseconds before the frame is due
_LANE = Lane.DETECT  # of the black frames: they show no enrolled view
_NOBODY = bytes(16)


class Turning(Protocol):
    """A gate process; see `edge.frames.gate_process`."""

    def admit(self, matcher: socket.socket, hello: bytes) -> None:
        """Take a matcher that is connected already."""

    def turn(self) -> None:
        """Look at what is waiting."""


class Pace:
    """Foresees the next frame from the time between the last two."""

    def __init__(self) -> None:
        self._last_ns = 0
        self._due_ns = 0  # 0: none is foreseen

    def arrived(self, now_ns: int) -> None:
        """A frame came at `now_ns`."""
        period_ns = now_ns - self._last_ns
        self._last_ns = now_ns
        self._due_ns = now_ns + period_ns if SHORTEST_NS <= period_ns <= LONGEST_NS else 0

    def wait_ms(self, now_ns: int) -> int | None:
        """Milliseconds from `now_ns` until a cache warm-up should begin; None if none should."""
        left_ms = (self._due_ns - now_ns) // MS - LEAD_MS
        return left_ms if self._due_ns and left_ms >= 0 else None

    def warmed(self) -> None:
        """Once for each frame is enough."""
        self._due_ns = 0


class WarmUp:
    """A second gate, and what it takes to give it something to do."""

    def __init__(
        self, make: Callable[[GateSettings, Clock], Turning], settings: GateSettings, clock: Clock
    ) -> None:
        """`make` builds a gate of the very code that is to be warmed up; `settings` are the real
        one's, of which it gets the enrolled view and the layout alone.

        Raises:
            GuardError: a first cache warm-up did not go the whole way.
        """
        self._clock = clock
        self.pace = Pace()
        self._shade = 0  # of the black frame
        layout = settings.picture.layout
        height, width = signs.HEIGHT, signs.WIDTH
        self._pool = Pool.create(layout.bytes(height, width), layout)
        self._ring = Ring.create(Layout.BGR.bytes(height, width))  # what a matcher gets
        self._beats = Beats.create()
        camera, capture = ipc.pair()
        self._decider, decider = ipc.pair()
        self._parent, parent = ipc.pair()
        listener, self._outside = ipc.pair()  # no matcher connects
        self._gate = make(
            GateSettings(
                picture=Picture(height, width, 0.0, layout),
                pool=self._pool.size,
                binding=Binding(_NOBODY, _NOBODY, 2 * _NOBODY, _LANE),
                view=settings.view,
                min_view_score=0.0,
                output=OutputFormat(),
                masks=MaskRules(),
                token="warm-up",
                uid=os.getuid(),
                beats_fd=self._beats.fd,
                pool_fd=self._pool.fd,
                ring_fd=self._ring.fd,
                capture_fd=capture.detach(),
                decider_fd=decider.detach(),
                parent_fd=parent.detach(),
                listen_fd=listener.detach(),
            ),
            clock,
        )
        seat, self._matcher = ipc.pair()
        hello = {"v": VERSIONS[0], "token": "warm-up", "lane": _LANE.value}
        self._gate.admit(seat, json.dumps(hello).encode())
        self._deliverer = Deliverer(camera, self._pool, height, width, layout)
        self.run()
        if self.released != 1:
            raise GuardError("the cache warm-up released no black frame, expected one")

    @property
    def released(self) -> int:
        """Black frames released so far; no matcher receives them."""
        return self._ring.newest

    def run(self) -> None:
        """Let one frame pass through the second gate."""
        self.pace.warmed()
        now_ns = self._clock.now_ns()
        end_ns = now_ns + LIFE_NS
        named = (_NOBODY, _NOBODY, 2 * _NOBODY, _LANE)
        lease = Lease(1, *named, now_ns, end_ns, end_ns, 0.0, signs.ALL_BLOCKS, 1)
        black = self._deliverer.room()
        if black is None or not ipc.send(self._decider, encode(lease)):
            return  # a turn with nothing to do would wait
        self._shade = 1 - self._shade  # a repeat would not be released
        black[:] = self._shade
        self._deliverer.deliver(Shot(black, now_ns))
        self._gate.turn()
        for channel in (self._decider, self._parent):
            ipc.drain(channel, size=ipc.SHORT_MESSAGE)
