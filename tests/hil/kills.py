"""Kills, stops and cuts the whole running guard, and reads the interlock line itself.

    python -m tests.hil.kills --rounds 27        297 runs on the emulated board, as a table

One run: a guard with camera, matcher and board reaches its permit; one of its
processes is killed or stopped, or the line to the board is cut; the time until
the line drops is read on the pin of the emulated GPIO block (or in the board's
own process), and the line must then stay down.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.clock import MS, BootClock
from edge.daemon.sandbox import NOBODY
from edge.models.pull import asset
from firmware_bridge import faults
from firmware_bridge.build import Target, build
from firmware_bridge.rigs import EmulatorRig, HostRig, Rig, Tap
from tests import guards, render

ROLES = ("capture", "gate", "decider", "bridge", "parent")
BLOWS = (*((role, name) for name in ("SIGKILL", "SIGSTOP") for role in ROLES), ("link", "cut"))
LIMIT_MS = 250.0
WAIT_S = 40.0


@dataclass(frozen=True, slots=True)
class Blow:
    """What one run showed."""

    target: str
    how: str
    down_ms: float
    rose_again: bool  # within 400 ms, with no process back


@contextlib.contextmanager
def guard_on(rig: Rig, site: guards.Site) -> Iterator[tuple[guards.Running, Tap]]:
    """A whole guard whose board is the one on `rig`, over a wire that can be cut."""
    out = site.folder / "out"
    out.mkdir(exist_ok=True)
    if os.getuid() == 0:
        os.chown(out, NOBODY, NOBODY)
    tap = Tap(rig.port)
    command = [sys.executable, "-m", "edge.cli", "run", "--source", str(site.clip)]
    command += ["--device", str(site.device), "--session", str(site.session)]
    command += ["--keys", str(site.store.directory), "--board", tap.port, "--out", str(out)]
    command += ["--matcher", f"{sys.executable} -m edge.frames.counter {out / 'received.json'}"]
    command += ["--matcher-write", str(out)]
    with (out.parent / "guard.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, text=True)
    try:
        yield guards.Running(process, None, out), tap
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()
        tap.close()


def strike(rig: Rig, site: guards.Site, target: str, how: str) -> Blow:
    """One run.

    Raises:
        AssertionError: the guard never reached its permit, or the line never dropped.
    """
    clock = BootClock()
    assert rig.wait_line(False, 2), "the line was up before the guard began"
    with guard_on(rig, site) as (running, tap):
        log = site.folder / "guard.log"
        assert rig.wait_line(True, WAIT_S), f"no permit: {log.read_text()[-400:]}"
        time.sleep(0.2)
        pid = None if target == "link" else running.pid(target)
        struck_ns = clock.now_ns()
        if pid is None:
            tap.to_board = tap.to_host = faults.drop()
        else:
            os.kill(pid, getattr(signal, how))
        assert rig.wait_line(False, 5), f"the line stayed up after {how} of {target}"
        down_ns = next(t_ns for t_ns, level in reversed(rig.changes()) if not level)
        rose = rig.wait_line(True, 0.4)
        if pid is not None and how == "SIGSTOP":
            os.kill(pid, signal.SIGKILL)
    return Blow(target, how, (down_ns - struck_ns) / MS, rose)


def kiosk(folder: Path) -> guards.Site:
    """A rendered room with one person, seen for twenty seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = render.write_clip(folder / "room.avi", render.lived_in(render.room(), 600))
    return guards.site(folder, clip, clip, asset("centerface.onnx"))


def main() -> int:
    """Print the table; 1 if any run missed the limit or rose again."""
    parser = argparse.ArgumentParser(prog="python -m tests.hil.kills")
    parser.add_argument("--rounds", type=int, default=1, help=f"each of {len(BLOWS)} blows N times")
    parser.add_argument("--process", action="store_true", help="board as a process, not in QEMU")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    blows: list[Blow] = []
    with tempfile.TemporaryDirectory(prefix="framegate-kills-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        site = kiosk(folder / "site")
        root = site.store.board_key()
        if args.process:
            rig: Rig = HostRig(build(Target.HOST, folder / "board"), root)
        else:
            rig = EmulatorRig(build(Target.LM3S6965, folder / "board.elf"), root)
        try:
            for _ in range(args.rounds):
                for target, how in BLOWS:
                    blows.append(strike(rig, site, target, how))
                    print(blows[-1], file=sys.stderr, flush=True)
        finally:
            rig.close()
    return _report(blows, rig.name, as_json=args.json)


def _report(blows: list[Blow], board: str, *, as_json: bool) -> int:
    times = sorted(blow.down_ms for blow in blows)
    late = sum(ms > LIMIT_MS for ms in times)
    rose = sum(blow.rose_again for blow in blows)
    figures = [
        ("runs", len(blows), None, "runs", True),
        ("interlock down, p50", round(statistics.median(times), 1), None, "ms", True),
        ("interlock down, p99", round(times[len(times) * 99 // 100], 1), None, "ms", True),
        ("interlock down, max", round(times[-1], 1), LIMIT_MS, "ms", late == 0),
        ("later than the limit", late, 0, "runs", late == 0),
        ("rose again", rose, 0, "runs", rose == 0),
    ]
    names = ("name", "value", "target", "unit", "holds")
    rows = [dict(zip(names, row, strict=True)) for row in figures]
    if as_json:
        cores = len(os.sched_getaffinity(0))
        environment = {"board": board, "cores": cores, "load": os.getloadavg()[0]}
        print(json.dumps({"figures": rows, "environment": environment}, indent=2))
    else:
        for target, how in BLOWS:
            mine = [b.down_ms for b in blows if (b.target, b.how) == (target, how)]
            print(f"{how:8} {target:8} {len(mine):4} runs   worst {max(mine):6.1f} ms")
        for row in rows:
            print(f"{row['name']:24} {row['value']:>8} {row['unit']}")
    return 0 if late == 0 and rose == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
