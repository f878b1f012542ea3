"""Time of the audit log, compared with the minimum that any durable log needs.

    python -m bench.audit.speed --json
    python -m bench.audit.speed --keys DIR      with the log key of that key store, in a token say

A durable append (canonical JSON, hash tree, signature, write, sync, published tiles and
checkpoint) alternates with a plain write and sync of as many bytes, so both use the
same disk under the same load. Then it opens and verifies a longer log. The figure is
the ratio; times are reported with the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.proofs.verify import verify_log
from edge.audit.schema import Context, Permit, Stamp
from edge.commissioning.keys import KeyStore
from edge.evidence.readings import Source

LINE_BYTES = 512  # of a typical permit with its signature
_NOON_NS = 1_767_268_800 * 10**9


def _permit(epoch: int) -> Permit:
    stamp = Stamp(bytes(16), epoch * 10**9, _NOON_NS + epoch * 10**9, bytes(16), bytes(32))
    sources = (Source.DOCK, Source.VIEW, Source.PEOPLE, Source.STILLNESS, Source.LIVENESS)
    return Permit(stamp, epoch, Context.CONTROLLED, epoch, ("FA-03", "GD-06"), sources)


def main() -> int:
    parser = argparse.ArgumentParser(description="what the audit log costs")
    parser.add_argument("--appends", type=int, default=400)
    parser.add_argument("--entries", type=int, default=20_000, help="of the log that is verified")
    parser.add_argument("--keys", type=Path, help="sign with this key store's log key")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    key = Signer.generate("framegate-bench/log")
    if args.keys is not None:
        key = KeyStore.open(args.keys).log_key()
    with tempfile.TemporaryDirectory(prefix="framegate-speed-", dir=".") as name:
        ours, bare = _appends(Path(name), key, args.appends)
        opened_s, verified_s = _long_log(Path(name), key, args.entries)
    ratio = statistics.median(ours) / statistics.median(bare)
    figures = [
        _figure("durable append / bare write and sync, median", round(ratio, 2), None, "ratio"),
        _figure("durable append, median", round(statistics.median(ours) * 1e3, 3), None, "ms"),
        _figure("durable append, p99", round(_p99(ours) * 1e3, 3), None, "ms"),
        _figure("bare write and sync, median", round(statistics.median(bare) * 1e3, 3), None, "ms"),
        _figure("open a log", round(args.entries / opened_s), None, "entries/s"),
        _figure("verify a log", round(args.entries / verified_s), None, "entries/s"),
    ]
    environment = {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }
    if args.json:
        print(json.dumps({"figures": figures, "environment": environment}))
    else:
        for figure in figures:
            print(f"{figure['name']}: {figure['value']} {figure['unit']}")
    return 0 if all(figure["holds"] for figure in figures) else 1


def _figure(name: str, value: float, target: float | None, unit: str) -> dict[str, object]:
    holds = target is None or value <= target
    return {"name": name, "value": value, "target": target, "unit": unit, "holds": holds}


def _appends(where: Path, key: Signer, count: int) -> tuple[list[float], list[float]]:
    """Seconds of each durable append and of each plain write and sync, which alternate."""
    log = AuditLog.create_or_open(where / "short", key)
    fd = os.open(where / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ours, bare = [], []
    for epoch in range(count):
        entry = _permit(epoch)
        began = time.perf_counter()
        log.append(entry, durable=True)
        middle = time.perf_counter()
        os.write(fd, os.urandom(LINE_BYTES))
        os.fdatasync(fd)
        bare.append(time.perf_counter() - middle)
        ours.append(middle - began)
    os.close(fd)
    log.close()
    assert verify_log(where / "short", key.verifier).entries == count
    return ours, bare


def _long_log(where: Path, key: Signer, count: int) -> tuple[float, float]:
    log = AuditLog.create_or_open(where / "long", key)
    for epoch in range(count):
        log.append(_permit(epoch), durable=False)
    log.close()
    began = time.perf_counter()
    AuditLog.create_or_open(where / "long", key).close()
    middle = time.perf_counter()
    assert verify_log(where / "long", key.verifier).entries == count
    return middle - began, time.perf_counter() - middle


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


if __name__ == "__main__":
    sys.exit(main())
