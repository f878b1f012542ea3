"""Cost of one result of a matcher, from its call to the application that receives it.

    python -m bench.results                 # 2,000 results; exit code 1 if the target is missed
    python -m bench.results --json

The product's own code on both ends of a real socket: the client checks, writes and
sends; the endpoint reads, checks and counts; the relay writes to a Unix datagram
socket. There are two figures: the matcher's call alone, and all three together, which
is the processor time of one result on the device. They do not include the switch
between processes. The results have simulated times, because at most one result a second
passes.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from bench.environment import environment
from bench.figures import Figure
from edge.cameras.layout import Layout
from edge.clock import S
from edge.frames.matcher_endpoint import MatcherEndpoint
from edge.frames.output_format import OutputFormat
from edge.frames.ring import Ring
from edge.frames.shaper import Shaper
from edge.lease import Lane
from edge.sandbox.result_relay import ResultRelay
from framegate_client import Connection, connect

TARGET_US = 50.0  # of one result at p50
_LANE = Lane.VERIFY
_EVERY_NS = 2 * S  # of simulated time between two results: all of them may pass
_SUBJECT = "a" * 64
_WARM_UP = 50  # results before the count begins


def measure(count: int) -> tuple[list[int], list[int]]:
    """Nanoseconds of the matcher's call, and of all three steps, for each of `count` results."""
    with tempfile.TemporaryDirectory(prefix="framegate-results-") as name:
        folder = Path(name)
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ear.bind(str(folder / "ear"))
        relay = ResultRelay(f"unix:{folder / 'ear'}", lambda line: None)
        endpoint, matcher = _linked(folder)
        matcher.compared(_SUBJECT)
        endpoint.serve(0)
        calls, wholes = [], []
        for number in range(count + _WARM_UP):
            now_ns = (number + 1) * _EVERY_NS
            found = {"subject": _SUBJECT, "score": number % 100 / 100, "comparisons": 1}
            began_ns = time.perf_counter_ns()
            matcher.result(found)
            sent_ns = time.perf_counter_ns()
            endpoint.serve(now_ns)
            for result in endpoint.results:
                relay.take(result, now_ns)
            wholes.append(time.perf_counter_ns() - began_ns)
            calls.append(sent_ns - began_ns)
            endpoint.results.clear()
            ear.recv(4096)  # it arrived; otherwise this call would wait forever
        assert relay.passed == endpoint.quota.accepted == count + _WARM_UP
        matcher.close()
        relay.close()
        ear.close()
    return calls[_WARM_UP:], wholes[_WARM_UP:]


def _linked(folder: Path) -> tuple[MatcherEndpoint, Connection]:
    """The guard's end and the matcher's, connected."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(folder / "guard"))
    listener.listen(1)
    shaper = Shaper(OutputFormat(), Layout.BGR, 120, 160)
    ring = Ring.create(shaper.bytes, 8)
    ring.seal()
    endpoint = MatcherEndpoint(
        listener, ring, token="t", lane=_LANE, uid=os.getuid(), shaper=shaper, rate_hz=25.0
    )
    made: list[Connection] = []
    waiting = threading.Thread(
        target=lambda: made.append(connect(str(folder / "guard"), "t", _LANE.value))
    )
    waiting.start()
    while waiting.is_alive():
        endpoint.serve(0)
        time.sleep(0.001)
    return endpoint, made[0]


def figures(calls: Sequence[int], wholes: Sequence[int]) -> list[Figure]:
    """The figures of `measure`'s nanoseconds."""
    rows = (("the matcher's call", calls, ""), ("the whole way", wholes, f"<= {TARGET_US:.0f}"))
    found = []
    for what, spans_ns, target in rows:
        ordered = sorted(spans_ns)
        p50, p99 = statistics.median(ordered) / 1e3, ordered[int(0.99 * len(ordered))] / 1e3
        found.append(Figure(f"a result message, {what}, p50", p50, target, "us"))
        found.append(Figure(f"a result message, {what}, p99", p99, "", "us"))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.results",
        description="What one result of a matcher costs.",
        epilog="example: python -m bench.results --count 5000 --json",
    )
    parser.add_argument("--count", type=int, default=2000, help="results (2000)")
    parser.add_argument("--json", action="store_true", help="print data, not prose")
    args = parser.parse_args(argv)
    if args.count < 1:
        print(f"--count: expected 1 or more, got {args.count}", file=sys.stderr)
        return 2
    found = figures(*measure(args.count))
    if args.json:
        rows = [figure.as_json() for figure in found]
        print(json.dumps({"figures": rows, "environment": environment()}))
    else:
        for figure in found:
            target = f"  (target {figure.target})" if figure.target else ""
            print(f"{figure.name}: {figure.value:.1f} us{target}")
    return 0 if all(figure.holds for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
