"""One gate process in this process, with the other ends of its channels."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading

import numpy as np

from bench import scenery
from edge import ipc
from edge.cameras.layout import Layout
from edge.clock import MS, Clock, S, VirtualClock
from edge.frames import lifecycle
from edge.frames.gate_process import GateProcess
from edge.frames.lifecycle import Token
from edge.frames.messages import (
    Captured,
    Resolved,
    Returned,
    decode_resolved,
    encode,
    is_resolved,
)
from edge.frames.output_format import OutputFormat
from edge.frames.pool import Pool
from edge.frames.process.wait import TURN_MS
from edge.frames.ring import Ring
from edge.frames.settings import GateSettings, Picture
from edge.frames.shaper import Shaper
from edge.frames.warm_up import WarmUp
from edge.heartbeat import Beats
from edge.lease import Binding, Lane, Lease
from edge.lease import encode as encode_lease
from edge.masking.mask import nothing
from edge.masking.polygons import MaskRules
from edge.view import signs
from framegate_client.connection import Connection
from tests.support import render

HEIGHT, WIDTH = 240, 320
PICTURE = scenery.view(HEIGHT, WIDTH)
WHOLE = OutputFormat()
UNMASKED = MaskRules()
LEASE = Lease(1, scenery.CAMERA, bytes(16), bytes(32), Lane.VERIFY, 0, 1, 1, 0.8, (1 << 48) - 1, 1)


class Harness:
    """One gate process in this process, with the other ends of its channels.

    Its time moves only by `go_on`, unless a clock is given: a gate on a slow machine does the same.
    """

    def __init__(
        self,
        path: str,
        layout: Layout = Layout.BGR,
        form: OutputFormat = WHOLE,
        clock: Clock | None = None,
        warm: bool = False,
        masks: MaskRules = UNMASKED,
        lane: Lane = Lane.VERIFY,
    ) -> None:
        self.clock = clock or VirtualClock(1000 * S)
        self.layout, self.lane = layout, lane
        self.picture = PICTURE if layout is Layout.BGR else render.planar(PICTURE, layout)
        self.pool = Pool.create(layout.bytes(HEIGHT, WIDTH), layout)
        self.shaper = Shaper(form, layout, HEIGHT, WIDTH)
        self.ring = Ring.create(self.shaper.bytes)
        self.beats = Beats.create()
        self.capture, capture = ipc.pair()
        self.decider, decider = ipc.pair()
        self.parent, parent = ipc.pair()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen(1)
        self.path = path
        self.settings = GateSettings(
            picture=Picture(HEIGHT, WIDTH, 30.0, layout),
            pool=self.pool.size,
            binding=Binding(LEASE.camera, LEASE.boot, LEASE.policy, lane),
            view=scenery.fingerprint(PICTURE).to_bytes(),
            min_view_score=0.0,
            output=form,
            masks=masks,
            token="t",
            uid=os.getuid(),
            beats_fd=self.beats.fd,
            pool_fd=self.pool.fd,
            ring_fd=self.ring.fd,
            capture_fd=capture.detach(),
            decider_fd=decider.detach(),
            parent_fd=parent.detach(),
            listen_fd=listener.detach(),
        )
        self.warm_up = WarmUp(GateProcess, self.settings, self.clock) if warm else None
        self.gate = GateProcess(self.settings, self.clock, self.warm_up)
        self.sequence = 0
        self.exposed = False
        self.matcher: Connection | None = None

    def connect(self) -> Connection:
        found: list[Connection] = []
        thread = threading.Thread(
            target=lambda: found.append(Connection(self.path, "t", self.lane.value))
        )
        thread.start()
        while thread.is_alive():
            self.gate.turn()
        self.matcher = found[0]
        ipc.send(
            self.parent, lifecycle.encode(Token("t"))
        )  # for the next one, as the guard's parent does
        return found[0]

    def grant(self, **changes: object) -> None:
        self.send_lease(**changes)
        self.gate.turn()

    def send_lease(self, **changes: object) -> None:
        now_ns = self.clock.now_ns()
        times = {"to_ns": now_ns + 1000 * MS, "expires_ns": now_ns + 1000 * MS}
        fields = {"lane": self.lane, **times, **changes}
        ipc.send(self.decider, encode_lease(dataclasses.replace(LEASE, **fields)))

    def deliver(self, picture: np.ndarray | None = None, **changes: int) -> list[Resolved]:
        """Hand over one frame; returns the gate's verdicts on it and on the frames before it."""
        slot = self.sequence % 4
        self.expose(slot, picture)
        self.shoot(**{"slot": slot, **changes})
        self.gate.turn()
        return self.words()

    def shoot(self, slot: int, **changes: int) -> None:
        """Say, as capture, that a frame lies in `slot`."""
        shot = Captured(slot, self.sequence, self.clock.now_ns(), HEIGHT, WIDTH)
        self.sequence += 1
        ipc.send(self.capture, encode(dataclasses.replace(shot, **changes)))

    def expose(self, slot: int, picture: np.ndarray | None = None) -> None:
        """Put a picture into `slot`; the good one differs by one grey level from the one before."""
        if picture is None and self.exposed:
            self.picture = self.picture.copy()
            rows, columns = signs.grid(HEIGHT, WIDTH)
            place = (rows.start, columns.start, 1)[: self.picture.ndim]
            self.picture[place] = (int(self.picture[place]) + 1) % 256
        self.exposed = True
        self.pool.frame(slot, HEIGHT, WIDTH)[:] = self.picture if picture is None else picture

    def give_back(self) -> None:
        """Return, as the decider, the frame that was lent as evidence."""
        for slot in range(4):
            ipc.send(self.decider, encode(Returned(slot)))

    def send(self, data: bytes) -> None:
        ipc.send(self.capture, data)
        self.gate.turn()

    def go_on(self, ms: int) -> None:
        """Let time pass for a gate that keeps turning; under another clock it only turns."""
        for _ in range(0, ms, TURN_MS):
            self._advance(TURN_MS)
            self.gate.turn()

    def _advance(self, ms: int) -> None:
        if isinstance(self.clock, VirtualClock):
            self.clock.advance(ms=ms)

    def words(self) -> list[Resolved]:
        self.go_on(2 * TURN_MS)  # verdicts are sent in batches, every 50 ms
        batches = [data for data in ipc.drain(self.parent) if is_resolved(data)]
        return [word for batch in batches for word in decode_resolved(batch)]

    def close(self) -> None:
        """Close the descriptors that do not close themselves."""
        if self.matcher is not None:
            self.matcher.close()
        for memory in (self.pool, self.ring, self.beats):
            os.close(memory.fd)

    def passes(self) -> bool:
        """Whether a fresh good frame under a fresh lease reaches the matcher."""
        matcher = self.matcher or self.connect()
        self._advance(1)  # the frame is newer than whatever was doubted
        self.grant(epoch=self.sequence + 100, from_ns=self.clock.now_ns())
        self.deliver()
        frame = matcher.read(timeout_s=0)
        return frame is not None and bool((frame == self.released()).all())

    def released(self) -> np.ndarray:
        """The good picture as the matcher receives it."""
        place = np.zeros(self.shaper.shape, np.uint8)
        self.shaper.write(self.picture, place, nothing(HEIGHT, WIDTH))
        return place
