"""Replay: the same rules in virtual time, on footage, with the same answer every time."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli import main
from edge.errors import RecordError
from edge.reasons import Family, Reason
from edge.report.record import FrameDecision, Outcome, SceneRecord, decisions_in
from tests.support import render
from tests.support.guards import DEVICE, SESSION
from tests.support.parts import long

pytestmark = pytest.mark.slow

AFTER_NS = 600_000_000
Play = Callable[..., SceneRecord]


def good_telemetry(path: Path, seconds: float = 25.0, **changed: str) -> Path:
    """A docked, untouched, still board at 50 Hz, with the noise a sensor has."""
    rng = random.Random(7)
    header = "t_s,dock,dock_id,tamper,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s,"
    header += "accel_x_m_s2,accel_y_m_s2,accel_z_m_s2"
    lines = [header]
    for i in range(round(seconds * 50)):
        gyro = [f"{rng.gauss(0, 0.002):.5f}" for _ in range(3)]
        accel = [f"{rng.gauss(g, 0.02):.4f}" for g in (0, 0, 9.81)]
        row = {"dock": "1", "dock_id": "D-0017", "tamper": "0", **changed}
        lines.append(",".join([f"{i / 50:.3f}", *row.values(), *gyro, *accel]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def play(tmp_path: Path, face_model: Path) -> Play:
    """Replay a clip with everything but the picture forged to look perfect."""
    device, session = tmp_path / "D.toml", tmp_path / "S.toml"
    device.write_text(DEVICE)
    session.write_text(SESSION)
    telemetry = good_telemetry(tmp_path / "board.csv")

    def run(clip: Path, view: Path | None, **changed: object) -> SceneRecord:
        from edge.replay.files import Job, replay

        job = Job(
            clip=clip,
            device=device,
            session=session,
            telemetry=(telemetry,),
            enroll_view=str(view) if view is not None else None,
        )
        for key, value in changed.items():
            object.__setattr__(job, key, value)
        return replay(job, say=lambda line: None)

    return run


def causes(record: SceneRecord) -> set[Reason]:
    return {reason for decision in record.decisions for reason in decision.reasons}


def share_passed_after_dwell(decisions: list[FrameDecision], dwell_s: float) -> float:
    due = [d for d in decisions if d.captured_ns >= dwell_s * 1e9 + AFTER_NS]
    return sum(d.verdict is Outcome.PASS for d in due) / len(due)


FOREIGN = [
    "dash_freeway_traffic_a.mp4",
    *long("static_mall_atrium.mp4"),
    *long("handheld_pan_street_people.mp4"),
    *long("static_times_square_crowd.mp4"),
]


@pytest.mark.parametrize("name", FOREIGN)
def test_with_all_else_forged_only_vision_blocks_and_nothing_passes(
    name: str, data_dir: Path, play: Play
) -> None:
    video = data_dir / "video"

    record = play(video / name, video / "webcam_single_man_study.mp4")

    assert record.summary.passed == 0
    assert {reason.family for reason in causes(record)} == {Family.VISION}


def test_the_twin_with_its_own_view_passes(data_dir: Path, play: Play) -> None:
    clip = data_dir / "video" / "webcam_single_man_study.mp4"

    record = play(clip, clip, dwell_s=3.0)

    assert share_passed_after_dwell(list(record.decisions), 3.0) >= 0.95


def test_the_kiosk_passes_and_a_face_in_a_car_does_not(
    clip: Callable[[str], Path], play: Play
) -> None:
    kiosk = clip("single_face.mp4")

    own = play(kiosk, kiosk)
    car = play(clip("carphone_pristine.mp4"), kiosk)

    assert share_passed_after_dwell(list(own.decisions), 1.0) >= 0.95
    assert car.summary.passed == 0
    assert {reason.family for reason in causes(car)} == {Family.VISION}


def test_frames_pass_until_the_cut_and_none_after_it(
    clip: Callable[[str], Path], play: Play
) -> None:
    record = play(clip("face_noface.mov"), clip("single_face.mp4"))

    passed = [d.frame for d in record.decisions if d.verdict is Outcome.PASS]
    assert passed
    assert max(passed) <= 72


@pytest.mark.parametrize("release", ["bracketed", *long("immediate")])
def test_a_rendered_room_passes_and_a_street_does_not(
    release: str, play: Play, tmp_path: Path
) -> None:
    room = render.write_clip(tmp_path / "room.avi", render.lived_in(render.room(), 60))
    street = render.write_clip(tmp_path / "street.avi", render.drive(30))

    own = play(room, room, release=release)
    foreign = play(street, room, release=release)

    assert share_passed_after_dwell(list(own.decisions), 1.0) >= 0.95
    assert foreign.summary.passed == 0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"dock": "0"}, Reason.NOT_DOCKED),
        *long(({"dock_id": "D-0001"}, Reason.DOCK_SITE), ({"tamper": "1"}, Reason.TAMPER)),
    ],
)
def test_the_right_picture_without_the_right_board_is_blocked(
    changed: dict[str, str], reason: Reason, play: Play, room_use: Path, tmp_path: Path
) -> None:
    telemetry = good_telemetry(tmp_path / "other.csv", **changed)

    record = play(room_use, room_use, telemetry=(telemetry,))

    assert record.summary.passed == 0
    assert reason in causes(record)


@pytest.fixture(scope="module")
def room_use(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("use")
    return render.write_clip(folder / "room.avi", render.lived_in(render.room(), 60))


def test_without_telemetry_or_view_everything_is_blocked(play: Play, room_use: Path) -> None:
    blind = play(room_use, None)
    mute = play(room_use, room_use, telemetry=())

    assert blind.summary.passed == 0
    assert Reason.NO_VIEW in causes(blind)
    assert mute.summary.passed == 0
    assert Reason.SENSOR_SILENT in causes(mute)


def test_two_replays_write_the_same_decisions(play: Play, room_use: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        play(room_use, room_use, out=tmp_path / name)

    one = (tmp_path / "one" / "decisions.jsonl").read_bytes()
    assert one == (tmp_path / "two" / "decisions.jsonl").read_bytes()
    assert len(decisions_in(one, "decisions.jsonl")) == 60


def test_a_replay_leaves_a_summary_a_report_and_a_log_that_verifies(
    play: Play, room_use: Path, tmp_path: Path
) -> None:
    record = play(room_use, room_use, out=tmp_path / "out")

    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["frames"] == 60
    assert summary["passed"] == record.summary.passed > 0
    assert summary["audit_verified"] is True
    assert summary["enrolment"] == "unenforced"
    assert summary["first_pass_s"] >= 1.0
    verify = [sys.executable, "-m", "edge.cli", "audit", "verify", str(tmp_path / "out" / "audit")]
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 0


def test_waiting_is_named_only_where_there_is_no_cause(play: Play, room_use: Path) -> None:
    record = play(room_use, room_use)

    for decision in record.decisions:
        waiting = {r.family is Family.WAITING for r in decision.reasons}
        assert len(waiting) <= 1


def test_telemetry_wholly_outside_the_clip_is_refused(
    play: Play, room_clip: Path, tmp_path: Path
) -> None:
    """A board's uptime in place of the clip's time: nothing of it could be used."""
    inside = good_telemetry(tmp_path / "inside.csv", seconds=3.0)
    header, *rows = inside.read_text().splitlines()
    moved = [f"{86400 + float(r.partition(',')[0]):.3f},{r.partition(',')[2]}" for r in rows]
    outside = tmp_path / "outside.csv"
    outside.write_text("\n".join([header, *moved]) + "\n")

    with pytest.raises(RecordError, match=r"column t_s runs from 86400 to .* outside the clip"):
        play(room_clip, room_clip, telemetry=(outside,))
    assert play(room_clip, room_clip, telemetry=(inside,)).summary.frames == 90


def test_a_damaged_recording_is_counted_and_the_exit_code_says_so(
    room_clip: Path, face_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "D.toml").write_text("\ufeff" + DEVICE)  # a mark as some editors write it
    (tmp_path / "S.toml").write_text(SESSION)
    damaged = tmp_path / "damaged.avi"
    data = bytearray(room_clip.read_bytes())
    start = data.index(b"00dc", len(data) // 2) + 8  # one picture in the middle
    data[start : start + 5000] = bytes(5000)
    damaged.write_bytes(data)

    def judge(clip: Path) -> tuple[int, str]:
        records = ["--device", str(tmp_path / "D.toml"), "--session", str(tmp_path / "S.toml")]
        code = main(["replay", str(clip), *records])
        return code, capsys.readouterr().out

    code, output = judge(damaged)
    assert code == 1
    given = re.search(r"not all of the recording was judged: damaged: (\d+) of 90 pictures", output)
    assert given is not None
    assert output.startswith(f"{given[1]} frames: ")
    assert int(given[1]) < 90
    code, output = judge(room_clip)
    assert code == 0
    assert "90 frames" in output
    assert "not all" not in output
