"""A mosquitto on this machine: the shipped configuration and access list, in a folder of its own.

Only paths, port and user are replaced, so what is tried is what is shipped.
`tls=False` is for measurements alone: no certificates, and anybody may write. Its limits are
the shipped ones.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from edge.errors import GuardError

DEPLOY = Path(__file__).parents[2] / "edge" / "daemon" / "deploy"
_START_S = 30.0
_LIMITS = ("message_size_limit", "max_packet_size", "max_inflight", "max_queued", "max_keepalive")


def mosquitto() -> str | None:
    """The program, if it is installed."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Broker:
    """One broker; it can end and come back at its port, with what it retained."""

    def __init__(self, folder: Path, *, tls: bool = True, host: str = "localhost") -> None:
        """
        Args:
            folder: with ca.pem, HOST.pem and HOST.key; configuration and memory go there.

        Raises:
            GuardError: no mosquitto is installed.
        """
        program = mosquitto()
        if program is None:
            raise GuardError("expected mosquitto, found none: apt install mosquitto")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"mqtt{'s' if tls else ''}://localhost:{self.port}"
        conf = folder / "mosquitto.conf"
        conf.write_text(_shipped(folder, self.port, host) if tls else _plain(folder, self.port))
        self._command = [program, "-c", str(conf)]
        self._log = folder / "mosquitto.log"
        self.start()

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self._log.open("a") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        end_s = time.monotonic() + _START_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None or time.monotonic() > end_s:
                self.end()
                raise GuardError(f"mosquitto did not start: {self._log.read_text()[-300:]}")
            time.sleep(0.02)

    def end(self) -> None:
        """End it in good order."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


def _shipped(folder: Path, port: int, host: str) -> str:
    acl = folder / "mosquitto.acl"
    shutil.copy(DEPLOY / "mosquitto.acl", acl)
    acl.chmod(0o600)
    text = _conf()
    for shipped, here in (
        ("listener 8883", f"listener {port} 127.0.0.1"),
        ("/etc/mosquitto/certs/fleet-ca.pem", f"{folder}/ca.pem"),
        ("/etc/mosquitto/certs/broker.", f"{folder}/{host}."),
        ("/etc/mosquitto/mosquitto.acl", str(acl)),
        ("persistence_location /var/lib/mosquitto/", f"persistence_location {folder}/"),
    ):
        if shipped not in text:
            raise GuardError(f"expected {shipped!r} in the shipped mosquitto.conf")
        text = text.replace(shipped, here)
    return f"{text}{_user()}"


def _plain(folder: Path, port: int) -> str:
    limits = [line for line in _conf().splitlines() if line.startswith(_LIMITS)]
    if len(limits) != len(_LIMITS):
        raise GuardError(f"expected {', '.join(_LIMITS)} in the shipped mosquitto.conf")
    return (
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
        f"persistence_location {folder}/\nmax_connections -1\n" + "\n".join(limits) + f"\n{_user()}"
    )


def _conf() -> str:
    return (DEPLOY / "mosquitto.conf").read_text()


def _user() -> str:
    return "user root\n" if os.getuid() == 0 else ""  # else it gives up its rights to the folder
