"""Cost of a policy: one decision, one load, and the worst hostile bundle.

    python -m bench.policy [--json]

Absolute times, so they are reported with the machine and asserted nowhere. There are
several hostile bundles, each of the maximum size; the worst one counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.policy.authoring.lint import spread
from edge.policy.engine import Policy
from edge.policy.shipped import names, shipped_files
from edge.policy.signed.bundle import Bundle, Floors, seal_bundle
from edge.policy.signed.store import judge
from edge.policy.signed.trust import MAX_BYTES, BundleError, Root, seal, sign

KEYS = [Ed25519PrivateKey.generate() for _ in range(3)]
ROOT = Root(1, 2, {str(n): key.public_key().public_bytes_raw() for n, key in enumerate(KEYS)})
NOW_S = 1_790_000_000
LOADS = 20


def signed(payload: bytes) -> bytes:
    """The payload with enough signatures."""
    return sign(sign(seal(payload), KEYS[0]), KEYS[1])


def hostile() -> dict[str, bytes]:
    """Hostile bundles that are expensive to check."""
    room = MAX_BYTES * 3 // 4 - 1000
    bomb = Bundle(
        1,
        NOW_S - 1,
        NOW_S + 9,
        "0.1.0",
        ROOT,
        {},
        {},
        {**shipped_files("strict"), "guard.cedar": b"(" * 100_000},
    )
    return {
        "10 MB": b'{"payload":"' + b"A" * 10_000_000,
        "deep": b"[" * 19_999,
        "wide": b'{"signatures":[' + b"{}," * 9_990 + b"{}]}",
        "unsigned": seal(b"[" * room),
        "signed deep": signed(b"[" * 19_999),
        "signed wide": signed(b"[" + b"0," * 19_990 + b"0]"),
        "signed Cedar": sign(sign(seal_bundle(bomb), KEYS[0]), KEYS[1]),
    }


def timed_ms(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """How long one call takes."""
    started = clock()
    call()
    return (clock() - started) * 1e3


def refused(envelope: bytes) -> None:
    """Check a bundle that must be refused."""
    try:
        judge(envelope, ROOT, Floors(), wall_s=NOW_S, guard="0.1.0")
    except BundleError:
        return
    raise AssertionError("a hostile bundle was taken")


def decision_us(pack: str, clock: Callable[[], float], count: int = 3000) -> tuple[float, float]:
    """Median and 99th percentile of one decision, in microseconds by `clock`."""
    policy = Policy.load(pack)
    cases = [facts.values for facts in spread(policy.pack, count)]
    times = sorted(timed_ms(lambda case=case: policy.decide(case), clock) * 1e3 for case in cases)
    return times[count // 2], times[count * 99 // 100]


def figures() -> list[dict[str, object]]:
    """Every figure with its target; None where there is none."""
    found: list[dict[str, object]] = []

    def add(name: str, value: float, unit: str, target: float | None = None) -> None:
        holds = target is None or value < target
        found.append(
            {"name": name, "value": round(value, 2), "target": target, "unit": unit, "holds": holds}
        )

    for pack in names():
        for what, clock in (("wall", time.perf_counter), ("processor", time.thread_time)):
            p50, p99 = decision_us(pack, clock)
            add(f"decision {pack} p50, {what} time", p50, "us")
            add(f"decision {pack} p99, {what} time", p99, "us")
    files = shipped_files("strict")
    good = signed(Bundle(1, NOW_S - 1, NOW_S + 9, "0.1.0", ROOT, {}, {}, files).payload)
    load = partial(judge, good, ROOT, Floors(), wall_s=NOW_S, guard="0.1.0")
    for what, clock in (("wall", time.perf_counter), ("processor", time.process_time)):
        loads = sorted(timed_ms(load, clock) for _ in range(LOADS))
        add(f"load and verify a good bundle, median {what} time", loads[LOADS // 2], "ms", 100)
    attempts = hostile()
    for what, clock in (("wall", time.perf_counter), ("processor", time.process_time)):
        worst = max(timed_ms(lambda bad=bad: refused(bad), clock) for bad in attempts.values())
        add(f"refuse a hostile bundle, worst {what} time", worst, "ms", 100)
    peaks = []
    for bad in attempts.values():
        tracemalloc.start()
        refused(bad)
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    add("memory for a hostile bundle, worst (Python's own)", max(peaks), "MiB", 16)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.policy", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    found = figures()
    environment = {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "cedarpy": version("cedarpy"),
    }
    if args.json:
        print(json.dumps({"figures": found, "environment": environment}, indent=1))
    else:
        for figure in found:
            target = "" if figure["target"] is None else f"  (target < {figure['target']})"
            print(f"{figure['name']:52} {figure['value']:>9} {figure['unit']}{target}")
        print(", ".join(f"{key} {value}" for key, value in environment.items()))
    return 0 if all(figure["holds"] for figure in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
