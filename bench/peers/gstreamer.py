"""Peer: GStreamer's `valve`, and a Python pad probe that checks a lease.

    /usr/bin/python3 bench/peers/gstreamer.py

Run with an interpreter that has PyGObject; it imports nothing else. For each line on
standard input it measures one round and prints nanoseconds a buffer as JSON: pushing
into a sink, through an element that does nothing (floor), through a valve, through a
valve that is switched for each buffer, and past a probe that checks a lease.
"""

import functools
import json
import statistics
import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

FRAME_BYTES = 640 * 480 * 3
SECONDS = 0.16
BATCH = 64  # pushes between two changes of candidate, so that noise affects all equally


class Chain:
    """Our source pad, an optional element, and a sink that counts."""

    def __init__(self, element):
        self.pipeline = Gst.Pipeline.new(None)
        self.sink = Gst.ElementFactory.make("fakesink", None)
        self.element = Gst.ElementFactory.make(element, None) if element else self.sink
        if self.element is None or self.sink is None:
            raise SystemExit(f"no element {element} here")
        self.sink.set_property("sync", False)
        self.sink.set_property("async", False)
        self.pipeline.add(self.sink)
        if element:
            self.pipeline.add(self.element)
            self.element.link(self.sink)
        self.pad = Gst.Pad.new("src", Gst.PadDirection.SRC)
        self.pad.set_active(True)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.pad.link(self.element.get_static_pad("sink"))
        self.pad.push_event(Gst.Event.new_stream_start("bench"))
        segment = Gst.Segment()
        segment.init(Gst.Format.TIME)
        self.pad.push_event(Gst.Event.new_segment(segment))
        self.buffer = Gst.Buffer.new_allocate(None, FRAME_BYTES, None)
        self.buffer.pts = 500

    def arrived(self):
        return self.sink.get_property("stats").get_value("rendered")


def batch(call):
    clock = time.perf_counter_ns
    began = clock()
    for _ in range(BATCH):
        call()
    return (clock() - began) / BATCH


def main():
    Gst.init(None)
    sink, floor, valve, toggled, probed = (
        Chain(name) for name in (None, "identity", "valve", "valve", "identity")
    )
    now_ns = functools.partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)  # the gate's clock
    lease = (0, 1000, now_ns() + 3600 * 10**9)
    seen = [0]

    def probe(pad, info):
        seen[0] += 1
        low, high, expires = lease
        if low <= info.get_buffer().pts < high and now_ns() < expires:
            return Gst.PadProbeReturn.OK
        return Gst.PadProbeReturn.DROP

    probed.element.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, probe)

    def toggle():
        toggled.element.set_property("drop", True)
        toggled.element.set_property("drop", False)
        toggled.pad.push(toggled.buffer)

    candidates = (
        ("sink", sink, lambda: sink.pad.push(sink.buffer)),
        ("floor", floor, lambda: floor.pad.push(floor.buffer)),
        ("valve", valve, lambda: valve.pad.push(valve.buffer)),
        ("toggled", toggled, toggle),
        ("probe", probed, lambda: probed.pad.push(probed.buffer)),
    )
    print(json.dumps({"version": Gst.version_string()}), flush=True)
    for _ in sys.stdin:
        before = {name: chain.arrived() for name, chain, _ in candidates}
        taken = {name: [] for name, _, _ in candidates}
        end = time.perf_counter_ns() + len(candidates) * SECONDS * 1e9
        while time.perf_counter_ns() < end:
            for name, _, call in candidates:
                taken[name].append(batch(call))
        for name, chain, _ in candidates:
            came, done = chain.arrived() - before[name], BATCH * len(taken[name])
            if came != done:
                raise SystemExit(f"{name}: {done} buffers pushed, {came} came")
        result = {name: statistics.median(times) for name, times in taken.items()}
        if seen[0] == 0:
            raise SystemExit("the probe never ran")
        print(json.dumps(result), flush=True)


main()
