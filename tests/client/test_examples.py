"""The matchers of `examples/` behind a whole guard, in its sandbox: ONNX, C++, GStreamer, dlib."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from edge.models import SCENE
from framegate_client import UsageError
from framegate_client.gst import command
from tests.support.guards import running, site
from tests.support.players import Player

ROOT = Path(__file__).resolve().parents[2]
RUNNER = [sys.executable, "-m", "framegate_client.gst"]
MATCHERS = ROOT / "examples" / "matchers"


class Counts(NamedTuple):
    written: int  # frames
    released: int
    text: str  # what guard and matcher printed


def printed(folder: Path, clip: Path, face_model: Path, matcher: list[str], *more: str) -> str:
    """What a guard and its matcher print while the clip plays."""
    kiosk = site(folder / "site", clip, clip, face_model)
    if os.getuid() == 0:
        for place in (folder.parent.parent, folder.parent, folder):
            place.chmod(0o755)
    with running(kiosk, *more, matcher=shlex.join(matcher)) as run:
        return run.process.communicate(timeout=90)[0]


@pytest.mark.long
@pytest.mark.guard
@pytest.mark.footage
def test_an_onnx_matcher_looks_and_hands_in_results(clip, tmp_path: Path, face_model: Path) -> None:
    pytest.importorskip("onnxruntime")
    matcher = [sys.executable, str(MATCHERS / "onnx_model.py"), str(SCENE)]

    text = printed(tmp_path, clip("single_face.mp4"), face_model, matcher, "--results", "stdout")

    assert "onnx: " in text, text
    (line,) = [line for line in text.splitlines() if "onnx: " in line]
    frames, looks = (int(word) for word in line.split() if word.isdigit())
    assert frames > 10
    assert looks == -(-frames // 5)
    results = [json.loads(line) for line in text.splitlines() if line.startswith('{"subject"')]
    assert len(results) == looks
    assert all(0 < result["score"] <= 1 for result in results)


@pytest.mark.long
@pytest.mark.guard
@pytest.mark.footage
def test_a_matcher_in_cpp_reads_frames_in_the_sandbox(
    clip, tmp_path: Path, face_model: Path
) -> None:
    if shutil.which("c++") is None:
        pytest.skip("no c++ here")
    binary = tmp_path / "matcher"
    source = ROOT / "client" / "examples" / "matcher.cpp"
    built = ["c++", "-O2", "-I", str(ROOT / "client" / "include"), str(source), "-o", str(binary)]
    subprocess.run(built, check=True)

    text = printed(tmp_path, clip("single_face.mp4"), face_model, [str(binary)])

    assert "c++: " in text, text
    assert int(text.partition("c++: ")[2].split()[0]) > 10


def frames_through_gstreamer(folder: Path, clip: Path, view_of: Path, face_model: Path) -> Counts:
    """How many frames a pipeline in the sandbox wrote down, and how many the guard released."""
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("no gst-launch-1.0 here")
    kiosk = site(folder / "site", clip, view_of, face_model)
    if os.getuid() == 0:
        for place in (folder.parent.parent, folder.parent, folder):
            place.chmod(0o755)
    out = kiosk.folder / "out"
    raw = out / "matcher" / "frames.gray"
    pipeline = (
        "framegatesrc ! videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=64,height=64"
    )
    sink = f"! filesink buffer-mode=unbuffered location={raw}"
    with running(kiosk, matcher=shlex.join([*RUNNER, *pipeline.split(), *sink.split()])) as run:
        text = run.process.communicate(timeout=90)[0]
    assert "MATCHER_LOST" not in text
    size = raw.stat().st_size if raw.exists() else 0
    assert size % (64 * 64) == 0, "whole frames only"
    summary = json.loads((run.out / "summary.json").read_text())
    return Counts(size // (64 * 64), summary["passed"], text)


@pytest.mark.guard
@pytest.mark.footage
def test_a_gstreamer_pipeline_gets_released_frames_in_the_sandbox(
    clip, tmp_path: Path, face_model: Path
) -> None:
    room = clip("single_face.mp4")

    counts = frames_through_gstreamer(tmp_path, room, room, face_model)

    assert counts.written > 10, counts.text
    assert counts.written <= counts.released


@pytest.mark.long
@pytest.mark.guard
@pytest.mark.footage
def test_a_gstreamer_pipeline_gets_nothing_where_the_guard_blocks(
    clip, tmp_path: Path, face_model: Path
) -> None:
    room, elsewhere = clip("single_face.mp4"), clip("bikes.mp4")

    counts = frames_through_gstreamer(tmp_path, elsewhere, room, face_model)

    assert (counts.written, counts.released) == (0, 0), counts.text


def test_every_frame_goes_through_the_real_gst_launch(tmp_path: Path) -> None:
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("no gst-launch-1.0 here")
    frames = [np.full((24, 32, 3), 10 * i, np.uint8) for i in range(5)]
    out = tmp_path / "out.raw"
    with Player(tmp_path, frames) as player:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "framegate_client.gst",
                f"framegatesrc ! filesink location={out}",
            ],
            cwd=ROOT,
            env={**os.environ, **player.environment},
        )
        player.begin_when_mapped(process.pid)

        assert process.wait(60) == 0
    assert out.read_bytes() == b"".join(frame.tobytes() for frame in frames)


def test_a_pipeline_that_cannot_run_is_one_line_and_its_code(tmp_path: Path) -> None:
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("no gst-launch-1.0 here")
    with Player(tmp_path, [np.zeros((24, 32, 3), np.uint8)], again=True) as player:
        player.begin.set()
        done = subprocess.run(
            [*RUNNER, "framegatesrc ! nosuchelement"],
            cwd=ROOT,
            env={**os.environ, **player.environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert done.returncode != 0
    assert "the pipeline ended before the stream" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("pipeline", ["", "framegatesrc", "framegatesrc !", "!"])
def test_a_pipeline_of_the_source_alone_is_refused(pipeline: str) -> None:
    class Plain:
        channels, height, width, rate_hz = 3, 24, 32, 0.0

    with pytest.raises(UsageError, match="expected a pipeline"):
        command(Plain(), pipeline)  # type: ignore[arg-type]
    assert command(Plain(), "framegatesrc ! fakesink")[-2:] == ["!", "fakesink"]  # type: ignore[arg-type]


@pytest.mark.guard
@pytest.mark.footage
@pytest.mark.slow
def test_face_recognition_runs_behind_the_guard_with_one_line_changed(clip, tmp_path: Path) -> None:
    if not os.environ.get("FRAMEGATE_PACKAGES"):
        pytest.skip("fetches 110 MB of packages: set FRAMEGATE_PACKAGES=1")
    if os.getuid() == 0:
        for place in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
            place.chmod(0o755)
    command = [sys.executable, str(MATCHERS / "try_face_recognition.py")]
    command += [str(Path(sys.executable).with_name("framegate")), str(clip("single_face.mp4"))]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=900)
    if done.returncode == 3:
        pytest.skip("the packages of face_recognition cannot be had here")

    (line,) = [line for line in done.stdout.splitlines() if "face_recognition: " in line]
    matches, compared = (int(word) for word in line.split() if word.isdigit())
    assert matches == compared > 0
