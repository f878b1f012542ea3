"""`framegate camera mask`: numbers in, record lines and a preview out; or one line, exit code 2."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import main
from edge.commissioning.records import parse_device

CORNER = ["0,0", "0.5,0", "0.5,0.5", "0,0.5"]


@pytest.fixture
def still(tmp_path: Path) -> Path:
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), np.full((96, 128, 3), (10, 120, 200), np.uint8))
    return path


def test_the_lines_are_a_record_and_the_preview_shows_what_is_left(
    still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "preview.png"

    code = main(["camera", "mask", "--still", str(still), "--polygon", *CORNER, "--out", str(out)])

    assert code == 0
    lines = capsys.readouterr().out
    device = parse_device(f'camera = "fixed"\n{lines}'.encode(), Path("D.toml"))
    assert device.masks.polygons == (((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)),)
    shown = cv2.imread(str(out))
    assert tuple(shown[5, 5]) == (0, 0, 0)
    assert tuple(shown[90, 120]) == (10, 120, 200)
    assert out.stat().st_mode & 0o077 == 0  # it shows the camera's picture


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--polygon", "0,0", "1,1"], "3 to 32 corners, got 2"),
        (["--polygon", "0,0", "2,0", "1,1"], "must lie in 0 to 1"),
        (["--polygon", "0,0", "1,1", "1,0", "0,1"], "crosses itself"),
        (["--polygon", "0,0", "1,0", "1,1", "0,1"], "cover the whole picture"),
        (["--polygon", "0;0", "1,0", "1,1"], "expected a corner as X,Y, got '0;0'"),
        (["--polygon", *CORNER, "--still", "none.png"], "none.png: cannot be read"),
        (["--polygon", *CORNER, "--out", "/none/p.png"], "cannot write /none/p.png"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_leaves_nothing(
    still: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    given = [] if "--still" in arguments else ["--still", str(still)]
    code = main(["camera", "mask", *given, *arguments])

    printed = capsys.readouterr()
    assert code == 2
    assert re.fullmatch(r"framegate: .*\n", printed.err)
    assert named in printed.err
    assert [path.name for path in tmp_path.iterdir()] == ["still.png"]


def test_a_file_that_is_no_picture_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "odd.png"
    odd.write_bytes(b"no picture")

    assert main(["camera", "mask", "--still", str(odd), "--polygon", *CORNER]) == 2
    assert "expected a picture, PNG or JPEG" in capsys.readouterr().err
