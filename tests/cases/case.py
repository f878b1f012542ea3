"""One case: how its input is made, what is right, and how it is found out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path

from tests.support import render
from tests.support.guards import DEVICE, SESSION

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

    def replay(self, clip: Path, telemetry: Path | None = None) -> Found:
        """What `framegate replay` makes of a clip."""
        device, session = self.folder / "D.toml", self.folder / "S.toml"
        device.write_text(DEVICE)
        session.write_text(SESSION)
        name = os.path.basename(clip) if str(clip).startswith(str(self.folder)) else str(clip)
        arguments = ["--device", str(device), "--session", str(session)]
        if telemetry is not None:
            arguments += ["--telemetry", str(telemetry)]
        return self.framegate("replay", *arguments, "--", name)

    def framegate(self, *arguments: str, timeout_s: float = 120.0) -> Found:
        """What the command comes to, run in the case's own folder."""
        root = str(Path(__file__).resolve().parents[2])
        environment = {**os.environ, "PYTHONPATH": root, **self.environment}
        command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-m", "edge.cli"]
        try:
            done = subprocess.run(
                [*command, *arguments],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Found(Outcome.FAULT, f"no end within {timeout_s:g} s")
        return _found(done.returncode, done.stdout, done.stderr)


def _found(code: int, out: bytes, err: bytes) -> Found:
    output, wrong = (text.decode(errors="replace").strip() for text in (out, err))
    lines = wrong.splitlines()
    if code < 0:
        return Found(Outcome.FAULT, f"ended by signal {-code}")
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
