"""A soak test: the whole daemon for an hour, while everything around it fails and returns.

    python -m bench.soak.run --minutes 60
    python -m bench.soak.run --minutes 5 --out out/soak --json

A `framegate daemon` guards a network camera at 30 frames a second with a virtual board
on a serial line and a sandboxed matcher. Every few seconds there is a disturbance: the
camera is pulled out, stalls or is turned away; the board is reset or hangs; the matcher
is killed or stopped. A few times in the whole run a process of the guard is killed, or
the configuration is read again. The soak test measures memory, descriptors, threads and
shared memory of every process. Every frame that the camera sent must be counted as
released, blocked or dropped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.environment import environment
from bench.figures import Figure
from bench.soak.camera import RATE_HZ, NetworkCamera, Room, free_port
from bench.soak.matcher import totals
from bench.soak.site import Board, commission, start_daemon
from bench.soak.watch import SHORTEST_S, Watch, processes
from edge.audit.proofs.verify import verify_log
from edge.errors import GuardError

LOOK_S = 5.0
CALM_S = (8.0, 25.0)  # between two events, so that frames flow in between
RARE = ("gate", "decider", "reload", "capture", "bridge")  # spread over the run, one each
_GROWTH_MIB = 8.0
_IN_FLIGHT = 90  # frames in sockets and in the gate when a camera or a guard goes
_PATIENCE_S = 150.0  # for the first permit
_MEMORY = Path("/dev/shm")
_IN_RING = 8  # slots of the release ring


class Soak:
    """One run in one folder."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        on_start: Callable[[], None] = lambda: None,
        *,
        matcher_mib: int = 0,
        rate_hz: float = RATE_HZ,
    ) -> None:
        """Commission the folder and start its daemon, after `on_start`.

        Args:
            matcher_mib: what the matcher holds, as a model would.
            rate_hz: of the camera.
        """
        self.rng = random.Random(seed)
        self.folder = folder
        self.events: Counter[str] = Counter()
        self.camera = NetworkCamera(Room(seed))
        self.camera.rate_hz = rate_hz
        self.camera.start()
        self.port = free_port()
        self.camera.room.used = False
        self._in_memory = _folder_in_memory(folder)
        self.status_file = Path(self._in_memory.name) / "status.json"
        self.keys = commission(folder, self.camera.url, self.port, self.status_file, matcher_mib)
        self.camera.room.used = True
        self.board = Board(self.keys.board_key(), folder / "board")
        on_start()
        self.daemon = start_daemon(folder)
        self.watch = Watch(self.daemon.pid)
        self.status: dict[str, Any] = {}

    # disturbances

    def churn(self, seconds: float, say: Callable[[str], None]) -> None:
        """Once frames flow, cause disturbances for `seconds`, and measure."""
        self._await_permit()
        began = time.monotonic()
        rare = [(seconds * (i + 1) / (len(RARE) + 1), what) for i, what in enumerate(RARE)]
        event_at, look_at = min(20.0, seconds / 4), 0.0
        running: Iterator[float] = iter(())
        while (at := time.monotonic() - began) < seconds:
            if self.daemon.poll() is not None:
                raise GuardError(f"the daemon ended: {self.folder / 'daemon.log'} says why")
            if at >= look_at:
                look_at = at + LOOK_S
                self.watch.look(at)
                self.read_status()
                self._scrape()
                frames = self.status.get("frames", {})
                say(f"{at / 60:5.1f} min  {frames}  {sum(self.events.values())} events")
            if at >= event_at:
                wait_s = next(running, None)
                if wait_s is None:
                    what = rare.pop(0)[1] if rare and at >= rare[0][0] else self._pick()
                    self.events[what] += 1
                    running = getattr(self, f"_{what}")()
                    wait_s = next(running, 0.0)
                    event_at = at + wait_s
                else:
                    event_at = at + wait_s
            time.sleep(0.1)
        for _ in running:  # end the disturbance
            pass

    def _await_permit(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not self.status.get("permitted"):
            if time.monotonic() > deadline or self.daemon.poll() is not None:
                raise GuardError(f"no permit came: {self.folder / 'daemon.log'} may say why")
            time.sleep(0.1)
            self.read_status()

    def _pick(self) -> str:
        usual = ("camera_out", "camera_stalls", "camera_turned", "board_reset", "board_hangs")
        return self.rng.choice((*usual, "matcher_killed", "matcher_slow"))

    def _calm(self) -> float:
        return self.rng.uniform(*CALM_S)

    def _camera_out(self) -> Iterator[float]:
        self.camera.unplug()
        yield self.rng.uniform(1.0, 6.0)
        self.camera.plug_in()
        yield self._calm()

    def _camera_stalls(self) -> Iterator[float]:
        self.camera.stall(True)
        yield self.rng.uniform(0.5, 3.0)
        self.camera.stall(False)
        yield self._calm()

    def _camera_turned(self) -> Iterator[float]:
        self.camera.room.elsewhere = True
        yield self.rng.uniform(0.5, 4.0)
        self.camera.room.elsewhere = False
        yield self._calm()

    def _board_reset(self) -> Iterator[float]:
        self.board.power_off()
        yield self.rng.uniform(0.2, 4.0)
        self.board.power_on()
        yield self._calm()

    def _board_hangs(self) -> Iterator[float]:
        self.board.process.send_signal(signal.SIGSTOP)
        yield self.rng.uniform(0.3, 2.0)
        self.board.process.send_signal(signal.SIGCONT)
        yield self._calm()

    def _matcher_killed(self) -> Iterator[float]:
        self._signal("matcher", signal.SIGKILL)
        yield self._calm()

    def _matcher_slow(self) -> Iterator[float]:
        self._signal("matcher", signal.SIGSTOP)
        yield self.rng.uniform(1.0, 6.0)
        self._signal("matcher", signal.SIGCONT)
        yield self._calm()

    def _gate(self) -> Iterator[float]:
        return self._lose("gate")

    def _decider(self) -> Iterator[float]:
        return self._lose("decider")

    def _capture(self) -> Iterator[float]:
        return self._lose("capture")

    def _bridge(self) -> Iterator[float]:
        return self._lose("bridge")

    def _lose(self, role: str) -> Iterator[float]:
        self._signal(role, signal.SIGKILL)
        yield self._calm()

    def _reload(self) -> Iterator[float]:
        self.daemon.send_signal(signal.SIGHUP)
        yield self._calm()

    def _signal(self, role: str, number: signal.Signals) -> None:
        for name, pid in processes(self.daemon.pid):
            if name == role:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def read_status(self) -> None:
        """Read the daemon's newest status into `status`."""
        with contextlib.suppress(OSError, ValueError):
            self.status = json.loads(self.status_file.read_text())

    def _scrape(self) -> None:
        """Request the page and the metrics of a running daemon, like a browser and a scraper."""
        for path in ("/", "/metrics"):
            with contextlib.suppress(OSError):
                address = f"http://127.0.0.1:{self.port}{path}"
                with urllib.request.urlopen(address, timeout=2) as answer:
                    answer.read()

    # the end

    def stop(self) -> int:
        """End the daemon as an operator would; returns its exit code."""
        time.sleep(1.0)  # the gate decides its waiting frames; the daemon writes its newest status
        self.read_status()
        self.daemon.send_signal(signal.SIGTERM)
        try:
            return self.daemon.wait(30)
        finally:
            self.close()

    def close(self) -> None:
        if self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        self.board.power_off()
        self.camera.close()
        self._in_memory.cleanup()

    def left_behind(self) -> list[str]:
        """Files, folders and sockets that an ended daemon left."""
        return [str(path) for path in (self.folder / "tmp").rglob("*")]


def _folder_in_memory(folder: Path) -> tempfile.TemporaryDirectory[str]:
    """For the status file, as the shipped unit has `/run`; in `folder` where there is none."""
    where = _MEMORY if _MEMORY.is_dir() else folder
    found = tempfile.TemporaryDirectory(
        prefix="framegate-run-", dir=where, ignore_cleanup_errors=True
    )
    Path(found.name).chmod(0o755)
    return found


def judge(soak: Soak, code: int, log_mib: float) -> list[Figure]:
    """The figures of the run."""
    long = soak.watch.long_lives
    frames = soak.status["frames"]
    sent, interruptions = soak.camera.sent, soak.camera.opened
    known = sum(frames.values())
    received, overwritten = totals(soak.folder / "matcher")
    at_matcher = frames["released"] - received - overwritten
    lives = Counter(life.role for life in soak.watch.lives)
    left = soak.left_behind()
    figures = [
        Figure("the daemon ended in good order, exit code", code, "<= 0", ""),
        Figure("frames sent by the camera", sent, "", "frames"),
        Figure(
            "frames neither released, blocked nor dropped, for each time the camera was opened",
            (sent - known) / max(1, interruptions),
            f"<= {_IN_FLIGHT}",
            "frames",
            note=f"{sent - known} of {sent}, opened {interruptions} times: on their way then",
        ),
        Figure("frames released", frames["released"], ">= 100", "frames"),
        Figure(
            "frames released but not seen by a matcher, for each end of one",
            at_matcher / max(1, lives["matcher"]),
            f"<= {_IN_RING}",
            "frames",
            note=f"{received} received, {overwritten} overwritten while it stood still, "
            f"{lives['matcher']} lives",
        ),
        Figure("frames dropped for want of a buffer", frames["dropped"], "", "frames"),
        Figure("files and folders left behind", len(left), "<= 0", "", note=" ".join(left)),
        Figure("signed log", log_mib, "", "MiB"),
        Figure("events", sum(soak.events.values()), "", "", note=_counted(soak.events)),
    ]
    for role in dict.fromkeys(life.role for life in long):
        of_role = [life for life in long if life.role == role]
        note = f"{len(of_role)} lives of {SHORTEST_S:g} s or more"
        growth = max(life.growth_mib() for life in of_role)
        figures.append(
            Figure(
                f"{role}: growth of private memory", growth, f"<= {_GROWTH_MIB:g}", "MiB", note=note
            )
        )
        for name in ("fds", "memfds", "threads"):
            more = max(life.more(name) for life in of_role)
            figures.append(Figure(f"{role}: more {name}", more, "<= 0", ""))
    return figures


def _counted(events: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(events.items()))


def main() -> int:
    """Run, print the table; 1 if a target was missed or not tried."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep log, configuration and samples here")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    def say(line: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{line}", end="", file=sys.stderr, flush=True)

    with contextlib.ExitStack() as stack:
        if args.out is None:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="framegate-soak-"))
            )
            folder.chmod(0o755)
        else:
            folder = args.out.resolve()
            folder.mkdir(parents=True)
        soak = Soak(folder, args.seed)
        stack.callback(soak.close)
        soak.churn(args.minutes * 60, say)
        code = soak.stop()
        size = sum(path.stat().st_size for path in (folder / "audit").rglob("*") if path.is_file())
        verified = verify_log(folder / "audit", soak.keys.log_verifier())
        figures = judge(soak, code, size / 2**20)
        where = {**environment(), "minutes": args.minutes, "log entries": verified.entries}
        if args.json:
            print(json.dumps({"figures": [f.as_json() for f in figures], "environment": where}))
        else:
            for line in soak.watch.table():
                print(line)
            for figure in figures:
                value = f"{figure.value:.4g}" if figure.value is not None else "none"
                print(
                    f"{figure.name:<60} {value:>9} {figure.unit:<7}{figure.target:<7}{figure.word}"
                )
                if figure.note:
                    print(f"    {figure.note}")
            for name, value in where.items():
                print(f"  {name}: {value}")
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
