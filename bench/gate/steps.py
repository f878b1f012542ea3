"""The gate step beside its peers in one process: decision, sentinel, classifier, policy engine.

    python -m bench.gate.steps

For each line on standard input one round measures every candidate in turn and
prints one line of JSON: candidate -> nanoseconds. A peer that cannot run is named in `missing`.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np

from bench import scenery
from bench.gate.timing import cold, hot, paced, real_time
from bench.peers import classifier, rego
from edge.clock import BootClock
from edge.frames.gate import Gate, Pending, Verdict
from edge.frames.sentinel import Sentinel
from edge.lease import MIN_VIEW_SCORE, Binding, Lane, Lease

RATE_HZ = 240.0  # four paced candidates take turns: 60 each
PACED = 120
COLD = 12
CLASSIFIED = 6
_FAR_NS = 3600 * 1_000_000_000


class Step:
    """The work of the gate on one frame until the verdict.

    `notes` adds what the gate does after that: the numbers for liveness.
    """

    def __init__(
        self, size: str, *, sign_map: bool = True, notes: bool = False, frames: int = 8
    ) -> None:
        height, width = scenery.SIZES[size]
        picture = scenery.view(height, width)
        self._frames = scenery.takes(picture, frames)
        self._sentinel = Sentinel(scenery.fingerprint(picture) if sign_map else None)
        self._clock = BootClock()
        binding = Binding(scenery.CAMERA, bytes(16), bytes(32), Lane.VERIFY)
        self._gate = Gate(binding, min_view_score=MIN_VIEW_SCORE)
        now_ns = self._clock.now_ns()
        end_ns = now_ns + _FAR_NS
        named = (binding.camera, binding.boot, binding.policy, binding.lane)
        lease = Lease(1, *named, now_ns, end_ns, end_ns, MIN_VIEW_SCORE, (1 << 48) - 1, 0)
        self._gate.grant(lease, now_ns)
        self._sign_map, self._notes = sign_map, notes
        self._count = 0

    def __call__(self) -> None:
        self._count += 1
        frame = self._frames[self._count % len(self._frames)]
        seen = self._sentinel.glance(frame, self._gate.seen_blocks)
        now_ns = self._clock.now_ns()
        score = seen if self._sign_map and seen is not None else 1.0
        pending = Pending(self._count, now_ns, score, 0, frame.nbytes)
        self._gate.admit(pending, now_ns)
        if self._gate.head(self._clock.now_ns()) is None:
            raise ValueError(f"the gate blocked a frame that it should pass: scored {seen}")
        self._gate.take()
        if self._notes:
            self._sentinel.note()

    def decision(self) -> Callable[[], Verdict]:
        """The decision alone, which reads the clock itself."""
        gate, now_ns = self._gate, self._clock.now_ns  # as the releaser holds them
        frame = Pending(0, now_ns(), 0.95, 0, 10)
        if gate.check(frame, now_ns()) is not Verdict.PASS:
            raise ValueError("the gate does not pass a good frame")
        return lambda: gate.check(frame, now_ns())


def main() -> int:
    """Print the scheduling and what is missing, then one line a round."""
    cv2.setNumThreads(1)
    vga, large = Step("VGA"), Step("720p")
    whole, plain = Step("VGA", notes=True), Step("VGA", sign_map=False, notes=True)
    hot_vga, hot_large = Step("VGA", frames=2), Step("720p", frames=2)  # measured with hot caches
    hot_whole = Step("VGA", notes=True, frames=2)
    missing: dict[str, str] = {}
    peers: dict[str, Callable[[], object]] = {}
    picture = scenery.view(*scenery.SIZES["VGA"])
    for name, quantised in (("fp32", False), ("int8", True)):
        try:
            run = classifier.inline(quantised=quantised)
        except ImportError as err:
            missing[name] = str(err)
        else:
            peers[name] = lambda run=run: run(picture)
    try:
        ask = rego.decision()
    except ImportError as err:
        missing["rego"] = str(err)
    else:
        peers["rego"] = lambda: ask(10, 5, 0.9)
    source, target = np.ones(picture.nbytes, np.uint8), np.empty(picture.nbytes, np.uint8)
    decide = vga.decision()
    gc.collect()
    gc.freeze()
    gc.disable()
    print(json.dumps({"scheduling": real_time(), "missing": missing}), flush=True)
    for _ in sys.stdin:
        row = {
            "memcpy": hot(lambda: np.copyto(target, source)),
            "decision": hot(decide),
            "empty": hot(lambda: None),
            "step hot": hot(hot_vga),
            "step hot 720p": hot(hot_large),
            "whole hot": hot(hot_whole),
        }
        for name, call in peers.items():
            time.sleep(0.02)
            row[name] = hot(call) if name == "rego" else _median(call, CLASSIFIED)
        turns = {"step": vga, "plain": plain, "step 720p": large, "whole": whole}
        spread = paced(turns, PACED, RATE_HZ)
        for name, times in spread.items():
            row[f"{name} paced"] = float(np.median(times))
        row["step paced p99"] = float(np.percentile(spread["step"], 99))
        time.sleep(0.02)
        row["step cold"] = float(np.median(cold(vga, COLD)))
        print(json.dumps(row), flush=True)
        time.sleep(0.05)
    return 0


def _median(call: Callable[[], object], count: int) -> float:
    """Measure one by one, with pauses: the kernel ends a real-time process that never waits."""
    taken = []
    for _ in range(count):
        call()  # warm: the classifier is measured at its best
        began_ns = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - began_ns)
        time.sleep(0.002)
    return float(np.median(taken))


if __name__ == "__main__":
    sys.exit(main())
