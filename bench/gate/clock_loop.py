"""A loop that only reads the clock: it shows how much the machine itself delays such a step.

    python -m bench.gate.clock_loop RATE_HZ COUNT SPAN_NS

At the gate's priority it sleeps to each tick as the gate does, then reads the clock until
`SPAN_NS` have passed. It prints the real durations, in nanoseconds, as one line of JSON.
Timer, host and other programs make them longer than `SPAN_NS`.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time

import numpy as np

from bench.gate.timing import real_time


def measure(rate_hz: float, count: int, span_ns: int) -> np.ndarray:
    """The spans of a loop in a process of its own."""
    command = [sys.executable, "-m", "bench.gate.clock_loop", str(rate_hz), str(count)]
    done = subprocess.run([*command, str(span_ns)], stdout=subprocess.PIPE, check=True)
    return np.array(json.loads(done.stdout))


def main() -> int:
    """Take every span, print them."""
    rate_hz, count, span_ns = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    clock = time.perf_counter_ns
    period_ns = round(1e9 / rate_hz)
    taken = [0] * count
    gc.collect()
    gc.freeze()
    gc.disable()
    real_time()
    due_ns = clock() + period_ns
    for i in range(count):
        time.sleep(max(0, due_ns - clock()) / 1e9)
        began_ns = now_ns = clock()
        while now_ns - began_ns < span_ns:
            now_ns = clock()
        taken[i] = now_ns - began_ns
        due_ns = max(due_ns + period_ns, now_ns)
    print(json.dumps(taken))
    return 0


if __name__ == "__main__":
    sys.exit(main())
