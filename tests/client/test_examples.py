"""The matchers of `examples/` behind a whole guard, in its sandbox: ONNX, C++, GStreamer, dlib."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from edge.models.pull import assets_dir
from edge.sandbox.spec import missing
from framegate_client import UsageError
from framegate_client.gst import command
from tests.support.guards import running, site
from tests.support.players import Player
from tests.support.sandboxes import let_others_in

ROOT = Path(__file__).resolve().parents[2]
RUNNER = [sys.executable, "-m", "framegate_client.gst"]
MATCHERS = ROOT / "examples" / "matchers"


class Counts(NamedTuple):
    written: int  # frames
    released: int
    text: str  # what guard and matcher printed


@pytest.fixture(scope="module")
def try_matchers(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """Runs the example script on the demo clip; what it printed below each kind of matcher."""

    def run(clip: Path, *more: str) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("matchers")
        if os.getuid() == 0:
            let_others_in(folder)
        script = [sys.executable, str(MATCHERS / "try_matchers.py")]
        script += [str(Path(sys.executable).with_name("framegate")), str(clip), str(folder)]
        script += ["--keep", str(assets_dir()), *more]
        script += [word for layer in missing() for word in ("--without", layer.value)]
        out = folder / "printed"
        with out.open("w") as printed:
            done = subprocess.run(script, stdout=printed, stderr=printed, timeout=900)
        parts = re.split(r"^== (\w+)\n", out.read_text(), flags=re.M)
        assert done.returncode == 0, parts
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    return run


@pytest.fixture(scope="module")
def tried(
    request: pytest.FixtureRequest,
    clip,
    face_model: Path,
    try_matchers: Callable[..., dict[str, str]],
) -> dict[str, str]:
    """Each kind asked for, from a fresh virtual environment and `framegate init` to its output."""
    asked = {
        item.callspec.params["kind"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
        if "tried" in item.fixturenames  # the name of a parameter elsewhere
    }
    return try_matchers(clip("single_face.mp4"), *sorted(asked))


COUNTS = {  # the line that a matcher prints, from its own frames alone
    "face_recognition": r"face_recognition: (?P<word>a|no) match, \d",  # one a face
    "onnx": r"onnx: (?P<frames>\d+) frames, (?P<matches>\d+) of (?P<compared>\d+) looks match",
    "cpp": r"c\+\+: (?P<frames>\d+) frames, mean \d",
    "gstreamer": r"gstreamer: (?P<frames>\d+) frames",
}


def counted(kind: str, text: str) -> dict[str, int]:
    """What a matcher printed: its frames, or the faces that it compared and matched."""
    lines = [line.groupdict() for line in re.finditer(f"^{COUNTS[kind]}", text, flags=re.M)]
    if kind == "face_recognition":
        return {"matches": sum(x["word"] == "a" for x in lines), "compared": len(lines)}
    (line,) = lines
    return {name: int(value) for name, value in line.items()}


@pytest.mark.guard
@pytest.mark.footage
@pytest.mark.slow
@pytest.mark.timeout(960)
@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.long] if k == "gstreamer" else []) for k in COUNTS]
)
def test_each_kind_of_matcher_goes_from_a_clone_to_its_matches(
    kind: str, tried: dict[str, str]
) -> None:
    text = tried[kind]
    if (why := re.search(r"^skipped: (.*)", text, flags=re.M)) is not None:
        pytest.skip(why[1])

    found, results = counted(kind, text), text.count('\n{"subject"')
    (released,) = re.findall(r"^\d+ frames: (\d+) released", text, flags=re.M)
    assert 10 < found.get("frames", 11) <= int(released)
    assert found.get("matches") == found.get("compared") != 0
    assert all(json.loads(row)["subject"] for row in re.findall(r'^{"subject".*', text, flags=re.M))
    assert results <= found.get("compared", 0)
    assert bool(results) is (kind in ("face_recognition", "onnx"))
    assert "Traceback" not in text


@pytest.mark.guard
@pytest.mark.footage
@pytest.mark.slow
@pytest.mark.timeout(960)
@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[] if k == "cpp" else pytest.mark.long) for k in COUNTS]
)
def test_each_kind_of_matcher_gets_nothing_where_the_policy_forbids_it(
    kind: str, clip, face_model: Path, try_matchers: Callable[..., dict[str, str]]
) -> None:
    text = try_matchers(clip("single_face.mp4"), "--consent", "none", kind)[kind]
    if (why := re.search(r"^skipped: (.*)", text, flags=re.M)) is not None:
        pytest.skip(why[1])

    assert re.search(r"^[1-9]\d* frames: 0 released", text, flags=re.M), text
    assert set(counted(kind, text).values()) == {0}
    assert '{"subject"' not in text


def frames_through_gstreamer(folder: Path, clip: Path, view_of: Path, face_model: Path) -> Counts:
    """How many frames a pipeline in the sandbox wrote down, and how many the guard released."""
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("no gst-launch-1.0 here")
    kiosk = site(folder / "site", clip, view_of, face_model)
    if os.getuid() == 0:
        let_others_in(folder)
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


@pytest.mark.long
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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("clip", "folder", "says"),
    [
        ("none.mp4", "new", "none.mp4: expected a recording"),
        ("clip.mp4", "clip.mp4", "this is a file"),
        ("clip.mp4", "used", "there is a site in it"),
    ],
)
def test_what_cannot_be_tried_is_said_before_anything_is_downloaded(
    tmp_path: Path, clip: str, folder: str, says: str
) -> None:
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "used" / "site").mkdir(parents=True)
    script = [sys.executable, str(MATCHERS / "try_matchers.py"), sys.executable]

    done = subprocess.run(
        [*script, str(tmp_path / clip), str(tmp_path / folder)], capture_output=True, text=True
    )

    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert done.stdout == ""
