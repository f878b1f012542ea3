"""The clips that host and device both replay, and the host's own decisions on them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.device import pictures, suite
from bench.device.boot import Say
from bench.device.image.payload import REPOSITORY
from edge.errors import UsageError
from edge.isolation import environment

_VIDEO = (".avi", ".mkv", ".mov", ".mp4", ".webm")


def demo_clips(*, every: bool) -> tuple[str, ...]:
    """The names of the demo's clips, or of the one that is always replayed."""
    from edge.models.catalogue import WHEELS, Kind

    if not every:
        return suite.SHORT_CLIPS
    return tuple(a.name for w in WHEELS for a in w.assets if a.kind is Kind.CLIP)


def copied(
    clips: Mapping[str, Path], folder: Path, seconds: float | None, say: Say
) -> dict[str, pictures.Copy]:
    """Lossless copies of these clips, or of their beginnings, by the clip's name.

    Raises:
        UsageError: one cannot be read.
    """
    found = {}
    for name, clip in clips.items():
        say(f"host: a lossless copy of {name}")
        found[name] = pictures.copy(clip, folder, seconds)
    return found


def clips_in(folder: Path) -> dict[str, Path]:
    """The clips of a folder by their name, without the folders in it.

    Raises:
        UsageError: there is none.
    """
    found = {path.name: path for path in sorted(folder.glob("*")) if path.suffix.lower() in _VIDEO}
    if not found:
        raise UsageError(
            f"expected --clips as a folder with {', '.join(_VIDEO)} files; got {folder}"
        )
    return found


def host_decisions(
    rows: Sequence[suite.Row], clips: Mapping[str, Path], out: Path, say: Say
) -> dict[str, str]:
    """Replay the same clips here; SHA-256 of each `decisions.jsonl` by the row's name.

    Raises:
        UsageError: a replay failed here.
    """
    found = {}
    for row in rows:
        if row.kind is not suite.Kind.REPLAY:
            continue
        clip = row.name.partition(" ")[2]
        place = (out / "host" / clip).resolve()
        arguments = suite.replay_arguments(str(clips[clip].resolve()), str(place))
        say(f"host: {row.name}")
        done = subprocess.run(
            [sys.executable, "-I", "-m", "edge.entry", *arguments],
            cwd=REPOSITORY,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UsageError(f"the replay of {clip} fails on this host: {last}")
        found[row.name] = hashlib.sha256((place / "decisions.jsonl").read_bytes()).hexdigest()
    return found
