"""Host and device compare decisions on the same pictures, whatever their decoders round."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.device import replays, site, suite
from bench.device.within import pictures
from edge.cli import main
from edge.errors import UsageError
from tests.support.render import write_clip

_FRAMES, _RATE_HZ = 12, 12.0


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    noise = (rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(_FRAMES))
    return write_clip(tmp_path / "a.avi", noise, _RATE_HZ)


def _copy(clip: Path, folder: Path, seconds: float | None = None) -> replays.Copy:
    folder.mkdir(exist_ok=True)
    return replays.copy(clip, folder, seconds)


def test_a_copy_has_every_byte_of_every_picture(clip: Path, tmp_path: Path) -> None:
    copy = _copy(clip, tmp_path / "copies")

    assert copy.count == _FRAMES
    for ours, theirs in zip(pictures.frames(copy.path), pictures.frames(clip), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_copy_can_be_of_the_beginning(clip: Path, tmp_path: Path) -> None:
    assert _copy(clip, tmp_path / "copies", 0.25).count == round(0.25 * _RATE_HZ)


def test_two_real_computers_get_a_copy_by_a_command(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a" / "copies"

    assert replays.main([str(clip), str(folder)]) == 0

    copied = Path(capsys.readouterr().out.strip())
    assert copied.parent == folder
    assert sum(1 for _ in pictures.frames(copied)) == _FRAMES
    assert replays.main([str(tmp_path / "none.avi"), str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "expected a clip with pictures; got" in error


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(b"no clip")

    with pytest.raises(UsageError, match="expected a clip with pictures; got"):
        replays.copy(path, tmp_path)


def test_the_device_says_how_its_own_decoding_differs(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = _copy(clip, tmp_path / "copies")

    assert pictures.main([str(clip), str(copy.path), copy.sha256, copy.smaller]) == 0
    assert "decodes to the same bytes" in capsys.readouterr().out

    shifted = (np.where(p < 254, p + 2, p) for p in pictures.frames(copy.path))
    other = write_clip(tmp_path / "b.mkv", shifted, _RATE_HZ)
    assert pictures.main([str(other), str(copy.path), copy.sha256, copy.smaller]) == 0
    assert "of values, by 2 at most" in capsys.readouterr().out


def test_other_pictures_than_the_hosts_fail(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = _copy(clip, tmp_path / "copies")

    assert pictures.main([str(clip), str(copy.path), "0" * 64, copy.smaller]) == 1
    assert "other pictures than on the host" in capsys.readouterr().out


def test_pictures_that_become_others_when_made_smaller_fail(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = _copy(clip, tmp_path / "copies")
    monkeypatch.setattr(cv2, "INTER_LINEAR_EXACT", cv2.INTER_NEAREST)  # another rounding

    assert pictures.main([str(clip), str(copy.path), copy.sha256, copy.smaller]) == 1
    assert "become others than on the host when made smaller" in capsys.readouterr().out


def test_a_clip_that_the_device_decodes_in_part_fails(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = _copy(clip, tmp_path / "copies")
    short = _copy(clip, tmp_path / "short", 0.5)

    assert pictures.main([str(short.path), str(copy.path), copy.sha256, copy.smaller]) == 1
    assert f"6 of {_FRAMES} pictures" in capsys.readouterr().out


def test_each_clip_has_a_row_for_its_pictures_and_one_for_its_decisions(
    clip: Path, tmp_path: Path
) -> None:
    copies = replays.copied({clip.name: clip}, tmp_path, None, lambda line: None)
    names = {c.path.name: (name, c.sha256, c.smaller) for name, c in copies.items()}

    rows = suite.suite(list(names), tests=False, board=False, copied=names)

    assert [row.name for row in rows] == ["doctor", "pictures a.avi", "replay a.avi.mkv"]
    copy = copies["a.avi"]
    assert rows[1].command[-4:] == (
        *(f"{suite.ASSETS}/a.avi", f"{suite.ASSETS}/a.avi.mkv"),
        *(copy.sha256, copy.smaller),
    )


def test_where_a_clip_opens_with_a_view_frames_pass_on_the_host(
    clip: Path, tmp_path: Path, face_model: Path
) -> None:
    room = site.room(tmp_path / "room.avi", 8, 2)
    clips = {"room.avi": room, "a.avi": clip}

    views = replays.views_in(clips)
    rows = suite.suite(list(clips), tests=False, board=False, views=views)
    ours = replays.host_decisions(rows, clips, views, tmp_path / "out", lambda line: None)

    assert views == {"room.avi": 0.75}  # six frames
    assert 0 < ours["replay room.avi"].passed < ours["replay room.avi"].frames == 16
    assert ours["replay a.avi"].passed == 0 < ours["replay a.avi"].frames


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_a_length_that_is_none_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "test", "--seconds", seconds]) == 2
    assert "expected --seconds above 0; got" in capsys.readouterr().err
