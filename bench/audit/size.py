"""Disk space of the audit log: bytes for each entry, and megabytes for each month.

    python -m bench.audit.size --permits 200

It writes a log of some weeks (a permit, its end and a denial each time, a floor every
hour), measures its files by kind, prunes it and measures again. Of a pruned entry, its
hash and its share of the certificates remain.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.pruning.prune import plan_pruning, prune
from edge.audit.schema import Context, Deny, End, Entry, Floor, Permit, Stamp
from edge.evidence.readings import Source
from edge.reasons import Reason

_FROM_NS = 1_767_268_800 * 10**9  # 2026-01-01T12:00:00Z
_DAY_S = 86_400
_MONTH_DAYS = 365.25 / 12
_SOURCES = (Source.DOCK, Source.VIEW, Source.PEOPLE, Source.STILLNESS, Source.LIVENESS)


def day_of(day: int, permits: int) -> list[Entry]:
    """The entries of one day, in order."""
    found: list[tuple[float, Entry]] = []
    for hour in range(24):
        stamp = _stamp(day, hour * 3600.0)
        found.append((hour * 3600.0, Floor(stamp, 3, stamp.wall_ns)))
    for number in range(permits):
        at_s = (number + 0.5) * _DAY_S / permits
        epoch = day * permits + number + 1
        rules = ("FA-03", "GD-06")
        begun, over, denied = (_stamp(day, at_s + later_s) for later_s in (0.0, 20.0, 25.0))
        permit = Permit(begun, epoch, Context.CONTROLLED, begun.mono_ns, rules, _SOURCES)
        end = End(over, epoch, (Reason.VIEW_FOREIGN,), ("GD-07",), 600, over.mono_ns, 12, 0)
        found += [(at_s, permit), (at_s + 20.0, end)]
        found.append((at_s + 25.0, Deny(denied, Context.UNCONTROLLED, (Reason.MOTION,), rules)))
    return [entry for _, entry in sorted(found, key=lambda row: row[0])]


def _stamp(day: int, at_s: float) -> Stamp:
    since_ns = int((day * _DAY_S + at_s) * 1e9)
    return Stamp(bytes(16), since_ns, _FROM_NS + since_ns, bytes(16), bytes(32))


def sizes(where: Path) -> Counter[str]:
    """Bytes in the log's folder, by what they are for."""
    found: Counter[str] = Counter()
    for path in where.rglob("*"):
        if path.is_file():
            parts = path.relative_to(where).parts
            bundle = parts[:2] == ("tile", "entries")
            found["bundles" if bundle else parts[0]] += path.stat().st_size
    return found


def measure(where: Path, permits: int, days: int) -> dict[str, float]:
    """Write, count, prune and count a log of `days` days below `where`."""
    key = Signer.generate("framegate-bench/log")
    log = AuditLog.create_or_open(where / "audit", key)
    for day in range(days):
        for entry in day_of(day, permits):
            log.append(entry, durable=False)
    count = log.size
    log.close()
    whole = sizes(where / "audit")
    now_ns = _FROM_NS + days * _DAY_S * 10**9
    plan = plan_pruning(where / "audit", key.verifier, now_ns=now_ns, keep_months=1)
    if plan is None:
        raise SystemExit(f"expected enough days for a segment to be pruned, got {days}")
    prune(where / "audit", key, plan)
    after = sum(sizes(where / "audit").values())
    gone = plan.receipt.entries
    entry = (sum(whole.values()) - whole["private"]) / count
    stays = entry - (sum(whole.values()) - after) / gone
    entries_day = count / days
    return {
        "entries a day": round(entries_day),
        "bytes an entry": round(entry),
        "of them in the journal": round(whole["segments"] / count),
        "of them in bundles": round(whole["bundles"] / count),
        "bytes that stay of a pruned entry": round(stays),
        "MB a month": round(entry * entries_day * _MONTH_DAYS / 1e6, 1),
        "MB a month, pruned": round(stays * entries_day * _MONTH_DAYS / 1e6, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="what the audit log takes of a disk")
    parser.add_argument("--permits", type=int, default=200, help="a day")
    parser.add_argument("--days", type=int, default=75, help="of the log that is written")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="framegate-size-", dir=".") as name:
        found = measure(Path(name), args.permits, args.days)
    if args.json:
        print(json.dumps(found))
    else:
        for what, value in found.items():
            print(f"{what}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
