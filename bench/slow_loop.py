"""A slow loop for the bench: renews the lease every 50 ms and reads the evidence frames.

    python -m bench.slow_loop < settings.json

In mode "immediate" the lease reaches ahead of the frames; in mode "bracketed" it ends
at the capture time of the last evidence frame, which the product's own face detector
reads, if the settings name one.
"""

from __future__ import annotations

import select
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge import ipc, scheduling
from edge.clock import MS, BootClock
from edge.evidence.faces import FaceBoxes
from edge.frames.messages import Offered, Returned, decode, encode
from edge.frames.pool import Pool
from edge.frames.settings import Picture, PoolSize
from edge.lease import LIFE_NS, MIN_VIEW_SCORE, RENEW_NS, Binding, Lease
from edge.lease import encode as encode_lease
from edge.view.signs import ALL_BLOCKS
from edge.wire import Tag

_AHEAD_NS = 1_000 * MS


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """The settings: which frames the loop reads, and whether it waits for evidence."""

    picture: Picture
    pool: PoolSize
    binding: Binding
    pool_fd: int
    gate_fd: int
    immediate: bool  # leases end later than the evidence
    faces: Path | None  # the detector, if any


def main() -> int:
    """Run until the gate is gone."""
    ipc.die_with_parent()
    scheduling.prefer()
    cv2.setNumThreads(1)
    settings = ipc.await_order(LoopSettings)
    clock = BootClock()
    gate = ipc.attach(settings.gate_fd)
    pool = Pool(settings.pool_fd, settings.pool, writable=False)
    faces = FaceBoxes(settings.faces) if settings.faces else None
    immediate, binding = settings.immediate, settings.binding
    lane = binding.lane
    begin_ns = clock.now_ns()
    read_ns = begin_ns  # capture time of the last evidence frame
    renewed_ns = 0
    if faces is not None:
        faces.detect(np.zeros((settings.picture.height, settings.picture.width, 3), np.uint8))
    while True:
        select.select([gate.fileno()], [], [], 0.01)
        fresh = False
        try:
            for data in ipc.drain(gate):
                if data[0] != Tag.OFFERED:  # notes are not needed here
                    continue
                offer = decode(data)
                assert isinstance(offer, Offered)
                if faces is not None:
                    faces.detect(pool.frame(offer.slot, offer.height, offer.width))
                read_ns, fresh = offer.captured_ns, True
                ipc.send(gate, encode(Returned(offer.slot)))
        except ipc.PeerGone:
            return 0
        now_ns = clock.now_ns()
        if now_ns - renewed_ns < RENEW_NS and not (fresh and not immediate):
            continue
        renewed_ns = now_ns
        lease = Lease(
            1,
            binding.camera,
            binding.boot,
            binding.policy,
            lane,
            begin_ns,
            now_ns + _AHEAD_NS if immediate else read_ns + 1,
            now_ns + LIFE_NS,
            MIN_VIEW_SCORE if lane.identifying else 0.0,
            ALL_BLOCKS,
            1,
        )
        ipc.send(gate, encode_lease(lease))


if __name__ == "__main__":
    sys.exit(main())
