"""Kills or stops parts of a running guard, or cuts its line, and reads the interlock line itself.

    python -m tests.support.kills --rounds 28 --log kills.jsonl      308 runs on the emulated board

One run: a guard with camera, matcher and board reaches its permit; one of its processes
is killed or stopped, or the line to the board is cut. Three times are measured, all
from this fault. *Promised*: when the last lease on the wire ends, by its own life; the
guard is responsible for this one. *Board*: when the board lowered the line, in its own
time since it received that lease. *Pin*: when the pin of the emulated GPIO block fell,
by this machine's clock. On a busy machine the whole emulator may pause in between, so
this time is only reported. After that the line must stay down, for all packets that
still arrive.

With `--log` each run is saved at once; started again with the same file, the command
continues where it stopped. Ctrl-C prints the table so far.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.clock import MS, BootClock
from edge.models.pull import asset
from edge.sandbox.spec import NOBODY
from firmware_bridge import packets
from firmware_bridge.checks import faults
from firmware_bridge.checks.rigs import HostRig, Rig
from firmware_bridge.emulated.lm3s6965 import Emulator
from firmware_bridge.framing import Deframer
from firmware_bridge.images.build import Target, build
from firmware_bridge.packets import Keys, Kind, Packet
from firmware_bridge.payloads import LeaseRequest, Status
from firmware_bridge.virtual.board import MAX_LIFE_MS
from tests.support import guards, render
from tests.support.wires import Tap, wait_line

ROLES = ("capture", "gate", "decider", "bridge", "parent")
BLOWS = (*((role, name) for name in ("SIGKILL", "SIGSTOP") for role in ROLES), ("link", "cut"))
LIMIT_MS = 250.0
WAIT_S = 40.0
TRIES = 3


class NotReady(AssertionError):
    """The guard never reached a lasting permit, so no fault was caused."""


@dataclass(frozen=True, slots=True)
class Blow:
    """The result of one run; times are ms from the fault, None if the line never fell."""

    target: str
    how: str
    promised_ms: float
    board_ms: float | None
    pin_ms: float | None  # the last time the pin fell
    rises: int  # after the first fall, while leases from before the blow still lived
    stays_down: bool

    @property
    def holds(self) -> bool:
        """Whether the line fell in time, in board time, and stayed down."""
        down = self.pin_ms is not None and self.board_ms is not None and self.stays_down
        return down and max(self.promised_ms, self.board_ms or 0) <= LIMIT_MS


class Wiretap:
    """Reads both directions of the wire: leases to the board, states from it."""

    def __init__(self, root: bytes) -> None:
        self._keys = Keys.derive(root)
        self._deframers = {True: Deframer(), False: Deframer()}
        self._clock = BootClock()
        self._leases: list[tuple[int, int, int]] = []  # sequence; when it passed, its life: ns
        self._states: list[Status] = []

    def to_board(self, chunk: bytes) -> list[bytes]:
        now_ns = self._clock.now_ns()
        for packet in self._packets(chunk, from_board=False):
            if packet.kind == Kind.LEASE.value:
                lease = LeaseRequest.unpack(packet.payload)
                life_ns = min(lease.life_ms, MAX_LIFE_MS) * MS
                self._leases.append((packet.sequence, now_ns, life_ns))
        return [chunk]

    def to_host(self, chunk: bytes) -> list[bytes]:
        for packet in self._packets(chunk, from_board=True):
            if packet.kind == Kind.STATUS.value:
                self._states.append(Status.unpack(packet.payload))
        return [chunk]

    def cut(self, chunk: bytes) -> list[bytes]:
        """Reads from the board, but passes nothing on."""
        self.to_host(chunk)
        return []

    def _packets(self, chunk: bytes, *, from_board: bool) -> Iterator[Packet]:
        key = self._keys.from_board if from_board else self._keys.to_board
        for content in self._deframers[from_board].feed(chunk):
            packet = packets.unseal(content, key, from_board=from_board)
            if isinstance(packet, Packet):
                yield packet

    def end_ns(self, fallen_ns: int) -> int:
        """When the leases that passed before the line fell end; later ones raised nothing."""
        end_ns = 0
        for _, at_ns, life_ns in self._leases:
            if at_ns <= fallen_ns:
                end_ns = at_ns + life_ns if life_ns else min(end_ns, at_ns)
        return end_ns

    def fallen_ns(self) -> int | None:
        """When the line last fell: the time when the lease passed, plus board time from then on."""
        fall = None
        for before, after in itertools.pairwise(self._states):
            if before.permitted and not after.permitted:
                fall = after
        if fall is None or self._states[-1].permitted:
            return None
        for sequence, at_ns, _ in reversed(self._leases):
            answer = next((s for s in self._states if s.host_sequence >= sequence), None)
            if answer is not None and answer.t_us <= fall.t_us:
                return at_ns + (fall.t_us - answer.t_us) * 1000
        return None


@contextlib.contextmanager
def guard_on(rig: Rig, site: guards.Site) -> Iterator[tuple[guards.Running, Tap]]:
    """A whole guard whose board is the one on `rig`, over a wire that can be cut."""
    out = site.folder / "out"
    (out / "matcher").mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        os.chown(out / "matcher", NOBODY, NOBODY)
    tap = Tap(rig.port)
    command = [sys.executable, "-m", "edge.cli", "run", "--source", str(site.clip)]
    command += ["--device", str(site.device), "--session", str(site.session)]
    command += ["--keys", str(site.store.directory), "--board", tap.port, "--out", str(out)]
    command += [
        "--matcher",
        f"{sys.executable} -m framegate_client.counter {out / 'matcher' / 'received.json'}",
    ]
    command += ["--matcher-write", str(out / "matcher")]
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


def kill_once(rig: Rig, site: guards.Site, target: str, how: str) -> Blow:
    """One run.

    Raises:
        NotReady: the guard never reached a permit that lasted.
    """
    clock = BootClock()
    if not wait_line(rig, False, 2):
        raise NotReady("the line was up before the guard began")
    with guard_on(rig, site) as (running, tap):
        wire = Wiretap(site.store.board_key())
        tap.to_board, tap.to_host = wire.to_board, wire.to_host
        log = site.folder / "guard.log"
        if not wait_line(rig, True, WAIT_S):
            raise NotReady(f"no permit: {log.read_text()[-400:]}")
        _steady(rig)
        pid = None if target == "link" else running.pid(target)
        struck_ns = clock.now_ns()
        if pid is None:
            tap.to_board, tap.to_host = faults.drop(), wire.cut
        else:
            os.kill(pid, getattr(signal, how))
        time.sleep(1.0)  # far beyond the limit, to see whether the line rises again
        after = [change for change in rig.changes if change[0] >= struck_ns]
        if not after and not wait_line(rig, True, 0):
            raise NotReady("the permit ended by itself just before the blow")
        stays_down = bool(after) and not after[-1][1] and not wait_line(rig, True, 0.2)
        falls = [t_ns for t_ns, level in after if not level]
        board_ns = wire.fallen_ns() or (falls[-1] if falls else None)  # reset: it reported nothing
        end_ns = wire.end_ns(falls[-1] if falls else clock.now_ns())
        blow = Blow(
            target,
            how,
            promised_ms=max(end_ns - struck_ns, 0) / MS,
            board_ms=None if board_ns is None else max(board_ns - struck_ns, 0) / MS,
            pin_ms=(falls[-1] - struck_ns) / MS if falls else None,
            rises=sum(level for _, level in after),
            stays_down=stays_down,
        )
        if pid is not None and how == "SIGSTOP":
            os.kill(pid, signal.SIGKILL)
    return blow


def _steady(rig: Rig) -> None:
    """Wait until the permit has lasted, so that the fault ends a stable permit."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        count = len(rig.changes)
        time.sleep(0.3)
        if len(rig.changes) == count and wait_line(rig, True, 0):
            return
    raise NotReady("the permit never lasted 0.3 s")


def kiosk(folder: Path) -> guards.Site:
    """A rendered room with one person, seen for twenty seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = render.write_clip(folder / "room.avi", render.lived_in(render.room(), 600))
    return guards.site(folder, clip, clip, asset("centerface.onnx"))


class Log:
    """Saves each run as it ends, so that a long session may be interrupted and continued."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.blows: list[Blow] = []
        if path is not None and path.exists():
            for number, text in enumerate(path.read_text().splitlines(), 1):
                try:
                    self.blows.append(Blow(**json.loads(text)))
                except (ValueError, TypeError) as err:
                    raise SystemExit(f"{path}: line {number} is not a run: {err}") from None

    def add(self, blow: Blow) -> None:
        self.blows.append(blow)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(asdict(blow)) + "\n")

    def due(self, rounds: int) -> list[tuple[str, str]]:
        """The faults that are still to be caused, in order."""
        done = Counter((blow.target, blow.how) for blow in self.blows)
        return [blow for turn in range(rounds) for blow in BLOWS if done[blow] <= turn]


def main() -> int:
    """Print the table; 1 if a run missed the limit or rose again, 130 if cut short."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.kills")
    parser.add_argument("--rounds", type=int, default=1, help=f"each of {len(BLOWS)} blows N times")
    parser.add_argument("--process", action="store_true", help="board as a process, not in QEMU")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write each run; go on from there")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # clean up in the background, too
        signal.signal(number, signal.default_int_handler)
    log = Log(args.log)
    cut_short = False
    with tempfile.TemporaryDirectory(prefix="framegate-kills-") as name:
        try:
            _kill_all(log, Path(name), args)
        except KeyboardInterrupt:
            cut_short = True
    code = _report(log.blows, "pty" if args.process else "qemu", as_json=args.json)
    return 130 if cut_short else code


def _kill_all(log: Log, folder: Path, args: argparse.Namespace) -> None:
    due = log.due(args.rounds)
    if not due:
        return
    folder.chmod(0o755)
    site = kiosk(folder / "site")
    root = site.store.board_key()
    if args.process:
        rig: Rig = HostRig(build(Target.HOST, folder / "board"), root)
    else:
        rig = Emulator(build(Target.LM3S6965, folder / "board.elf"), root)
    began = time.monotonic()
    try:
        for done, (target, how) in enumerate(due):
            left_min = (time.monotonic() - began) / max(done, 1) * (len(due) - done) / 60
            blow = _kill_retrying(rig, site, target, how)
            log.add(blow)
            board, pin = (f"{ms:6.1f}" if ms else "  none" for ms in (blow.board_ms, blow.pin_ms))
            print(
                f"{len(log.blows):4} of {len(log.blows) + len(due) - done - 1}  {how:8}{target:8} "
                f"board {board} ms  pin {pin} ms  {'' if blow.holds else 'MISSED'}"
                + (f"  about {left_min:.0f} min left" if done else ""),
                file=sys.stderr,
                flush=True,
            )
    finally:
        rig.close()


def _kill_retrying(rig: Rig, site: guards.Site, target: str, how: str) -> Blow:
    """Start a guard again that a busy machine kept from its permit; never repeat a fault."""
    for _ in range(TRIES - 1):
        try:
            return kill_once(rig, site, target, how)
        except NotReady as err:
            print(f"not ready, again: {err}", file=sys.stderr, flush=True)
    return kill_once(rig, site, target, how)


def _spread(name: str, values: list[float], limit_ms: float | None) -> list[tuple[Any, ...]]:
    values = sorted(values)
    if not values:
        return []
    p99 = values[min(len(values) * 99 // 100, len(values) - 1)]
    return [
        (f"{name}, p50", round(statistics.median(values), 1), None, "ms", True),
        (f"{name}, p99", round(p99, 1), None, "ms", True),
        (
            f"{name}, max",
            round(values[-1], 1),
            limit_ms,
            "ms",
            limit_ms is None or values[-1] <= limit_ms,
        ),
    ]


def _report(blows: list[Blow], board: str, *, as_json: bool) -> int:
    up = sum(not blow.stays_down for blow in blows)
    missed = sum(not blow.holds for blow in blows)
    pins = [blow.pin_ms for blow in blows if blow.pin_ms is not None]
    figures = [
        ("runs", len(blows), None, "runs", True),
        *_spread("last lease ends", [blow.promised_ms for blow in blows], LIMIT_MS),
        *_spread("line down, board time", [b.board_ms for b in blows if b.board_ms], LIMIT_MS),
        *_spread("pin down, wall time", pins, None),
        ("pin later than 250 ms by wall", sum(ms > LIMIT_MS for ms in pins), None, "runs", True),
        ("did not stay down", up, 0, "runs", up == 0),
        ("missed", missed, 0, "runs", missed == 0),
    ]
    names = ("name", "value", "target", "unit", "holds")
    rows = [dict(zip(names, row, strict=True)) for row in figures]
    if as_json:
        cores = len(os.sched_getaffinity(0))
        environment = {"board": board, "cores": cores, "load": os.getloadavg()[0]}
        print(json.dumps({"figures": rows, "environment": environment}, indent=2))
    else:
        for target, how in BLOWS:
            mine = [b for b in blows if (b.target, b.how) == (target, how)]
            worst = max((b.pin_ms or math.inf for b in mine), default=math.nan)
            print(f"{how:8} {target:8} {len(mine):4} runs   worst by wall {worst:6.1f} ms")
        for row in rows:
            target = "" if row["target"] is None else f"   target {row['target']} {row['unit']}"
            print(f"{row['name']:30} {row['value']:>8} {row['unit']}{target}")
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
