"""Runs the whole guard on a clip and says what flowed and what each process cost.

    python -m bench.device.within.guard SITE --runs 5

SITE holds what the host made: keys, the clip and its view. Each run prints its number, which the
host shows, and one line of JSON, which `bench/device/speed.py` reads. Cost is processor time by
the scheduler's nanoseconds. On one core in virtual time, it tells the number of instructions.

The first run is not counted: in it, modules are compiled and pages are read from the disk. A disk
answers in the host's time, and while all cores wait for it virtual time goes on without them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from edge.commissioning.keys import KeyStore
from edge.errors import GuardError

EVERY_S = 0.5
_SCHEDULED = 2  # CPUCLOCK_SCHED: what the scheduler counts for all threads of a process
_LINES = 20  # of what the guard printed
_WINDOW_S = 4.0  # the end of the clip, where everything is in its stride
Sample = dict[str, int]  # nanoseconds of processor time by role
_guards: Any = import_module("tests.support.guards")


def costs(pids: dict[str, int]) -> Sample:
    """Processor time of each process so far, ended threads too; without those that ended."""
    found = {}
    for role, pid in pids.items():
        with contextlib.suppress(OSError):
            clock = (~pid << 3) | _SCHEDULED  # its own, see clock_getcpuclockid(3)
            found[role] = time.clock_gettime_ns(clock)
    return found


def watch(running: Any, limit_s: float) -> Iterator[tuple[float, Sample]]:
    """Samples until the guard ends: when, in seconds, and what each process had cost by then."""
    pids = {"parent": running.process.pid}
    end_s = time.monotonic() + limit_s
    while running.process.poll() is None:
        if time.monotonic() > end_s:
            return
        for role in _guards.MODULES:
            if role not in pids:  # to look for one takes a walk through /proc, at the guard's cost
                with contextlib.suppress(AssertionError):
                    pids[role] = running.pid(role)
        yield time.monotonic(), costs(pids)
        time.sleep(EVERY_S)


def disk_reads() -> int:
    """Reads that the disks completed so far (`/proc/diskstats`, fourth column)."""
    lines = Path("/proc/diskstats").read_text().splitlines()
    return sum(int(line.split()[3]) for line in lines)


def between(samples: list[tuple[float, Sample]]) -> tuple[float, Sample]:
    """Seconds and cost of the last part of the clip; nothing if the guard never ran whole."""
    whole = [one for one in samples if len(one[1]) == 1 + len(_guards.MODULES)]
    if len(whole) < 3:
        return 0.0, {}
    last_s, last = whole[-2]  # the newest may be of the end
    first_s, first = next(one for one in whole if one[0] >= last_s - _WINDOW_S)
    return last_s - first_s, {role: last[role] - first[role] for role in last}


def run(folder: Path, out: Path, limit_s: float) -> dict[str, Any]:
    """One run to the end of the clip."""
    site = _guards.Site(folder, KeyStore.open(folder / "keys"), folder / "room.avi")
    site.sign()
    samples: list[tuple[float, Sample]] = []
    began_s, read = time.monotonic(), disk_reads()
    with _guards.running(site, "--start-limit", "300", "--out", str(out)) as running:
        samples.extend(watch(running, limit_s))
        alive = running.process.poll() is None
        printed = "" if alive else running.process.communicate()[0]
    seconds, spent = between(samples)
    summary = out / "summary.json"
    received = running.out / "matcher/received.json"
    return {
        "code": None if alive else running.process.returncode,
        "printed": printed.strip().splitlines()[-_LINES:],
        "took_s": round(time.monotonic() - began_s, 2),
        "window_s": round(seconds, 3),
        "cpu_ns": spent,
        "disk_reads": disk_reads() - read,
        "run": json.loads(summary.read_text()) if summary.exists() else {},
        "received": json.loads(received.read_text())["received"] if received.exists() else 0,
    }


def in_memory(site: Path, place: Path = Path("/srv/speed")) -> Path:
    """A copy of the site on a file system in memory, for a disk would answer in the host's time.

    Raises:
        GuardError: it cannot be mounted.
    """
    place.mkdir(parents=True)
    words = ("/bin/busybox", "mount", "-t", "tmpfs", "tmpfs", str(place))
    if subprocess.run(words, check=False).returncode != 0:
        raise GuardError(f"cannot mount {place}")
    shutil.copytree(site, place / "site")
    return place / "site"


def main() -> int:
    parser = argparse.ArgumentParser(description="run the whole guard on a clip")
    parser.add_argument("site", type=Path)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--limit-s", type=float, default=1200.0)
    args = parser.parse_args()
    try:
        site = in_memory(args.site)
        for number in range(args.runs + 1):
            named = f"run {number} of {args.runs}" if number else "a run that is not counted"
            print(f"device: {named}", flush=True)
            shutil.rmtree(site / "out", ignore_errors=True)
            found = run(site, site.parent / str(number), args.limit_s)
            if number:
                print(json.dumps(found), flush=True)
    except GuardError as err:
        print(f"cannot run the guard: {err}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
