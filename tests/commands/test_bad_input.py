"""Bad input gets one clear line and exit code 2, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.commissioning.records import load_device, load_session
from edge.errors import RecordError
from tests.support import render
from tests.support.guards import DEVICE, SESSION

Replay = Callable[..., tuple[int, str]]


@pytest.fixture
def replay(tmp_path: Path, capsys: pytest.CaptureFixture[str], face_model: Path) -> Replay:
    """`framegate replay` with good records unless told otherwise: (exit code, stderr)."""

    def run(clip: Path, *arguments: str, device: str = DEVICE, session: str = SESSION):  # type: ignore[no-untyped-def]
        (tmp_path / "D.toml").write_text(device)
        (tmp_path / "S.toml").write_text(session)
        out = tmp_path / "out"
        command = ["replay", str(clip), "--device", str(tmp_path / "D.toml")]
        command += ["--session", str(tmp_path / "S.toml"), "--out", str(out), *arguments]
        code = main(command)
        assert not out.exists(), "something was left behind"
        return code, capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("short")
    return render.write_clip(folder / "short.avi", render.lived_in(render.room(), 6))


def one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("framegate: ")
    return lines[0]


def test_a_missing_clip_is_named(replay: Replay, tmp_path: Path) -> None:
    code, output = replay(tmp_path / "none.mp4")

    assert code == 2
    assert "none.mp4" in one_line(output)


@pytest.mark.parametrize("content", [b"", b"not a video at all", bytes(5000)])
def test_a_file_that_is_no_video_is_named(replay: Replay, tmp_path: Path, content: bytes) -> None:
    clip = tmp_path / "odd.mp4"
    clip.write_bytes(content)

    code, output = replay(clip)

    assert code == 2
    assert "odd.mp4" in one_line(output)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (DEVICE + "\n[peeple]\nmax = 1\n", "unknown key 'peeple'"),
        (DEVICE.replace('"fixed"', '"bodyworn"'), "body_worn"),
        (DEVICE.replace("dwell_s = 1", "dwell_s = 0"), "1 to 30"),
        (DEVICE.replace("max = 1", 'max = "one"'), "number"),
        (DEVICE.replace('"detect"', '"detekt"'), "detect"),
        ("camera = ", "not TOML"),
        (DEVICE.replace('camera = "fixed"', ""), "camera is missing"),
        ('[view]\nfingerprint = "none.view"\n', "camera is missing"),
    ],
)
def test_a_bad_device_record_names_key_and_allowed_values(
    replay: Replay, short_clip: Path, device: str, expected: str
) -> None:
    code, output = replay(short_clip, device=device)

    assert code == 2
    assert "D.toml" in one_line(output)
    assert expected in output


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (SESSION + 'colour = "red"\n', "unknown key 'colour'"),
        (SESSION.replace('"valid"', '"perhaps"'), "notice_with_opt_out"),
        (SESSION.replace("true", '"yes"'), "true or false"),
    ],
)
def test_a_bad_session_claim_names_key_and_allowed_values(
    replay: Replay, short_clip: Path, session: str, expected: str
) -> None:
    code, output = replay(short_clip, session=session)

    assert code == 2
    assert "S.toml" in one_line(output)
    assert expected in output


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("dock,tamper\n1,0\n", "t_s"),
        ("t_s,gyro_x_deg\n0,1\n", "gyro_x_deg"),
        ("t_s,dock\n1,1\n0,1\n", "board.csv:3"),
        ("t_s,dock\n0,maybe\n", "dock"),
    ],
)
def test_bad_telemetry_names_column_or_line(
    replay: Replay, short_clip: Path, tmp_path: Path, rows: str, expected: str
) -> None:
    telemetry = tmp_path / "board.csv"
    telemetry.write_text(rows)

    code, output = replay(short_clip, "--telemetry", str(telemetry))

    assert code == 2
    assert "board.csv" in one_line(output)
    assert expected in output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--dwell", "0.2"), "--dwell"),
        (("--enroll-view", "none.mp4"), "none.mp4"),
        (("--enroll-view", "clip.mp4:soon"), "CLIP[:SECONDS]"),
    ],
)
def test_a_bad_argument_is_named(
    replay: Replay, short_clip: Path, arguments: tuple[str, ...], expected: str
) -> None:
    code, output = replay(short_clip, *arguments)

    assert code == 2
    assert expected in one_line(output)


@pytest.mark.slow
def test_a_plain_view_is_refused_with_its_counts(replay: Replay, tmp_path: Path) -> None:
    flat = np.full((360, 640, 3), 90, np.uint8)
    clip = render.write_clip(tmp_path / "flat.avi", [flat] * 40)

    code, output = replay(clip, "--enroll-view", str(clip))

    assert code == 2
    assert "150" in one_line(output)


@pytest.mark.slow
def test_a_clip_shorter_than_the_dwell_is_a_warning(
    short_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], face_model: Path
) -> None:
    (tmp_path / "D.toml").write_text(DEVICE)
    (tmp_path / "S.toml").write_text(SESSION)

    command = ["replay", str(short_clip), "--device", str(tmp_path / "D.toml")]
    command += ["--session", str(tmp_path / "S.toml")]
    code = main(command)

    assert code == 0
    assert "less than the dwell" in capsys.readouterr().err


def test_records_are_read_as_written(tmp_path: Path) -> None:
    (tmp_path / "D.toml").write_text(DEVICE + '[view]\nfingerprint = "a.view"\n')
    (tmp_path / "S.toml").write_text(SESSION)

    device, session = load_device(tmp_path / "D.toml"), load_session(tmp_path / "S.toml")

    assert device.fingerprint == tmp_path / "a.view"
    assert device.people.max == 1
    assert session.active_involvement


@pytest.mark.parametrize("zone", ["[0, 0, 1]", "[0.5, 0, 0.5, 1]", "[0, 0, 2, 1]", '"all"'])
def test_a_zone_is_a_rectangle(tmp_path: Path, zone: str) -> None:
    (tmp_path / "D.toml").write_text(DEVICE + f"zone = {zone}\n")

    with pytest.raises(RecordError, match="left, top, right, bottom"):
        load_device(tmp_path / "D.toml")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--source", "x.mp4", "--device", "D", "--session", "S", "--keys", "/none"],
        ["audit", "verify", "/none"],
        ["explain", "NO_SUCH_CODE"],
        ["camera", "enroll", "--source", "/none.mp4", "--out", "x.view", "--keys", "/none"],
    ],
)
def test_other_commands_say_what_is_missing(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(arguments)

    assert code == 2
    one_line(capsys.readouterr().err)


def test_a_file_in_the_place_of_the_results_is_named(
    short_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], face_model: Path
) -> None:
    (tmp_path / "D.toml").write_text(DEVICE)
    (tmp_path / "S.toml").write_text(SESSION)
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/out"):
        command = ["replay", str(short_clip), "--device", str(tmp_path / "D.toml")]
        command += ["--session", str(tmp_path / "S.toml"), "--out", str(tmp_path / place)]

        assert main(command) == 2
        assert "expected a folder" in one_line(capsys.readouterr().err)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
def test_a_report_that_no_replay_wrote_is_not_overwritten(
    short_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], face_model: Path
) -> None:
    (tmp_path / "D.toml").write_text(DEVICE)
    (tmp_path / "S.toml").write_text(SESSION)
    out = tmp_path / "mine"
    out.mkdir()
    (out / "report.html").write_text("mine")
    command = ["replay", str(short_clip), "--device", str(tmp_path / "D.toml")]
    command += ["--session", str(tmp_path / "S.toml"), "--out", str(out)]

    assert main(command) == 2
    assert "report.html" in one_line(capsys.readouterr().err)
    assert (out / "report.html").read_text() == "mine"

    (out / "report.html").unlink()
    assert main(command) == 0
    assert main(command) == 0, "its own results may be replaced"


def test_columns_that_are_no_sensor_are_named(
    short_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], face_model: Path
) -> None:
    (tmp_path / "D.toml").write_text(DEVICE)
    (tmp_path / "S.toml").write_text(SESSION)
    (tmp_path / "board.csv").write_text("t_s,dock,tampr\n0,1,0\n")
    command = ["replay", str(short_clip), "--device", str(tmp_path / "D.toml")]
    command += ["--session", str(tmp_path / "S.toml"), "--telemetry", str(tmp_path / "board.csv")]

    assert main(command) == 0
    assert "no sensor is called tampr" in capsys.readouterr().err


@pytest.mark.parametrize("mebibytes", [60, 400])
def test_too_little_memory_for_pictures_is_one_line_before_any_library_fails(
    mebibytes: int,
) -> None:
    command = [sys.executable, "-m", "edge.cli", "replay", "c.mp4", "--device", "D", "--session"]
    limited = ["sh", "-c", f'ulimit -v {mebibytes << 10}; exec "$@"', "sh", *command, "S"]

    done = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert done.stderr.startswith("framegate: too little memory: expected a limit of at least 1024")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_memory_enough_is_asked_no_further(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge.cli", "replay", str(tmp_path / "c.mp4")]
    limited = ["sh", "-c", 'ulimit -v 2097152; exec "$@"', "sh", *command]

    done = subprocess.run(
        [*limited, "--device", "D", "--session", "S"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert "memory" not in done.stderr
