"""Kill a live log writer at random moments, again and again, and count what is lost.

    python -m bench.audit.kills --kills 2000 --json

A writer process opens the log, appends as fast as it can and reports each entry
once `append` has returned. It is killed with SIGKILL: one time in four while it
starts, so that recovery itself is hit, else some milliseconds after a random
number of entries. Then every entry that was reported must be in the log, byte
for byte, and the log must verify.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from edge.audit.files import Files
from edge.audit.journal import read_journal
from edge.audit.log import AuditLog
from edge.audit.note import Signer, Verifier
from edge.audit.proofs.verify import verify_log
from edge.audit.schema import Context, Deny, End, Permit, Stamp, canonical
from edge.evidence.readings import Source
from edge.reasons import Reason

KILLS_PER_LOG = 25
STARTING_S = 0.04  # a kill within the start comes at most this long after it
AFTER_S = 0.01  # any other kill comes at most this long after an entry
MOST_ENTRIES = 40
SEGMENT_ENTRIES = 16  # rotate often, so that rotation is killed as well
_NOON_NS = 1_767_268_800 * 10**9


@dataclass(slots=True)
class Tally:
    """The result of all kills."""

    kills: int = 0
    killed_before_any_entry: int = 0
    acknowledged: int = 0
    lost: int = 0
    torn: int = 0  # kills that left an unfinished last line


def run(kills: int, seed: int, where: Path) -> Tally:
    """Kill a writer `kills` times in logs under `where`."""
    rng = random.Random(seed)
    tally = Tally()
    key = Signer.generate("framegate-bench/log")
    secret = where / "key"
    secret.write_text(key.secret_text)
    command = [sys.executable, "-m", "bench.audit.kills", "--writer", str(secret)]
    nursery = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        while tally.kills < kills:
            log = where / f"log-{tally.kills}"
            acknowledged: dict[int, str] = {}
            for _ in range(min(KILLS_PER_LOG, kills - tally.kills)):
                _kill_once(nursery, log, rng, acknowledged, tally)
                tally.lost += _lost(log, key.verifier, acknowledged, tally)
            tally.acknowledged += len(acknowledged)
            AuditLog.create_or_open(log, key, segment_entries=SEGMENT_ENTRIES).close()
            verify_log(log, key.verifier)
    finally:
        nursery.kill()
        nursery.wait()
    return tally


def _kill_once(
    nursery: subprocess.Popen[bytes],
    log: Path,
    rng: random.Random,
    acknowledged: dict[int, str],
    tally: Tally,
) -> None:
    assert nursery.stdin is not None and nursery.stdout is not None
    nursery.stdin.write(f"{log}\n".encode())
    nursery.stdin.flush()
    pid = int(nursery.stdout.readline())
    starting = rng.random() < 0.25
    before = len(acknowledged)
    for _ in range(0 if starting else rng.randint(1, MOST_ENTRIES)):
        line = nursery.stdout.readline()
        if line in (b"over\n", b""):
            raise RuntimeError("the writer ended by itself; its error is on stderr")
        _note(line, acknowledged)
    time.sleep(rng.uniform(0, STARTING_S if starting else AFTER_S))
    os.kill(pid, signal.SIGKILL)  # not yet reaped, so the pid is still its own
    tally.kills += 1
    while (line := nursery.stdout.readline()) != b"over\n":
        _note(line, acknowledged)
    tally.killed_before_any_entry += len(acknowledged) == before


def _note(line: bytes, acknowledged: dict[int, str]) -> None:
    """Read one report; a line that the kill cut short counts as none."""
    parts = line.split()
    if len(parts) == 2 and len(parts[1]) == 64:
        acknowledged[int(parts[0])] = parts[1].decode()


def _lost(log: Path, key: Verifier, acknowledged: dict[int, str], tally: Tally) -> int:
    """The number of reported entries that are missing from the log or differ in it."""
    if not list((log / "segments").glob("*.cert")):
        return len(acknowledged)
    found: dict[int, str] = {}
    journal = read_journal(
        Files(),
        log,
        key,
        every_signature=False,
        on_entry=lambda index, entry, tree: found.update({index: _digest(entry)}),
    )
    tally.torn += bool(journal.torn)
    return sum(found.get(index) != digest for index, digest in acknowledged.items())


def _digest(entry: bytes) -> str:
    return hashlib.sha256(entry).hexdigest()


# the writer's side -----------------------------------------------------------------


def _nursery(secret: Path) -> None:
    """Fork one writer for each line that names a log; report when it has ended."""
    key = Signer.parse(secret.read_text())
    for line in iter(sys.stdin.buffer.readline, b""):
        pid = os.fork()
        if pid == 0:
            _write_for_ever(Path(line.decode().strip()), key)
        os.write(1, b"%d\n" % pid)
        os.waitpid(pid, 0)
        os.write(1, b"\nover\n")


def _write_for_ever(where: Path, key: Signer) -> None:
    log = AuditLog.create_or_open(where, key, segment_entries=SEGMENT_ENTRIES)
    while True:
        t = log.size
        stamp = Stamp(
            os.getpid().to_bytes(16, "big"), t * 10**9, _NOON_NS + t * 10**9, bytes(16), bytes(32)
        )
        permit = Permit(stamp, t, Context.CONTROLLED, t, ("FA-03",), (Source.VIEW,))
        end = End(stamp, t, (Reason.VIEW_FOREIGN,), ("GD-07",), 10, t)
        deny = Deny(stamp, Context.UNCONTROLLED, (Reason.MOTION,), ("MS-02",))
        for entry, durable in ((permit, True), (end, False), (deny, False)):
            fields = entry.fields()
            index = log.append(fields, durable=durable)
            os.write(1, f"{index} {_digest(canonical(fields))}\n".encode())


def main() -> int:
    parser = argparse.ArgumentParser(description="kill a log writer and count what is lost")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--writer", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.writer is not None:
        _nursery(args.writer)
        return 0
    with tempfile.TemporaryDirectory(prefix="framegate-kills-") as where:
        tally = run(args.kills, args.seed, Path(where))
    figures = [
        {
            "name": "acknowledged audit entries lost over SIGKILLs of the writer",
            "value": tally.lost,
            "target": 0,
            "unit": f"of {tally.acknowledged} entries, {tally.kills} kills",
            "holds": tally.lost == 0 and tally.kills >= 300,
        },
        {
            "name": "kills that left an unfinished line",
            "value": tally.torn,
            "target": None,
            "unit": "kills",
            "holds": True,
        },
    ]
    environment = {"machine": platform.machine(), "kernel": platform.release(), "seed": args.seed}
    if args.json:
        print(json.dumps({"figures": figures, "environment": environment}))
    else:
        for figure in figures:
            print(f"{figure['name']}: {figure['value']} ({figure['unit']})")
    return 0 if all(figure["holds"] for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
