"""The quickstart: its records are valid and its commands do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.cli import main
from edge.commissioning.records import load_device, load_session
from edge.reasons import Family
from edge.report.record import Outcome, decisions_in

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
WAITED_S = 0.6  # frames captured this long after the dwell must pass


def replay(clip, out: Path, name: str, *, telemetry: bool = True) -> int:
    command = ["replay", str(clip(name)), "--out", str(out)]
    command += ["--device", str(EXAMPLES / "device.toml")]
    command += ["--session", str(EXAMPLES / "session.toml")]
    command += ["--enroll-view", f"{clip('single_face.mp4')}:1"]
    if telemetry:
        command += ["--telemetry", str(EXAMPLES / "still.csv")]
    return main(command)


@pytest.mark.footage
def test_the_person_at_the_till_passes_after_the_dwell(clip, tmp_path, capsys):
    assert replay(clip, tmp_path, "single_face.mp4") == 0

    decisions = decisions_in((tmp_path / "decisions.jsonl").read_bytes(), "decisions.jsonl")
    after_ns = (load_device(EXAMPLES / "device.toml").dwell_s + WAITED_S) * 1e9
    late = [d.verdict for d in decisions if d.captured_ns >= after_ns]
    assert late.count(Outcome.PASS) >= 0.95 * len(late) > 0
    assert main(["audit", "verify", str(tmp_path / "audit")]) == 0


@pytest.mark.footage
def test_the_moving_car_passes_nothing_and_only_the_picture_says_why(clip, tmp_path):
    assert replay(clip, tmp_path, "carphone_pristine.mp4") == 0

    decisions = decisions_in((tmp_path / "decisions.jsonl").read_bytes(), "decisions.jsonl")
    assert {d.verdict for d in decisions} == {Outcome.BLOCK}
    assert {r.family for d in decisions for r in d.reasons} == {Family.VISION}


@pytest.mark.footage
def test_without_telemetry_nothing_passes(clip, tmp_path):
    assert replay(clip, tmp_path, "single_face.mp4", telemetry=False) == 0

    decisions = decisions_in((tmp_path / "decisions.jsonl").read_bytes(), "decisions.jsonl")
    assert {d.verdict for d in decisions} == {Outcome.BLOCK}
    assert Family.BOARD in {r.family for d in decisions for r in d.reasons}


def test_the_example_records_load():
    device = load_device(EXAMPLES / "device.toml")

    assert load_session(EXAMPLES / "session.toml").operation in device.lanes


def test_the_records_printed_in_the_design_are_valid(tmp_path):
    text = (ROOT / "docs" / "design.md").read_text()
    block = re.search(r"```toml\n(.*?)```", text, flags=re.S)
    assert block is not None
    left, right = [], []
    for line in block[1].splitlines():
        left.append(line[:39])
        right.append(line[39:])
    device, session = tmp_path / "device.toml", tmp_path / "session.toml"
    lane = next(i for i, line in enumerate(left) if line.startswith("[operator]"))
    device.write_text("\n".join(left))
    session.write_text("\n".join(right[:lane]))

    assert load_session(session).operation in load_device(device).lanes
