"""Kills, stops and cuts the whole running guard, and reads the interlock line itself.

    python -m tests.hil.kills --rounds 27        297 runs on the emulated board, as a table

One run: a guard with camera, matcher and board reaches its permit; one of its
processes is killed or stopped, or the line to the board is cut. Two times are
taken. *Promised*: when the last lease that went over the wire ends, by its own
life in the board's time; what the guard answers for. *Down*: when the pin of
the emulated GPIO block fell, by this machine's clock; on a busy machine the
whole emulator may stand still for a while in between. After that the line must
stay down for good, whatever still came over the wire.
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
from firmware_bridge import faults, packets
from firmware_bridge.build import Target, build
from firmware_bridge.framing import Deframer
from firmware_bridge.packets import Keys, Kind, Packet
from firmware_bridge.payloads import LeaseRequest
from firmware_bridge.rigs import EmulatorRig, HostRig, Rig, Tap
from firmware_bridge.virtual_board import MAX_LIFE_MS
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
    promised_ms: float
    down_ms: float  # the last time the line fell
    rises: int  # after the first fall, while leases from before the blow still lived
    stays_down: bool


class Wiretap:
    """Notes when each lease on its way to the board will end."""

    def __init__(self, root: bytes) -> None:
        self._key = Keys.derive(root).to_board
        self._deframer = Deframer()
        self._clock = BootClock()
        self._leases: list[tuple[int, int]] = []  # when it passed, how long it lives; ns

    def __call__(self, chunk: bytes) -> list[bytes]:
        now_ns = self._clock.now_ns()
        for content in self._deframer.feed(chunk):
            packet = packets.unseal(content, self._key, from_board=False)
            if isinstance(packet, Packet) and packet.kind == Kind.LEASE.value:
                lease = LeaseRequest.unpack(packet.payload)
                life_ns = min(lease.life_ms, MAX_LIFE_MS) * MS
                self._leases.append((now_ns, life_ns))
        return [chunk]

    def end_ns(self, fallen_ns: int) -> int:
        """When the leases end that passed before the line fell; later ones raised nothing."""
        end_ns = 0
        for at_ns, life_ns in self._leases:
            if at_ns <= fallen_ns:
                end_ns = at_ns + life_ns if life_ns else min(end_ns, at_ns)
        return end_ns


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
        wiretap = Wiretap(site.store.board_key())
        tap.to_board = wiretap
        log = site.folder / "guard.log"
        assert rig.wait_line(True, WAIT_S), f"no permit: {log.read_text()[-400:]}"
        _steady(rig)
        pid = None if target == "link" else running.pid(target)
        struck_ns = clock.now_ns()
        if pid is None:
            tap.to_board = tap.to_host = faults.drop()
        else:
            os.kill(pid, getattr(signal, how))
        time.sleep(1.0)  # far beyond the limit; what happens meanwhile is the point
        after = [change for change in rig.changes() if change[0] >= struck_ns]
        stays_down = bool(after) and not after[-1][1] and not rig.wait_line(True, 0.2)
        assert after, f"the line stayed up after {how} of {target}"
        falls = [t_ns for t_ns, level in after if not level]
        blow = Blow(
            target,
            how,
            promised_ms=max(wiretap.end_ns(falls[-1]) - struck_ns, 0) / MS,
            down_ms=(falls[-1] - struck_ns) / MS,
            rises=sum(level for _, level in after),
            stays_down=stays_down,
        )
        if pid is not None and how == "SIGSTOP":
            os.kill(pid, signal.SIGKILL)
    return blow


def _steady(rig: Rig) -> None:
    """Wait until the permit has lasted: what the blow breaks must have been whole."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        count = len(rig.changes())
        time.sleep(0.3)
        if len(rig.changes()) == count and rig.wait_line(True, 0):
            return
    raise AssertionError("the permit never lasted 0.3 s")


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
    promised = [blow.promised_ms for blow in blows]
    times = sorted(blow.down_ms for blow in blows)
    late = sum(ms > LIMIT_MS for ms in times)
    overdrawn = sum(ms > LIMIT_MS for ms in promised)
    up = sum(not blow.stays_down for blow in blows)
    figures = [
        ("runs", len(blows), None, "runs", True),
        ("last lease ends, worst", round(max(promised), 1), LIMIT_MS, "ms", overdrawn == 0),
        ("pin down, p50", round(statistics.median(times), 1), None, "ms", True),
        ("pin down, p99", round(times[len(times) * 99 // 100], 1), None, "ms", True),
        ("pin down, max", round(times[-1], 1), LIMIT_MS, "ms", late == 0),
        ("pin later than the limit", late, 0, "runs", late == 0),
        ("did not stay down", up, 0, "runs", up == 0),
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
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
