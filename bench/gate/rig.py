"""The product's own gate process with a simulated camera, slow loop and matcher.

Four processes, as in a running guard: this one plays the camera with the code of the
capture process; `edge.frames.gate_process` is the real one; `bench.slow_loop` renews
the lease; `bench.gate.matcher` records when it has each frame. Frames carry the
*intended* capture time, so a stall of any process shows in every frame that it delays.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.gate.timing import punctual, wait_until
from bench.scenery import CAMERA, fingerprint
from bench.slow_loop import LoopSettings
from edge import ipc, scheduling
from edge.cameras.layout import Layout
from edge.cameras.opencv import Shot
from edge.clock import MS, BootClock, boot_id
from edge.frames import lifecycle
from edge.frames.capture import Deliverer
from edge.frames.lifecycle import Ready
from edge.frames.messages import Resolved, decode_resolved, is_resolved
from edge.frames.output_format import OutputFormat
from edge.frames.pool import Pool
from edge.frames.ring import Ring
from edge.frames.settings import GateSettings, Picture
from edge.guard.processes import Child, spawn_module
from edge.heartbeat import Beats
from edge.lease import Binding, Lane
from edge.masking.polygons import MaskRules

POLICY = bytes(32)
_START_S = 20.0


class Rig:
    """A running gate; use as a context manager."""

    def __init__(
        self,
        pictures: Sequence[np.ndarray],
        *,
        mode: str = "immediate",
        gate: str = "edge.frames.gate_process",
        matcher: str = "bench.gate.matcher",
        lane: Lane = Lane.VERIFY,
        faces: Path | None = None,
    ) -> None:
        """`mode` is the slow loop's: immediate or bracketed; `faces` is its detector, if any."""
        self._pictures = pictures
        self._clock = BootClock()
        self.height, self.width = pictures[0].shape[:2]
        self._directory = tempfile.TemporaryDirectory(prefix="framegate-bench-")
        self._mode, self._faces = mode, faces
        self._gate_module, self._matcher_module, self._lane = gate, matcher, lane
        self.children: list[Child] = []
        self.scheduling = ""
        self.resolved: list[Resolved] = []
        self.sent = 0

    def __enter__(self) -> Rig:
        pool = Pool.create(self._pictures[0].nbytes)
        ring = Ring.create(self._pictures[0].nbytes)
        beats = Beats.create()
        capture, gate_capture = ipc.pair()
        gate_decider, decider = ipc.pair()
        self._parent, gate_parent = ipc.pair()
        path = os.path.join(self._directory.name, "matcher.sock")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen(1)
        token = secrets.token_hex(8)
        identifying = self._lane.identifying
        view = fingerprint(self._pictures[0]).to_bytes() if identifying else b""
        ends = {
            "capture_fd": gate_capture,
            "decider_fd": gate_decider,
            "parent_fd": gate_parent,
            "listen_fd": listener,
        }
        numbers = {name: end.fileno() for name, end in ends.items()}
        picture = Picture(self.height, self.width, 0.0, Layout.BGR)
        binding = Binding(CAMERA, boot_id(), POLICY, self._lane)
        gate = GateSettings(
            picture=picture,
            pool=pool.size,
            binding=binding,
            view=view,
            min_view_score=0.0,  # the policy requires the same score as the product
            output=OutputFormat(),
            masks=MaskRules(),
            token=token,
            uid=os.getuid(),
            beats_fd=beats.fd,
            pool_fd=pool.fd,
            ring_fd=ring.fd,
            **numbers,
        )
        fds = [*numbers.values(), beats.fd, pool.fd, ring.fd]
        self.gate = spawn_module("gate", self._gate_module, gate, fds)
        self.children.append(self.gate)
        immediate = self._mode == "immediate"
        loop = LoopSettings(
            picture, pool.size, binding, pool.fd, decider.fileno(), immediate, self._faces
        )
        self.children.append(
            spawn_module("slow loop", "bench.slow_loop", loop, [decider.fileno(), pool.fd])
        )
        for end in (*ends.values(), decider):
            end.close()
        self._await_gate()
        environment = {
            **os.environ,
            "FRAMEGATE_SOCKET": path,
            "FRAMEGATE_TOKEN": token,
            "FRAMEGATE_LANE": self._lane.value,
        }
        self._matcher = subprocess.Popen(
            [sys.executable, "-m", self._matcher_module, str(pool.fd)],
            env=environment,
            stdout=subprocess.PIPE,
            pass_fds=[pool.fd],
        )
        self.children.append(Child("matcher", self._matcher))
        assert self._matcher.stdout is not None
        self._matcher.stdout.readline()  # it prints a line when it is connected
        self._deliverer = Deliverer(capture, pool, self.height, self.width)
        scheduling.prefer()
        punctual()
        return self

    def __exit__(self, *exc: object) -> None:
        for child in self.children:
            if child.process.poll() is None:
                child.process.kill()
            child.end()
        self._directory.cleanup()

    def play(self, count: int, rate_hz: float) -> None:
        """Deliver `count` frames at `rate_hz`; each is stamped with its intended time."""
        period_ns = round(1e9 / rate_hz)
        due_ns = self._clock.now_ns() + 5 * MS
        for _ in range(count):
            picture = self._written()  # a frame is complete when it is due
            wait_until(due_ns, self._clock.now_ns)
            self._deliverer.deliver(Shot(picture, due_ns))
            self.sent += 1
            due_ns += period_ns
            self._listen()

    def flood(self, seconds: float) -> float:
        """Deliver as fast as the pool allows; returns the frames taken per second."""
        began_ns = self._clock.now_ns()
        before = self.sent - self._deliverer.dropped
        while self._clock.now_ns() - began_ns < seconds * 1e9:
            dropped = self._deliverer.dropped
            self._deliverer.deliver(Shot(self._written(), self._clock.now_ns()))
            self.sent += 1
            if self._deliverer.dropped > dropped:
                time.sleep(0.0002)
            self._listen()
        taken = self.sent - self._deliverer.dropped - before
        return taken / ((self._clock.now_ns() - began_ns) / 1e9)

    def _written(self) -> np.ndarray:
        """The next picture, written directly into the pool if the product allows it."""
        picture = self._pictures[self.sent % len(self._pictures)]
        place = self._deliverer.room()
        if place is None:
            return picture
        np.copyto(place, picture)
        return place

    @property
    def dropped(self) -> int:
        """Frames for which the pool had no room."""
        return self._deliverer.dropped

    def finish(self) -> np.ndarray:
        """Stop the matcher; returns its rows (captured_ns, received_ns, sequence)."""
        time.sleep(0.3)
        self._listen()
        self._matcher.terminate()
        data, _ = self._matcher.communicate(timeout=_START_S)
        return np.frombuffer(data[: len(data) // 24 * 24], np.int64).reshape(-1, 3)

    def steps_ns(self) -> np.ndarray:
        """The gate's own measurements: the time that it spent on each arriving frame."""
        return np.array([word.step_ns for word in self.resolved if word.step_ns])

    def _listen(self) -> None:
        for data in ipc.drain(self._parent):
            if is_resolved(data):
                self.resolved += decode_resolved(data)

    def _await_gate(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            data = ipc.receive(self._parent)
            if data is not None:
                ready = lifecycle.decode(data)
                assert isinstance(ready, Ready)
                self.scheduling = ready.words
                return
            time.sleep(0.01)
        raise TimeoutError("the gate process did not start")
