"""The whole guard's footprint: a daemon on a network camera, measured from outside.

Starts `framegate daemon` on a VGA camera at 30 frames a second with a virtual board and
a sandboxed matcher, as `bench.soak.run` does, and measures each of the guard's
processes in three states: frames flow, frames are blocked by a lasting cause (the board
reports another dock), and the camera is missing. Board, matcher and camera are not part
of the guard and are not counted. The same run then measures the peer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.environment import environment
from bench.figures import Figure
from bench.footprint import looks, proc
from bench.footprint.proc import NOTHING, Cost
from bench.soak.run import Soak
from bench.soak.site import NOTIFY
from bench.soak.watch import processes
from bench.suite import Result
from edge.clock import S
from edge.errors import GuardError, ModelError
from edge.evidence.context import STANDING_NS
from edge.models.pull import asset

WAIT_S = 60.0
SETTLE_S = 5.0  # after a change, before it is measured
BLOCKED_SETTLE_S = STANDING_NS / S + 3.0  # the same after a cause that must have lasted
ELSEWHERE = "D-9999"  # a dock that no record names
FLOWING, BLOCKED, IDLE, PEER = "frames flowing", "blocked", "no camera", "plain process"
_MINUTES_A_DAY = 24 * 60
_NOT_OURS = ("matcher",)
_TARGETS = {
    (FLOWING, "proportional memory"): "<= 150",
    (FLOWING, "processor"): "<= 14",
    (FLOWING, "wake-ups"): "<= 250",
    (BLOCKED, "processor"): "<= 4",
}


@dataclass(slots=True)
class Measured:
    """The measurements of one run."""

    states: dict[str, dict[str, Cost]] = field(default_factory=dict)  # state -> process -> cost
    resident_mib: dict[str, float] = field(default_factory=dict)  # each page once
    energy_w: dict[str, float] = field(default_factory=dict)  # of the whole machine
    looks: list[Figure] = field(default_factory=list)  # what the slow loop costs
    ready_s: float = 0.0  # from the start to what a service manager calls started
    decision_s: float = 0.0  # from the start
    again_s: float = 0.0  # from the loss of a process to the next decision


def result(seconds: float, say: Callable[[str], None]) -> tuple[Result, list[str]]:
    """Measure; the figures, and a table of every process for people."""
    found = measure(seconds, say)
    return Result(tuple(figures(found)), environment(), {}), table(found)


def measure(seconds: float, say: Callable[[str], None]) -> Measured:
    """Run everything once; each state is measured for `seconds`.

    Raises:
        GuardError: the daemon did not do what was to be measured.
    """
    found = Measured()
    with tempfile.TemporaryDirectory(prefix="framegate-footprint-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(str(folder / NOTIFY))
        manager.setblocking(False)
        soak = Soak(folder, 1)
        try:
            say("starting the daemon")
            began = time.monotonic()
            _until(
                soak, "a decision and a ready service", lambda: _begun(found, soak, manager, began)
            )
            _until(soak, "a permit", lambda: bool(soak.status.get("permitted")))
            _state(found, soak, FLOWING, seconds, say)
            _until(soak, "a permit", lambda: bool(soak.status.get("permitted")))
            soak.board.power_off()
            soak.board.dock_id = ELSEWHERE
            soak.board.power_on()
            _until(soak, "DOCK_SITE", lambda: "DOCK_SITE" in _reasons(soak))
            _state(found, soak, BLOCKED, seconds, say)
            soak.camera.unplug()
            _until(soak, "CAM_STALLED", lambda: "CAM_STALLED" in _reasons(soak))
            _state(found, soak, IDLE, seconds, say)
            soak.camera.plug_in()
            soak.read_status()
            _lose_a_process(found, soak)
        finally:
            soak.close()
            manager.close()
    _peer(found, seconds, say)
    return found


def _begun(found: Measured, soak: Soak, manager: socket.socket, began: float) -> bool:
    """Note when the service was ready and when it had decided; whether it has done both."""
    took_s = time.monotonic() - began
    with contextlib.suppress(BlockingIOError):
        while not found.ready_s:
            if b"READY=1" in manager.recv(4096).split(b"\n"):
                found.ready_s = took_s
    if not found.decision_s and soak.status.get("evidence"):
        found.decision_s = took_s
    return bool(found.ready_s and found.decision_s)


def _reasons(soak: Soak) -> set[str]:
    return {reason["code"] for reason in soak.status.get("reasons", ())}


def _until(soak: Soak, what: str, holds: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() > until or soak.daemon.poll() is not None:
            log = (soak.folder / "daemon.log").read_text(errors="replace").strip()
            raise GuardError(
                f"footprint: expected {what} within {WAIT_S:g} s, the guard says "
                f"{sorted(_reasons(soak))}; {log[-300:]}"
            )
        time.sleep(0.02)
        soak.read_status()


def _state(
    found: Measured, soak: Soak, state: str, seconds: float, say: Callable[[str], None]
) -> None:
    say(f"{state}: {seconds:g} s")
    time.sleep(BLOCKED_SETTLE_S if state == BLOCKED else SETTLE_S)
    pids = {name: pid for name, pid in processes(soak.daemon.pid) if name not in _NOT_OURS}
    energy = proc.energy_j()
    began = time.monotonic()
    before = {name: proc.read(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    after = {name: proc.read(pid) for name, pid in pids.items()}
    took = time.monotonic() - began
    found.states[state] = proc.between(before, after, took)
    resident = proc.resident_bytes(pids.values())
    if resident is not None:
        found.resident_mib[state] = resident / 2**20
    spent = proc.energy_j()
    if energy is not None and spent is not None:
        found.energy_w[state] = (spent - energy) / took


def _lose_a_process(found: Measured, soak: Soak) -> None:
    """Kill capture; return the time until a new guard decides again."""
    restarts = soak.status["health"]["restarts"]
    pid = dict(processes(soak.daemon.pid))["capture"]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    _until(
        soak,
        "a decision after a loss",
        lambda: soak.status["health"]["restarts"] > restarts and bool(soak.status.get("evidence")),
    )
    found.again_s = time.monotonic() - began


def _peer(found: Measured, seconds: float, say: Callable[[str], None]) -> None:
    """Measure the slow loop and the plain process, if the detector is installed."""
    from bench.soak.camera import NetworkCamera, Room

    try:
        model = asset("centerface.onnx")
    except ModelError as err:
        say(f"{PEER}: {err}")
        return
    found.looks = looks.figures(model)
    say(f"{PEER}: {seconds:g} s")
    camera = NetworkCamera(Room(1))
    camera.start()
    try:
        command = [sys.executable, "-m", "bench.footprint.plain", camera.url, str(model)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != b"reading":
                raise GuardError("footprint: the plain process read no frame")
            time.sleep(SETTLE_S)
            began = time.monotonic()
            before = {PEER: proc.read(process.pid)}
            time.sleep(seconds)
            after = {PEER: proc.read(process.pid)}
            found.states[PEER] = proc.between(before, after, time.monotonic() - began)
        finally:
            process.kill()
            process.communicate()
    finally:
        camera.close()


def total(costs: dict[str, Cost]) -> Cost:
    """The sum over all processes."""
    return sum(costs.values(), NOTHING)


def figures(found: Measured) -> list[Figure]:
    """A row for each state as a whole, then for each process."""
    rows = []
    for state, costs in found.states.items():
        rows += _rows(state, "", total(costs))
        if state != PEER:
            note = "" if state in found.resident_mib else "the kernel tells it to root alone"
            name, once = f"{state}: memory, each page once", found.resident_mib.get(state)
            rows.append(Figure(name, once, "", "MiB", note=note))
            a_day = total(costs).written_kib_min * _MINUTES_A_DAY / 1024
            rows.append(Figure(f"{state}: written to disk a day", a_day, "", "MiB"))
    rows += found.looks
    rows.append(Figure("start to first decision", found.decision_s, "<= 1.5", "s"))
    rows.append(Figure("start to a ready service", found.ready_s, "<= 3", "s"))
    rows.append(Figure("a process lost to the next decision", found.again_s, "<= 3", "s"))
    for state in (FLOWING, BLOCKED, IDLE):
        watts = found.energy_w.get(state)
        note = "" if watts is not None else "this machine has no meter that may be read"
        rows.append(Figure(f"{state}: power, whole machine", watts, "", "W", note=note))
    for state, costs in found.states.items():
        if state != PEER:
            for name, cost in costs.items():
                rows += _rows(state, f"{name}, ", cost)
    return rows


def _rows(state: str, process: str, cost: Cost) -> list[Figure]:
    kinds = (
        ("proportional memory", cost.pss_mib, "MiB"),
        ("private memory", cost.private_mib, "MiB"),
        ("processor", cost.cpu_percent, "% of a core"),
        ("wake-ups", cost.wakeups_s, "/s"),
        ("written to disk", cost.written_kib_min, "KiB/min"),
    )
    return [
        Figure(
            f"{state}: {process}{kind}",
            value,
            "" if process else _TARGETS.get((state, kind), ""),
            unit,
        )
        for kind, value, unit in kinds
    ]


def table(found: Measured) -> list[str]:
    """A line for each process in each state."""
    head = ("", "PSS MiB", "private", "core %", "wake-ups/s", "KiB/min")
    lines = []
    for state, costs in found.states.items():
        lines.append(f"{state:<16}" + "".join(f"{name:>11}" for name in head[1:]))
        rows = list(costs.items())
        if len(rows) > 1:
            rows.append(("all", total(costs)))
        for name, cost in rows:
            numbers = (
                cost.pss_mib,
                cost.private_mib,
                cost.cpu_percent,
                cost.wakeups_s,
                cost.written_kib_min,
            )
            lines.append(f"  {name:<14}" + "".join(f"{number:>11.1f}" for number in numbers))
    return lines
