"""Running daemons for tests: a commissioned folder, a service manager that listens, the daemon."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.sandbox.spec import NOBODY
from tests.support.guards import Site

WAIT_S = 45.0


def until(found: Callable[[], object], what: str, wait_s: float = WAIT_S) -> None:
    """Wait for something to become true, at most for a time that only a failure takes."""
    deadline = time.monotonic() + wait_s
    while not found():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {wait_s:g} s")
        time.sleep(0.05)


@dataclass
class Manager:
    """A service manager's end of the notify socket."""

    channel: socket.socket
    heard: list[str]

    def listen(self) -> list[str]:
        """Every word heard so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard += self.channel.recv(4096).decode().split("\n")
        return self.heard


@dataclass
class Daemon:
    """A `framegate daemon` in its own process."""

    process: subprocess.Popen[str]
    manager: Manager
    config: Path
    url: str
    log: Path

    def get(self, path: str = "/") -> tuple[int, str]:
        """Status and body of a page; (0, "") while nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as err:
            return err.code, err.read().decode()
        except OSError:
            return 0, ""

    def log_text(self) -> str:
        return self.log.read_text()

    def pid(self, module: str) -> int:
        """The child that runs `module`; 0 if there is none."""
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if parent == self.process.pid and module.encode() in command:
                    return int(entry.name)
        return 0

    def ready(self) -> bool:
        return self.get("/healthz")[0] == 200

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def configure(site: Site, port: int, *, matcher: bool = True, also: str = "") -> Path:
    """Write the daemon's guard.toml beside a site; returns its path. `also`: more tables."""
    room = site.folder / "matcher"
    room.mkdir(exist_ok=True)
    if os.getuid() == 0:
        os.chown(room, NOBODY, NOBODY)
    command = f'["{sys.executable}", "-m", "framegate_client.counter", "{room}/received.json"]'
    config = site.folder / "guard.toml"
    config.write_text(
        f'source = "{site.clip}"\ndevice = "D.toml"\nsession = "S.toml"\nkeys = "keys"\n'
        f'[status]\nlisten = "127.0.0.1:{port}"\n'
        f'[matcher]\nwrite = ["matcher"]\ncommand = {command if matcher else "[]"}\n{also}'
    )
    return config


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def daemon(site: Site, *, matcher: bool = True, also: str = "") -> Iterator[Daemon]:
    """The daemon of a site, ended whatever happens."""
    port = free_port()
    config = configure(site, port, matcher=matcher, also=also)
    log = site.folder / "daemon.log"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        log.open("w") as out,
    ):
        (site.folder / "notify").unlink(missing_ok=True)
        channel.bind(str(site.folder / "notify"))
        channel.setblocking(False)
        process = subprocess.Popen(
            [sys.executable, "-m", "edge.cli", "daemon", "--config", str(config)],
            stdout=out,
            stderr=out,
            text=True,
            env={**os.environ, "NOTIFY_SOCKET": str(site.folder / "notify")},
        )
        try:
            yield Daemon(process, Manager(channel, []), config, f"http://127.0.0.1:{port}", log)
        finally:
            if process.poll() is None:
                process.kill()  # its children end with it
            process.wait()
