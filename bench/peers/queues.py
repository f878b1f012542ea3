"""Peer: the same gate between the same processes, joined by `multiprocessing.Queue`.

Camera, gate and matcher are processes here as in the product; each hop pickles
the frame. The gate in the middle looks at each frame and decides by the same
code.
"""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from bench import scenery
from bench.gate.timing import punctual, wait_until
from edge import ipc, scheduling
from edge.clock import MS, BootClock
from edge.frames.gate import Gate, Pending, Verdict
from edge.frames.sentinel import Sentinel
from edge.lease import MIN_VIEW_SCORE, Binding, Lane, Lease

_DEPTH = 8
_START_S = 20.0
_END_S = 10.0


def _gate(incoming: Any, outgoing: Any, view: bytes) -> None:
    from edge.view.fingerprint import Fingerprint

    ipc.die_with_parent()
    cv2.setNumThreads(1)
    scheduling.real_time(10)
    clock = BootClock()
    binding = Binding(scenery.CAMERA, bytes(16), bytes(32), Lane.VERIFY)
    gate, sentinel = (
        Gate(binding, min_view_score=MIN_VIEW_SCORE),
        Sentinel(Fingerprint.from_bytes(view)),
    )
    named = (binding.camera, binding.boot, binding.policy, binding.lane)
    end_ns = clock.now_ns() + 3600 * 1000 * MS
    lease = Lease(1, *named, 0, end_ns, end_ns, MIN_VIEW_SCORE, (1 << 48) - 1, 0)
    gate.grant(lease, clock.now_ns())
    while (item := incoming.get()) is not None:
        captured_ns, frame = item
        score = sentinel.glance(frame, gate.seen_blocks)
        pending = Pending(0, captured_ns, score or 0.0, 0, frame.nbytes)
        if gate.check(pending, clock.now_ns()) is Verdict.PASS:
            outgoing.put((captured_ns, frame))
    outgoing.put(None)


def _matcher(incoming: Any, results: Any) -> None:
    ipc.die_with_parent()
    clock = BootClock()
    rows = []
    incoming.get()
    results.put(None)  # the first frame has arrived: everything is warm
    while (item := incoming.get()) is not None:
        rows.append((item[0], clock.now_ns()))
    results.put(rows)


class QueueRig:
    """Camera, gate and matcher joined by queues; use as a context manager."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self._pictures = pictures
        self._clock = BootClock()
        context = multiprocessing.get_context("spawn")
        self._first, self._second = context.Queue(_DEPTH), context.Queue(_DEPTH)
        self._results = context.Queue()
        view = scenery.fingerprint(pictures[0]).to_bytes()
        self._processes = [
            context.Process(target=_gate, args=(self._first, self._second, view), daemon=True),
            context.Process(target=_matcher, args=(self._second, self._results), daemon=True),
        ]
        self.sent = 0

    def __enter__(self) -> QueueRig:
        for process in self._processes:
            process.start()
        scheduling.prefer()
        punctual()
        self._first.put((self._clock.now_ns(), self._pictures[0]))
        self._results.get(timeout=_START_S)
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    def play(self, count: int, rate_hz: float) -> None:
        """Deliver `count` frames at `rate_hz`, stamped with their intended times."""
        period_ns = round(1e9 / rate_hz)
        due_ns = self._clock.now_ns() + 5 * MS
        for _ in range(count):
            # written by the camera before it is due, as on the product's side
            picture = self._pictures[self.sent % len(self._pictures)].copy()
            wait_until(due_ns, self._clock.now_ns)
            self._first.put((due_ns, picture), timeout=_END_S)
            self.sent += 1
            due_ns += period_ns

    def flood(self, seconds: float) -> float:
        """Deliver as fast as the gate takes them; returns frames per second."""
        began_ns = self._clock.now_ns()
        before = self.sent
        while self._clock.now_ns() - began_ns < seconds * 1e9:
            self._first.put((self._clock.now_ns(), self._pictures[0]), timeout=_END_S)
            self.sent += 1
        return (self.sent - before) / ((self._clock.now_ns() - began_ns) / 1e9)

    def finish(self) -> np.ndarray:
        """Stop; returns rows (captured_ns, received_ns)."""
        self._first.put(None)
        try:
            rows = self._results.get(timeout=_END_S)
        except queue.Empty:
            rows = []
        return np.array(rows, np.int64).reshape(-1, 2)
