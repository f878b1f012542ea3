"""One case: how its input is made, what is right, and how it is found out."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path

from edge.errors import ModelError
from edge.models.pull import asset
from edge.sandbox.spec import NOBODY, missing
from tests.support import render
from tests.support.guards import DEVICE, SESSION, Site, site

ROOT = Path(__file__).resolve().parents[2]

FRAMES = 60  # of the clip that inputs are made from, at 30 a second


class Skipped(Exception):
    """The input cannot be made on this machine; the text says why."""


class Outcome(Enum):
    """What a command may come to; what fits none of these is a fault."""

    JUDGED = "judged"  # exit 0
    PARTLY = "judged in part, said so"  # exit 1, with a reason
    REFUSED = "refused in one line"  # exit 2, one line on stderr
    FAULT = "FAULT"  # a traceback, a signal, no end, or silence


@dataclass(frozen=True, slots=True)
class Found:
    """What a command came to, and the words that tell."""

    outcome: Outcome
    says: str


@dataclass(frozen=True, slots=True)
class Case:
    """One input and what is right for it."""

    name: str
    run: Callable[[Workshop], Found]
    outcome: Outcome
    says: str = ""  # a regular expression that the words hold
    quick: bool = False  # also run by the test suite

    def right(self, found: Found) -> bool:
        return found.outcome is self.outcome and re.search(self.says, found.says, re.S) is not None


@dataclass
class Workshop:
    """A folder for one case's files, and the tools to make and to judge them."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @cached_property
    def clip(self) -> Path:
        """Two seconds of a fixed camera in a rendered room, Motion JPEG."""
        return render.write_clip(self.folder / "room.avi", render.lived_in(render.room(), FRAMES))

    def convert(self, name: str, *options: str, source: Path | None = None) -> Path:
        """The clip as ffmpeg writes it with these options.

        Raises:
            Skipped: there is no ffmpeg, or it lacks what the options ask for.
        """
        ffmpeg = shutil.which("ffmpeg")
        if ffmpeg is None:
            raise Skipped("no ffmpeg here")
        out = self.folder / name
        command = [ffmpeg, "-v", "error", "-y", "-i", str(source or self.clip), *options]
        done = subprocess.run([*command, str(out)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Skipped(f"ffmpeg cannot make it: {done.stderr.strip().splitlines()[-1:]}")
        return out

    def replay(self, clip: Path, telemetry: Path | None = None, before: str = ":") -> Found:
        """What `framegate replay` makes of a clip."""
        device, session = self.folder / "D.toml", self.folder / "S.toml"
        device.write_text(DEVICE)
        session.write_text(SESSION)
        name = os.path.basename(clip) if str(clip).startswith(str(self.folder)) else str(clip)
        arguments = ["--device", str(device), "--session", str(session)]
        if telemetry is not None:
            arguments += ["--telemetry", str(telemetry)]
        return self.framegate("replay", *arguments, "--", name, before=before)

    def framegate(self, *arguments: str, before: str = ":", timeout_s: float = 120.0) -> Found:
        """What the command comes to, run in the case's own folder.

        Args:
            before: for a shell that then becomes the command: its limits, mounts, variables.
        """
        return _found(*self._run(arguments, before, timeout_s))

    def guard(self, before: str = ":", *more: str, out: str = "out") -> Found:
        """What `framegate run` comes to with a matcher that counts, at a commissioned site."""
        room = self.folder / out / "matcher"
        room.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(room, NOBODY, NOBODY)
        alone = " -P" if sys.version_info >= (3, 11) else ""
        matcher = f"{sys.executable}{alone} -m framegate_client.counter {room}/received.json"
        code, output, errors = self._run(
            (
                *("run", "--source", str(self.site.clip), "--device", str(self.site.device)),
                *("--session", str(self.site.session), "--keys", str(self.site.store.directory)),
                *("--matcher", matcher, "--matcher-write", str(room), "--out", out, *more),
            ),
            before,
            120.0,
        )
        last = errors.strip().splitlines()[-1:]  # it tells what it does before
        return _found(code, output, b"".join(last) if b"Traceback" not in errors else errors)

    @cached_property
    def site(self) -> Site:
        """Keys, signed records and a view for the clip.

        Raises:
            Skipped: there is no face detector here, or a layer of the sandbox is missing.
        """
        try:
            model = asset("centerface.onnx")
        except ModelError as err:
            raise Skipped(str(err)) from err
        if missing():
            raise Skipped("this machine lacks a layer of the matcher's sandbox")
        self.folder.chmod(0o755)  # the matcher's user comes in
        frames = render.lived_in(render.room(), 2 * FRAMES)  # longer than the dwell
        clip = render.write_clip(self.folder / "long.avi", frames)
        return site(self.folder / "site", clip, clip, model)

    def _run(
        self, arguments: Sequence[str], before: str, timeout_s: float
    ) -> tuple[int, bytes, bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self.environment}
        entry = ROOT / "scripts" / "framegate"
        beside = Path(sys.executable).with_name("framegate")
        if beside.exists() and beside.read_bytes() == entry.read_bytes():
            command = [str(beside)]  # as it is installed: an isolated interpreter from the start
        else:
            command = [sys.executable, "-I", "-m", "edge.entry"]
        done = subprocess.Popen(
            ["sh", "-c", f'{before}; exec "$@"', "sh", *command, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            output, errors = done.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(done.pid, signal.SIGKILL)
            done.communicate()
            return -signal.SIGKILL, b"", f"no end within {timeout_s:g} s".encode()
        return done.returncode, output, errors


def _found(code: int, out: bytes, err: bytes) -> Found:
    output, wrong = (text.decode(errors="replace").strip() for text in (out, err))
    lines = wrong.splitlines()
    if code < 0:
        return Found(Outcome.FAULT, f"ended by signal {-code} {wrong}")
    if "Traceback" in wrong:
        return Found(Outcome.FAULT, lines[-1])
    if code == 2:
        one = Outcome.REFUSED if len(lines) == 1 else Outcome.FAULT
        return Found(one, " / ".join(lines))
    if code == 1:
        return Found(Outcome.PARTLY if output or wrong else Outcome.FAULT, f"{output} {wrong}")
    if code == 0:
        return Found(Outcome.JUDGED, output)
    return Found(Outcome.FAULT, f"exit code {code}: {wrong}")
