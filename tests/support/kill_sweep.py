"""Every process of the guard is killed at many moments of a start; the daemon must go on.

    python -m tests.support.kill_sweep [--moments 50] [--until 3.0] [--process gate ...]

For each process and each time after its start, a new daemon is started and that process
gets SIGKILL. The expected result: the daemon keeps running, reports in one line the
lost process and that everything is blocked, starts again, and ends with 0.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from edge.models.pull import asset
from tests.support import render
from tests.support.daemons import Daemon, daemon
from tests.support.guards import Site, site

MODULES = {
    "template": "edge.guard.template",  # once it has forked the others it is the decider
    "capture": "edge.frames.capture",
    "gate": "edge.frames.gate_process",
    "decider": "edge.decision.decider",
    "virtual board": "firmware_bridge.virtual.process",
    "bridge": "firmware_bridge.process",
    "status": "edge.status.process",
    "matcher": "framegate_client.counter",
}
AGAIN = ("starting again", "until it is started again")  # a lost guard; a lost matcher
WAIT_S = 20.0


@dataclass(frozen=True)
class Found:
    """The result of one kill."""

    process: str
    delay_s: float
    killed: bool
    wrong: str  # empty if there was no fault


def child(run: Daemon, module: str, wait_s: float = WAIT_S) -> int:
    """The pid of the child that runs `module`, waited for; 0 if it never comes."""
    until = time.monotonic() + wait_s
    while time.monotonic() < until and run.process.poll() is None:
        if pid := run.pid(module):
            return pid
        time.sleep(0.002)
    return 0


def kill_once(place: Site, process: str, delay_s: float) -> Found:
    """Start a daemon, kill one process `delay_s` after its start, and check the daemon."""
    with daemon(place) as run:
        pid = child(run, MODULES[process])
        time.sleep(delay_s)
        killed = False
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed = True
        wrong = _judge(run, process) if killed else ""
        if run.process.poll() is not None:
            return Found(process, delay_s, killed, wrong or f"the daemon ended: {_last(run)}")
        code = run.stop()
        if code != 0:
            wrong = wrong or f"it ended with {code} on SIGTERM: {_last(run)}"
        if "Traceback" in run.log_text():
            wrong = wrong or f"a traceback: {_raised(run.log_text())}"
        return Found(process, delay_s, killed, wrong)


def _judge(run: Daemon, process: str) -> str:
    """Wait until the daemon reports the loss; returns the fault otherwise."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if run.process.poll() is not None:
            return f"the daemon ended with {run.process.poll()}: {_last(run)}"
        if any(words in run.log_text() for words in AGAIN) or process == "status":
            return ""
        time.sleep(0.02)
    return f"no word of the loss within {WAIT_S:g} s"


def _last(run: Daemon) -> str:
    return (run.log_text().strip().splitlines() or ["nothing was said"])[-1]


def _raised(text: str) -> str:
    """The last line of the first traceback: its first line that is not indented."""
    lines = text.partition("Traceback")[2].splitlines()[1:]
    return next((line for line in lines if not line.startswith(" ")), "cut short")


def sweep(place: Site, processes: list[str], moments: int, until_s: float) -> list[Found]:
    """Every process at evenly spread times from its start on."""
    step_s = until_s / max(1, moments - 1)
    found = []
    for process in processes:
        for number in range(moments):
            found.append(kill_once(place, process, number * step_s))
            if found[-1].wrong:
                print(f"{process} at {number * step_s:.2f} s: {found[-1].wrong}", flush=True)
        print(f"{process}: {moments} moments", flush=True)
    return found


def main(argv: list[str]) -> int:
    """0 if every kill had the expected result."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.kill_sweep", description=__doc__)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--until", type=float, default=3.0, help="seconds after the birth")
    parser.add_argument("--process", choices=sorted(MODULES), action="append")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="framegate-sweep-") as folder:
        os.chmod(folder, 0o755)
        clip = render.write_clip(Path(folder, "room.avi"), render.lived_in(render.room(), 600))
        place = site(Path(folder, "site"), clip, clip, asset("centerface.onnx"))
        found = sweep(place, args.process or list(MODULES), args.moments, args.until)
    killed = [one for one in found if one.killed]
    wrong = [one for one in found if one.wrong]  # also a daemon that ended before the kill
    print(f"{len(killed)} kills in {len(found)} starts, {len(wrong)} not taken as a lost process")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
