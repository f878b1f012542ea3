"""Start-up time and cost of the daemon, measured from outside.

    python -m bench.daemon [--rounds 3] [--permits 100] [--json]

Each round starts a whole `framegate daemon` on a network camera at 30 frames a second
with a virtual board and a sandboxed matcher, as `bench.soak.run` does, and waits for
its page, its first decision and its first permit. Here, power-on to first permit means
one start, without the boot of the machine. The delay of a permit is measured on the
last round's daemon. The bench withholds the board's permit and gives it again, as often
as --permits says. The delay is the time from then until the status reports the permit,
less the dwell of one second. The status is updated four times a second; the figure
includes this.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.environment import environment
from bench.figures import Figure, number
from bench.soak.run import Soak
from bench.soak.watch import Life

WAIT_S = 90.0
IDLE_S = 10.0
DWELL_S = 1.0  # of the soak's site


class Round:
    """The measurements of one start of a daemon."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.began = time.monotonic()
        self._soak = Soak(folder, seed, on_start=self._note_start)
        self.decision_s = self.permit_s = self.page_s = 0.0
        self.page_kib = self.page_ms = 0.0
        self.delays_s: list[float] = []  # of permits, beyond the dwell
        self.lives: list[Life] = []

    def _note_start(self) -> None:
        self.began = time.monotonic()

    def measure(self, permits: int) -> None:
        """Take every measurement in order; the daemon has ended when this returns."""
        soak = self._soak
        try:
            self.decision_s = self._until(lambda: bool(soak.status.get("evidence")))
            self.permit_s = self._until(lambda: soak.status.get("permitted", False))
            self._page()
            until = time.monotonic() + IDLE_S
            while time.monotonic() < until:
                soak.watch.look(time.monotonic())
                time.sleep(1.0)
            self.lives = soak.watch.lives
            for _ in range(permits):
                self._permit_again()
        finally:
            soak.stop()

    def _until(self, found: Callable[[], bool]) -> float:
        """Seconds from the start until `found` in the status."""
        while not found():
            if time.monotonic() - self.began > WAIT_S:
                raise RuntimeError(f"nothing within {WAIT_S:g} s")
            time.sleep(0.02)
            self._soak.read_status()
        return time.monotonic() - self.began

    def _page(self) -> None:
        asked = time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{self._soak.port}/", timeout=10) as answer:
            self.page_kib = len(answer.read()) / 1024
        self.page_ms = (time.monotonic() - asked) * 1000

    def _permit_again(self) -> None:
        """Withdraw the board's permit, give it again, and wait for the guard's permit."""
        board, soak = self._soak.board.process, self._soak
        board.send_signal(signal.SIGSTOP)
        self._until_now(lambda status: not status["permitted"])
        board.send_signal(signal.SIGCONT)
        back_s = self._until_now(lambda status: bool(status["permitted"]))
        self.delays_s.append(back_s - DWELL_S)
        soak.read_status()

    def _until_now(self, found: Callable[[dict[str, Any]], bool]) -> float:
        began = time.monotonic()
        while time.monotonic() - began < WAIT_S:
            address = f"http://127.0.0.1:{self._soak.port}/status.json"
            with urllib.request.urlopen(address, timeout=10) as answer:
                if found(json.load(answer)):
                    return time.monotonic() - began
            time.sleep(0.02)
        raise RuntimeError(f"nothing within {WAIT_S:g} s")


def figures(rounds: list[Round]) -> list[Figure]:
    """Median, minimum and maximum over the rounds."""
    roles = list(dict.fromkeys(life.role for r in rounds for life in r.lives))
    held = {role: [_of(r, role) for r in rounds] for role in roles}
    delays = sorted(s for r in rounds for s in r.delays_s)
    return [
        number("start to first decision", [r.decision_s for r in rounds], "s"),
        number("start to first permit, dwell 1 s", [r.permit_s for r in rounds], "s"),
        number("board back to permit, beyond the dwell", delays, "s"),
        Figure("the same, p99", p99(delays), "", "s", note=f"of {len(delays)}"),
        number("page weight", [r.page_kib for r in rounds], "KiB"),
        number("page served in", [r.page_ms for r in rounds], "ms"),
        *(
            number(f"{role}: private memory", [mib for mib, _ in held[role]], "MiB")
            for role in roles
        ),
        *(number(f"{role}: one core", [100 * cpu for _, cpu in held[role]], "%") for role in roles),
    ]


def p99(ordered: list[float]) -> float:
    """The 99th percentile; of fewer than 100 values the maximum."""
    return ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)]


def _of(found: Round, role: str) -> tuple[float, float]:
    """(maximum of private MiB, share of a core) of a process in a round."""
    lives = [life for life in found.lives if life.role == role]
    return (
        max((s.private_mib for life in lives for s in life.samples), default=0.0),
        max((life.cpu_share for life in lives), default=0.0),
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.daemon",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--permits", type=int, default=100, help="how often the board's word is held back"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.rounds < 1 or args.permits < 1:
        parser.error("expected at least one round and one permit")
    rounds = []
    for seed in range(args.rounds):
        with tempfile.TemporaryDirectory(prefix="framegate-daemon-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            found = Round(folder, seed)
            found.measure(args.permits if seed == args.rounds - 1 else 0)
            rounds.append(found)
    rows = figures(rounds)
    if args.json:
        print(json.dumps({"figures": [r.as_json() for r in rows], "environment": environment()}))
        return 0
    for row in rows:
        spread = f"{row.least:.3g} to {row.most:.3g}" if row.least is not None else row.note
        print(f"{row.name:<40}{row.value:>9.3g} {row.unit:<5}{spread}")
    for name, value in environment().items():
        print(f"  {name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
