"""The gate under load for minutes: memory must not grow, and every frame must be counted.

    python -m bench.gate.load [--minutes 10] [--json] [--out bench/gate/load.json]

Every core is saturated, memory is churned, the slow loop reads evidence with the face
detector, and frames come at 30, 60 and 120 a second and as fast as they are taken, in
three sizes. A frame is dropped because no buffer is free, blocked with a reason, or
released. A released frame is received or shows as a gap in the sequence. The number of
all other frames must be 0.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench import scenery
from bench.environment import environment
from bench.figures import Figure
from bench.gate.rig import Rig
from bench.gate.saturated import busy_cores
from bench.suite import face_detector
from edge.report.record import write_atomic

RATES_HZ = (30.0, 60.0, 120.0, 0.0)  # 0: as fast as they are taken
_CHURN = "while True: bytearray(256 * 1024 * 1024).count(1)"
_GROWTH_MIB = 8.0  # above the first quarter of a run


@contextmanager
def churned_memory() -> Iterator[None]:
    """A process that allocates and frees 256 MiB in an endless loop."""
    process = subprocess.Popen([sys.executable, "-S", "-c", _CHURN])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def cell(size: str, rate_hz: float, seconds: float) -> list[Figure]:
    """One size at one rate."""
    pictures = scenery.takes(scenery.view(*scenery.SIZES[size]), 4)
    resident: list[float] = []
    with Rig(pictures, faces=face_detector()) as rig:
        status = Path(f"/proc/{rig.gate.pid}/status")
        for _ in range(8):
            if rate_hz:
                rig.play(round(seconds / 8 * rate_hz), rate_hz)
            else:
                rig.flood(seconds / 8)
            resident.append(_resident_mib(status))
        rows = rig.finish()
        steps_ns = rig.steps_ns()
        released = sum(word.reason is None for word in rig.resolved)
        sent, dropped, resolved = rig.sent, rig.dropped, len(rig.resolved)
    gaps = int(rows[-1, 2]) - len(rows) if len(rows) else 0
    lost = abs(sent - dropped - resolved) + abs(released - len(rows) - gaps)
    p50, p999 = np.percentile(steps_ns, (50, 99.9))
    name = f"{size} {f'{rate_hz:.0f} Hz' if rate_hz else 'full speed'}"
    note = f"{sent} sent, {dropped} dropped, {resolved - released} blocked, {gaps} overwritten"
    growth = max(resident[2:]) - max(resident[:2])
    return [
        Figure(f"{name}: frames not accounted for", lost, "<= 0", "frames", note=note),
        Figure(f"{name}: gate memory growth", growth, f"<= {_GROWTH_MIB:g}", "MiB"),
        Figure(f"{name}: gate step p50", float(p50) / 1e3, "", "us"),
        Figure(f"{name}: gate step p99.9 : p50", float(p999 / p50), "", "x"),
    ]


def _resident_mib(status: Path) -> float:
    """Private memory of a process; what it shares with others is bounded by its size."""
    for line in status.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> int:
    """Run every cell and print the table."""
    parser = argparse.ArgumentParser(prog="bench.gate.load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the figures and the machine there")
    args = parser.parse_args()
    cells = [(size, rate) for size in scenery.SIZES for rate in RATES_HZ]
    seconds = args.minutes * 60 / len(cells)
    found: list[Figure] = []
    began = time.monotonic()
    with busy_cores(), churned_memory():
        for size, rate_hz in cells:
            for figure in cell(size, rate_hz, seconds):
                found.append(figure)
                if not args.json:
                    print(
                        f"{figure.name:<46}{figure.value:>10.4g} {figure.unit:<7}"
                        f"{figure.target:<7} {figure.word:<14}{figure.note}",
                        flush=True,
                    )
    rows = [figure.as_json() for figure in found]
    where = {**environment(), "minutes": round((time.monotonic() - began) / 60, 1)}
    where["command"] = "python -m bench.gate.load"
    text = json.dumps({"figures": rows, "environment": where}, indent=2)
    if args.out is not None:
        write_atomic(args.out, text + "\n")
    if args.json:
        print(text)
    return 0 if all(figure.holds for figure in found if figure.target) else 1


if __name__ == "__main__":
    sys.exit(main())
