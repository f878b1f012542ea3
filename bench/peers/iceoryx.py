"""Peer: the hand-off alone, by iceoryx2's Python package, against the release ring.

    python -m bench.peers.iceoryx ring|iceoryx2 COUNT RATE_HZ SIZE

Copy in, wake the reader, copy out; both ends in processes of their own. Prints
the latencies in nanoseconds as JSON, each from the intended time.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench import scenery
from bench.gate.timing import real_time
from edge import scheduling
from edge.clock import MS, BootClock
from edge.frames.ring import Ring
from framegate_client.ring import RingReader

_WAIT_S = 0.5
Publish = Callable[[np.ndarray, int], None]
Receive = Callable[[], "int | None"]


def _ring_ends(frame: np.ndarray) -> tuple[Callable[[], Publish], Callable[[], Receive]]:
    ring = Ring.create(frame.nbytes)
    wake = os.eventfd(0, os.EFD_NONBLOCK)

    def publisher() -> Publish:
        def publish(picture: np.ndarray, stamp_ns: int) -> None:
            ring.publish(ring.stage(picture), picture, stamp_ns, 1)
            os.eventfd_write(wake, 1)

        return publish

    def receiver() -> Receive:
        reader = RingReader(ring.read_only_fd())

        def receive() -> int | None:
            while (found := reader.next()) is None:
                if not select.select([wake], [], [], _WAIT_S)[0]:
                    return None
                os.eventfd_read(wake)
            return found[0].captured_ns

        return receive

    return publisher, receiver


def _iceoryx_ends(frame: np.ndarray) -> tuple[Callable[[], Publish], Callable[[], Receive]]:
    import iceoryx2 as iox2

    iox2.set_log_level(iox2.LogLevel.Error)
    name = f"framegate-bench-{os.getpid()}"
    size = frame.nbytes + 8

    def ports() -> tuple[Any, Any, Any]:
        node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
        data = (
            node.service_builder(iox2.ServiceName.new(name))
            .publish_subscribe(iox2.Slice[ctypes.c_uint8])
            .open_or_create()
        )
        event = node.service_builder(iox2.ServiceName.new(name + "-wake")).event().open_or_create()
        return node, data, event

    def publisher() -> Publish:
        node, data, event = ports()
        port = data.publisher_builder().initial_max_slice_len(size).create()
        notifier = event.notifier_builder().create()

        def publish(picture: np.ndarray, stamp_ns: int, node: Any = node) -> None:
            sample = port.loan_slice_uninit(size)
            target = np.frombuffer(sample.payload().as_memory_view(), np.uint8)
            target[:8].view(np.int64)[0] = stamp_ns
            np.copyto(target[8:].reshape(picture.shape), picture)
            sample.assume_init().send()
            notifier.notify()

        return publish

    def receiver() -> Receive:
        node, data, event = ports()
        port = data.subscriber_builder().create()
        listener = event.listener_builder().create()
        wait = iox2.Duration.from_secs_f64(_WAIT_S)

        def receive(node: Any = node) -> int | None:
            deadline = time.monotonic() + _WAIT_S
            while (sample := port.receive()) is None:
                if time.monotonic() > deadline:
                    return None
                listener.timed_wait(wait)
            source = np.frombuffer(sample.payload().as_memory_view(), np.uint8)
            stamp_ns = int(source[:8].view(np.int64)[0])
            source[8:].copy()
            sample.delete()
            return stamp_ns

        return receive

    return publisher, receiver


def main() -> int:
    """Measure one round."""
    kind, count, rate_hz = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    frame = scenery.view(*scenery.SIZES[sys.argv[4]])
    publisher, receiver = (_ring_ends if kind == "ring" else _iceoryx_ends)(frame)
    clock = BootClock()
    out_read, out_write = os.pipe()
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        receive = receiver()
        real_time()
        os.write(ready_write, b"r")
        taken: list[int] = []
        while (stamp_ns := receive()) is not None:
            taken.append(clock.now_ns() - stamp_ns)
        with os.fdopen(out_write, "w") as out:
            json.dump(taken, out)
        os._exit(0)
    os.close(out_write)
    publish = publisher()
    scheduling.prefer()
    os.read(ready_read, 1)
    time.sleep(0.1)
    due_ns = clock.now_ns() + 5 * MS
    for _ in range(count):
        time.sleep(max(0, due_ns - clock.now_ns()) / 1e9)
        publish(frame, due_ns)
        due_ns += round(1e9 / rate_hz)
    with os.fdopen(out_read) as result:
        taken = json.load(result)
    os.waitpid(child, 0)
    print(json.dumps(taken))
    return 0


if __name__ == "__main__":
    sys.exit(main())
