"""A Dask cluster of real processes on this machine: a scheduler at one address, and workers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_START_S = 120


class DaskCluster:
    """What was started; `close` ends it."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{self._port}"
        self._running: list[subprocess.Popen[bytes]] = []

    def scheduler(self) -> subprocess.Popen[bytes]:
        """Start a scheduler and wait until it listens."""
        words = ("--host", "127.0.0.1", "--port", str(self._port), "--no-dashboard", "--no-show")
        process = self._start("scheduler", *words)
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port)):
                return process
            time.sleep(0.05)
        raise AssertionError(f"no scheduler listens; see {self._logs}")

    def worker(self) -> subprocess.Popen[bytes]:
        """Start a worker of one thread, and what starts it again when it is killed."""
        return self._start("worker", self.address, "--nthreads", "1", "--no-dashboard")

    def close(self) -> None:
        """End every process that was started here, with its children."""
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *words]
        names = {**os.environ, "PYTHONPATH": str(ROOT)}  # tasks of the tests
        folder = self._logs / f"{what}-{len(self._running)}"
        folder.mkdir(parents=True)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=folder, env=names, start_new_session=True
            )
        self._running.append(process)
        return process
