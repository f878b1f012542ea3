"""Running guards for tests: keys, signed records, a view and a whole `framegate run`."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.recording_file import file_sha256
from edge.clock import BootClock
from edge.commissioning.keys import KeyStore, RecordKind
from edge.evidence.faces import FaceBoxes
from edge.guard.processes import key_pipe
from edge.replay.files import enrol_opening, opening
from edge.sandbox.spec import NOBODY, missing

DOCK = "D-0017"
DEVICE = """\
camera = "fixed"
mount = "fixed_surveyed"
site = "till-2"
dock_id = "D-0017"
publicly_accessible = false
lanes = ["verify_1_1", "detect"]
dwell_s = 1
[operator]
user = "private_business"
by_or_for = "neither"
jurisdiction = "EU"
[people]
max = 1
min_height = 0.1
"""
SESSION = """\
operation = "verify_1_1"
gallery = "self_only"
consent = "valid"
active_involvement = true
"""
WAIT_S = 60.0  # for what comes in any case; a busy machine may take long to start a guard
MODULES = {
    "capture": "edge.frames.capture",
    "gate": "edge.frames.gate_process",
    "decider": "edge.decision.decider",
    "bridge": "firmware_bridge.process",
}


@dataclass(frozen=True)
class Site:
    """A folder with keys, signed records and an enrolled view."""

    folder: Path
    store: KeyStore
    clip: Path

    @property
    def device(self) -> Path:
        return self.folder / "D.toml"

    @property
    def session(self) -> Path:
        return self.folder / "S.toml"

    def sign(self, device: str = DEVICE, session: str = SESSION) -> None:
        """Write both records, with the clip pinned and the view named, and sign them."""
        pinned = f'[view]\nfingerprint = "site.view"\n[identity]\nvirtual_sha256 = ["{self.sha}"]\n'
        without = json.dumps(_lacking())
        self.device.write_text(f"{device}{pinned}[matcher]\nwithout = {without}\n")
        self.session.write_text(session)
        self.store.sign_file(self.device, RecordKind.DEVICE)
        self.store.sign_file(self.session, RecordKind.SESSION)

    @property
    def sha(self) -> str:
        return file_sha256(self.clip)


@functools.cache
def _lacking() -> list[str]:
    """The layers of the sandbox that this machine lacks; a process has to try them."""
    return [layer.value for layer in missing()]


_OPENING_S = 1.0
_VIEWS: dict[str, bytes] = {}  # by all that a view is made of: enrolling is seconds of work


def enrolled(clip: Path, face_model: Path) -> bytes:
    """The view of a clip's first second; enrolled once for all clips that open alike."""
    frames, camera = opening(clip, _OPENING_S)
    made_of = hashlib.sha256(camera + os.fsencode(face_model))
    for frame in frames:
        made_of.update(f"{frame.shape}{frame.dtype}".encode())
        made_of.update(frame.tobytes())
    if (key := made_of.hexdigest()) not in _VIEWS:
        _VIEWS[key] = enrol_opening(clip, _OPENING_S, FaceBoxes(face_model)).to_bytes()
    return _VIEWS[key]


def site(folder: Path, clip: Path, enrolled_from: Path, face_model: Path) -> Site:
    """A commissioned kiosk whose camera plays `clip` and whose view is that of another clip."""
    folder.mkdir(parents=True, exist_ok=True)
    store = KeyStore.init(folder / "keys")
    view = folder / "site.view"
    view.write_bytes(enrolled(enrolled_from, face_model))
    store.sign_file(view, RecordKind.VIEW)
    made = Site(folder, store, clip)
    made.sign()
    return made


class Line:
    """A virtual board in its own process, and its interlock line as seen from outside."""

    def __init__(self, key: bytes) -> None:
        key_fd = key_pipe(key)
        self._read_fd, write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        command = [sys.executable, "-m", "firmware_bridge.virtual.process", "--still"]
        command += ["--key-fd", str(key_fd), "--line-fd", str(write_fd)]
        self.process = subprocess.Popen(
            command, pass_fds=(key_fd, write_fd), stdout=subprocess.PIPE, text=True
        )
        os.close(key_fd)
        os.close(write_fd)
        assert self.process.stdout is not None
        self.port = self.process.stdout.readline().strip()
        self.events: list[tuple[int, bool]] = []
        self._rest = b""

    def wait_for(self, permit: bool, after_ns: int, timeout_s: float = WAIT_S) -> int:
        """When the line first had this level at or after `after_ns`, in CLOCK_BOOTTIME ns."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self._read()
            for t_ns, level in self.events:
                if level is permit and t_ns >= after_ns:
                    return t_ns
            time.sleep(0.005)
        raise AssertionError(f"the line never became {permit} after {after_ns}: {self.events}")

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._rest += os.read(self._read_fd, 65536)
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            event = json.loads(line)
            self.events.append((event["t_ns"], event["permit"]))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._read_fd)


@dataclass
class Running:
    """A `framegate run` in its own process, with the board outside it."""

    process: subprocess.Popen[str]
    line: Line
    out: Path

    def pid(self, role: str) -> int:
        """The process id of `parent`, or of a child by the module it runs."""
        if role == "parent":
            return self.process.pid
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if parent == self.process.pid and MODULES[role].encode() in command:
                    return int(entry.name)
        raise AssertionError(f"no {role} process")

    def received(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = json.loads(
            (self.out / "matcher" / "received.json").read_text()
        )
        return found

    def stop(self) -> str:
        """End it as an operator would; returns what it printed."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=20)[0]


@contextlib.contextmanager
def running(kiosk: Site, *arguments: str, matcher: str | None = None) -> Iterator[Running]:
    """`framegate run` for a site, ended and cleaned up whatever happens."""
    out = kiosk.folder / "out"
    (out / "matcher").mkdir(parents=True, exist_ok=True)
    line = Line(kiosk.store.board_key())
    if matcher is None:
        matcher = (
            f"{sys.executable} -m framegate_client.counter {out / 'matcher' / 'received.json'}"
        )
    command = [sys.executable, "-m", "edge.cli", "run", "--source", str(kiosk.clip)]
    command += ["--device", str(kiosk.device), "--session", str(kiosk.session)]
    command += ["--keys", str(kiosk.store.directory), "--board", line.port, "--out", str(out)]
    command += ["--matcher", matcher, "--matcher-write", str(out / "matcher"), *arguments]
    if os.getuid() == 0:
        os.chown(out / "matcher", NOBODY, NOBODY)  # the matcher runs as this user
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield Running(process, line, out)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()
        line.close()


def now_ns() -> int:
    return BootClock().now_ns()
