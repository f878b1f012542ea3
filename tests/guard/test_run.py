"""The whole guard, run for real: which frames a matcher gets, and what is left of a run."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from edge.cameras.layout import Layout
from edge.cameras.opencv import FileCamera
from edge.cameras.source import parse_source
from edge.clock import S
from edge.errors import GuardError
from edge.guard import plan as daemon_plan
from edge.guard.launch import Launch
from edge.guard.supervisor import Guard
from edge.reasons import Reason
from framegate_client.connection import Connection
from tests.support import render
from tests.support.audit_helpers import read_all
from tests.support.guard_runs import frames_through, plan, quiet, released
from tests.support.guards import DEVICE, SESSION, Site

pytestmark = pytest.mark.guard


SCRIPT = """\
import hashlib
import sys

{imports}

cap = {capture}
with open(sys.argv[1], "w") as out:
    while cap.isOpened():
        ok, frame = cap.read()
        if not ok:
            break
        out.write(hashlib.sha256(frame.tobytes()).hexdigest() + "\\n")
cap.release()
"""


def test_an_opencv_script_changed_in_one_line_sees_exactly_the_released_frames(
    kiosk: Site, tmp_path: Path
) -> None:
    """No other frame, each once and in order; the newest eight wait for a reader that is slow."""
    plain, ours = tmp_path / "plain.py", tmp_path / "ours.py"
    plain.write_text(
        SCRIPT.format(imports="import cv2", capture=f'cv2.VideoCapture("{kiosk.clip}")')
    )
    ours.write_text(SCRIPT.format(imports="import edge", capture="edge.VideoCapture(0)"))
    subprocess.run([sys.executable, plain, tmp_path / "all"], check=True, timeout=60)

    with Guard(plan(kiosk, sys.executable, str(ours), str(tmp_path / "seen")), quiet) as guard:
        guard.run()
    decisions, _, _ = guard.recorder.finish()

    every = (tmp_path / "all").read_text().split()
    seen = (tmp_path / "seen").read_text().split()
    rest = iter(given := [every[d.frame] for d in released(decisions)])
    assert all(frame in rest for frame in seen)
    assert len(set(seen)) == len(seen) > len(given) / 2 > 0


@pytest.mark.parametrize("release", ["bracketed", "immediate"])
def test_frames_flow_until_the_cut_and_none_after_it(cut_away: Site, release: str) -> None:
    times = []
    with (
        Guard(plan(cut_away, release=release), quiet) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        while not guard.over:
            guard.turn()
            while (frame := matcher.read(timeout_s=0)) is not None:
                times.append(frame.captured_ns)
        decisions = sorted(guard.recorder.decisions, key=lambda d: d.frame)

    foreign = next(d.captured_ns for d in decisions if Reason.VIEW_FOREIGN in d.reasons)
    assert max(times) < foreign
    passed = [decision.captured_ns for decision in released(decisions)]
    assert times == [at_ns for at_ns in passed if at_ns in times]
    assert len(times) > len(passed) // 2  # on a busy machine the reader misses one now and then


def test_a_matcher_gets_of_each_released_frame_what_the_record_names(kiosk: Site) -> None:
    kiosk.sign(DEVICE + "[matcher.picture]\ncrop = [0.25, 0, 0.75, 1]\ngrey = true\nshrink = 2\n")
    seen = []
    with (
        Guard(plan(kiosk), quiet) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        while not guard.over:
            guard.turn()
            while (frame := matcher.read(timeout_s=0)) is not None:
                seen.append(hashlib.sha256(frame.tobytes()).hexdigest())
        decisions = released(guard.recorder.finish()[0])

    every = []
    for shot in FileCamera(kiosk.clip).shots():
        half = cv2.resize(shot.frame[:, 160:480], (160, 240), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(half, cv2.COLOR_BGR2GRAY)
        every.append(hashlib.sha256(grey.tobytes()).hexdigest())
    assert (matcher.height, matcher.width, matcher.channels) == (240, 160, 1)
    assert seen == [every[d.frame] for d in decisions]
    assert len(seen) > 30


def test_a_form_that_leaves_nothing_of_the_picture_stops_the_start(kiosk: Site) -> None:
    kiosk.sign(DEVICE + "[matcher.picture]\ncrop = [0.5, 0.5, 0.51, 0.51]\n")

    with pytest.raises(GuardError, match=r"leaves 8x6 pixels of the camera's 640x480"):
        Guard(plan(kiosk), quiet).__enter__()


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")
@pytest.mark.parametrize("layout", ["NV12", pytest.param("I420", marks=pytest.mark.long)])
def test_frames_flow_as_a_camera_of_halved_colour_gives_them(
    kiosk: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """The pipeline plays a clip, which no record can allow: that one refusal is taken out."""
    clip = tmp_path / "clip.raw"
    with clip.open("wb") as file:
        for view in render.lived_in(render.room(), 240):
            file.write(render.planar(view, Layout(layout)).tobytes())
    kiosk.sign(
        DEVICE + "[board]\nvirtual = true\n[clock]\nunproven = true\n[capture]\nmax_lag_ms = 400\n"
    )
    monkeypatch.setattr(daemon_plan, "parse_source", lambda _: parse_source("a.avi"))
    sizes = f"format={layout.lower()} width=640 height=480 framerate=30/1"
    played = f"filesrc location={clip} ! rawvideoparse {sizes} ! identity sync=true"
    pipeline = f"gst:{played} ! video/x-raw,format={layout}"
    chosen = replace(plan(kiosk), source=pipeline)
    blocked = frames_through(chosen, lambda seen, decided: len(decided) > 30)
    assert not released(blocked)
    assert Reason.CAM_IDENTITY in blocked[-1].reasons
    monkeypatch.setattr(Launch, "_known", lambda *_: True)

    decisions = frames_through(replace(chosen, audit=tmp_path / "audit"), lambda seen, _: seen > 30)

    odd = {Reason.FRAME_MALFORMED, Reason.MODEL_OUTPUT, Reason.VIEW_FOREIGN, Reason.VIEW_PARTIAL}
    assert not odd.intersection(reason for d in decisions for reason in d.reasons)


def test_a_lane_without_faces_flows_without_view_or_board(kiosk: Site) -> None:
    kiosk.sign(session=SESSION.replace("verify_1_1", "detect"))
    times = []
    with (
        Guard(plan(kiosk), quiet) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        while not guard.over and len(times) <= 30:
            guard.turn()
            while (frame := matcher.read(timeout_s=0)) is not None:
                times.append(frame.captured_ns)

    assert "bridge" not in guard.children
    assert len(times) > 30
    assert times == sorted(times)


def test_the_results_of_a_run_are_complete(kiosk: Site, tmp_path: Path) -> None:
    from edge.guard.results import finish_run

    with Guard(plan(kiosk), quiet) as guard:
        matcher = Connection(*guard.environment.values())
        began = time.monotonic()
        while not guard.over and time.monotonic() - began < 30:
            guard.turn()
        matcher.close()
    summary = finish_run(guard, tmp_path / "out")

    assert summary.audit_verified
    assert summary.frames >= 80
    assert summary.first_pass_s is not None
    assert summary.first_pass_s * S >= 1 * S
    for name in ("decisions.jsonl", "summary.json", "report.html"):
        assert (tmp_path / "out" / name).stat().st_size > 0


@pytest.mark.parametrize(
    "turns", [pytest.param(0, marks=pytest.mark.long), pytest.param(7, marks=pytest.mark.long), 20]
)
def test_a_run_that_is_stopped_counts_as_many_frames_as_its_log(
    kiosk: Site, tmp_path: Path, turns: int
) -> None:
    from edge.guard.results import finish_run

    with Guard(plan(kiosk), quiet) as guard:
        matcher = Connection(*guard.environment.values())
        while len(released(guard.recorder.decisions)) < 5 and not guard.over:
            guard.turn()
        for _ in range(turns):
            guard.turn()
    matcher.close()
    summary = finish_run(guard, tmp_path / "out")
    last = read_all(kiosk.folder / "audit", guard.store.log_verifier())[-1]

    assert not guard.over
    assert last["kind"] == "stop"
    assert last["released"] == summary.passed >= 5
    assert last["frames"] == summary.frames


def test_the_digest_of_a_frame_is_that_of_the_file(footage: Path) -> None:
    shots = FileCamera(footage / "room.avi").shots()

    digests = {hashlib.sha256(shot.frame.tobytes()).hexdigest() for shot in shots}

    assert len(digests) == 90
