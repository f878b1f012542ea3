"""The clips that host and device both replay, and the host's own decisions on them.

A compressed clip does not have the same pictures on every processor: FFmpeg's conversion of colours
rounds otherwise on ARM than on x86-64. Decisions can only be compared where the pictures are the
same, so both sides replay a lossless copy of what this host decoded (HuffYUV, which is quickly
read).

    python -m bench.device.replays CLIP FOLDER

makes such a copy of a clip's first second and a half, for two real computers.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from bench.device import suite
from bench.device.boot import Say
from bench.device.image.cache import writing
from bench.device.image.payload import REPOSITORY
from bench.device.within.pictures import digest, frames
from edge.errors import EnrolmentError, UsageError
from edge.isolation import environment

CODEC = "HFYU"
_SECONDS = 1.5  # of the clip that two real computers replay
_VIEW_FRAMES = 6  # at least, from which a view is enrolled; five are the fewest
_LEAST_OPENING_S = 0.2  # that `--enroll-view` takes
_VIDEO = (".avi", ".mkv", ".mov", ".mp4", ".webm")


@dataclass(frozen=True, slots=True)
class Copy:
    """A lossless copy, the number of its pictures and the SHA-256 of all their bytes."""

    path: Path
    count: int
    sha256: str
    smaller: str  # SHA-256 of what the models and the view see of the first


def demo_clips(*, every: bool) -> tuple[str, ...]:
    """The names of the demo's clips, or of the one that is always replayed."""
    from edge.models.catalogue import WHEELS, Kind

    if not every:
        return suite.SHORT_CLIPS
    return tuple(a.name for w in WHEELS for a in w.assets if a.kind is Kind.CLIP)


def copied(
    clips: Mapping[str, Path], folder: Path, seconds: float | None, say: Say
) -> dict[str, Copy]:
    """Lossless copies of these clips, or of their beginnings, by the clip's name.

    Raises:
        UsageError: one cannot be read.
    """
    found = {}
    for name, clip in clips.items():
        say(f"host: a lossless copy of {name}")
        found[name] = copy(clip, folder, seconds)
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


def views_in(clips: Mapping[str, Path]) -> dict[str, float]:
    """Of the clips that open with a view to enrol, how many seconds do: in others no frame passes.

    Each look costs an emulated device seconds, so as few frames are taken as make a view surely.

    Raises:
        GuardError: the face model is not there.
    """
    from edge.evidence.faces import FaceBoxes
    from edge.models.pull import asset
    from edge.replay.files import enrol_opening

    faces, found = FaceBoxes(asset("centerface.onnx")), {}
    for name, clip in clips.items():
        opening_s = round(max(_VIEW_FRAMES / _rate_hz(clip), _LEAST_OPENING_S), 3)
        with contextlib.suppress(EnrolmentError):
            enrol_opening(clip, opening_s, faces)
            found[name] = opening_s
    return found


def host_decisions(
    rows: Sequence[suite.Row],
    clips: Mapping[str, Path],
    views: Mapping[str, float],
    out: Path,
    say: Say,
) -> dict[str, suite.Decisions]:
    """Replay the same clips here, with the same views; the decisions by the row's name.

    Raises:
        UsageError: a replay failed here.
    """
    found = {}
    for row in rows:
        if row.kind is not suite.Kind.REPLAY:
            continue
        clip = row.name.partition(" ")[2]
        place = (out / "host" / clip).resolve()
        arguments = suite.replay_arguments(str(clips[clip].resolve()), str(place), views.get(clip))
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
        found[row.name] = _decisions((place / "decisions.jsonl").read_bytes())
    return found


def _decisions(written: bytes) -> suite.Decisions:
    verdicts = [json.loads(line)["verdict"] for line in written.splitlines()]
    digest = hashlib.sha256(written).hexdigest()
    return suite.Decisions(digest, len(verdicts), verdicts.count("pass"))


def copy(clip: Path, folder: Path, seconds: float | None = None) -> Copy:
    """Copy a clip, or its first seconds, into a folder; read the copy once to be sure of it.

    Raises:
        UsageError: the clip has no picture, or the copy has others than the clip.
    """
    if not clip.is_file():  # else OpenCV also says so, in its own words
        raise UsageError(f"expected a clip with pictures; got {clip}")
    into, rate_hz = folder / f"{clip.name}.mkv", _rate_hz(clip)
    end = None if seconds is None else max(round(seconds * rate_hz), 1)
    wanted, writer = hashlib.sha256(), None
    for picture in islice(frames(clip), end):
        if writer is None:
            size: Any = picture.shape[1::-1]
            code = cv2.VideoWriter.fourcc(*CODEC)
            writer = cv2.VideoWriter(str(into), cv2.CAP_FFMPEG, code, rate_hz, size)
        writer.write(picture)
        wanted.update(picture.tobytes())
    if writer is None:
        raise UsageError(f"expected a clip with pictures; got {clip}")
    writer.release()
    count, sha256, smaller = digest(frames(into))
    if sha256 != wanted.hexdigest():
        raise UsageError(f"{clip}: its lossless copy has other pictures than the clip")
    return Copy(into, count, sha256, smaller)


def _rate_hz(clip: Path) -> float:
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    try:
        return float(capture.get(cv2.CAP_PROP_FPS)) or 25.0
    finally:
        capture.release()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.device.replays", description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args(words)
    try:
        with writing(str(args.folder)):
            args.folder.mkdir(parents=True, exist_ok=True)
        print(copy(args.clip, args.folder, _SECONDS).path)
    except UsageError as err:
        print(f"replays: {err}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
