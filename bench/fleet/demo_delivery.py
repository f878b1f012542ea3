"""The part of `make fleet` that delivers: a TUF repository behind a static HTTP server.

A pack is released and a device takes it into force. Then the server shows parts of two
states of the repository, which the device refuses; once they are one again, it takes them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edge.errors import GuardError

_SIGNERS = ("ann", "bob")  # two of three; the third key stays in its safe
_REPOSITORY, _KEYS, _STORE = "repo", "office", "installed"
_PACK = "strict.json"


class Delivery:
    """An office that releases packs, and a device that fetches them over HTTP."""

    def __init__(self, folder: Path, url: str, device: str) -> None:
        """Make the keys and an empty repository, and put the first pack in force.

        Args:
            url: where the folder `repository` will be served.

        Raises:
            GuardError: a command failed.
        """
        self._folder, self._url, self._device = folder, url, device
        self._newest = 1
        self._run("policy", "keygen", *_SIGNERS, "cyd", "--out", "pack-keys")
        self._signed(1)
        trusted = ("--key", *self._public(), "--threshold", "2", "--state", _STORE)
        self._run("policy", "install", _PACK, *trusted)
        new = ("--new", "--origin", "fleet.example/releases")
        self._run("fleet", "release", _REPOSITORY, "--keys", _KEYS, *new)
        shutil.copy(self.repository / "metadata" / "1.root.json", folder / "root.json")
        shutil.copy(self.repository / "log" / "log.pub", folder / "releases.pub")

    @property
    def repository(self) -> Path:
        """The folder to serve."""
        return self._folder / _REPOSITORY

    def release(self) -> int:
        """Sign the next version of the pack and release it; its version."""
        self._newest += 1
        self._signed(self._newest)
        pack = ("--policy", _PACK, "--to-group", "doors")
        self._run("fleet", "release", _REPOSITORY, "--keys", _KEYS, *pack)
        return self._newest

    def fetch(self) -> tuple[int, str]:
        """One round of the device: exit code, and what it printed."""
        trust = ("--root", "root.json", "--log", "releases.pub", "--policy", _STORE)
        places = ("--state", "fetched", "--out", "releases")
        who = ("--device", self._device, "--group", "doors")
        done = self._command("fleet", "fetch", self._url, *trust, *places, *who)
        return done.returncode, f"{done.stdout}{done.stderr}".strip()

    def holds(self) -> bytes:
        """The pack that the device has; empty before the first."""
        place = self._folder / "releases" / "current" / "policy" / _PACK
        return place.read_bytes() if place.exists() else b""

    def released(self) -> bytes:
        """The pack as it was released last."""
        return (self._folder / _PACK).read_bytes()

    def mix(self) -> Callable[[], None]:
        """Show the newest timestamp with the snapshot of before; call the answer to undo it."""
        found = (self.repository / "metadata").glob("*.snapshot.json")
        before, newest = sorted(found, key=lambda place: int(place.name.partition(".")[0]))[-2:]
        true = newest.read_bytes()
        shutil.copy(before, newest)
        return lambda: _write(newest, true)

    def _signed(self, version: int) -> None:
        build = ("--pack", "strict", "--version", str(version), "--days", "90", "--threshold", "2")
        self._run("policy", "build", *build, "--key", *self._public(), "--out", _PACK)
        for name in _SIGNERS:
            self._run("policy", "sign", _PACK, "--with", f"pack-keys/{name}.key")

    def _public(self) -> tuple[str, ...]:
        return tuple(f"pack-keys/{name}.pub" for name in (*_SIGNERS, "cyd"))

    def _run(self, *arguments: str) -> None:
        done = self._command(*arguments)
        if done.returncode:
            raise GuardError(f"{' '.join(arguments[:2])}: {(done.stderr or done.stdout)[-300:]}")

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edge.cli", *arguments]
        return subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, check=False
        )


def _write(place: Path, data: bytes) -> None:
    place.write_bytes(data)


def deliver(delivery: Delivery, say: Callable[[str], None]) -> None:
    """Release a pack and fetch it; refuse a mixed repository, and take it when it is whole.

    Raises:
        GuardError: a state that should be taken was refused, or the other way round.
    """
    version = delivery.release()
    _taken(delivery)
    say(f"a device fetched version {version} of its pack over HTTP and put it in force")
    version, kept = delivery.release(), delivery.holds()
    undo = delivery.mix()
    code, printed = delivery.fetch()
    if code != 1 or "mixed" not in printed or delivery.holds() != kept:
        raise GuardError(f"parts of two states were not refused (exit {code}): {printed[-300:]}")
    say(f"a server that mixed two states was refused: {printed.splitlines()[-1][:160]}")
    undo()
    _taken(delivery)
    say(f"the same repository in one piece: version {version} is in force")


def _taken(delivery: Delivery) -> None:
    code, printed = delivery.fetch()
    if code or delivery.holds() != delivery.released():
        raise GuardError(f"the pack was not taken (exit {code}): {printed[-300:]}")
