"""Recordings: only true pictures, only of the bytes that were digested, never a file they name."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cameras import recording
from edge.cameras.decoder_log import decoder_log
from edge.cameras.opencv import FileCamera
from edge.cameras.recording import Recording
from edge.cameras.recording_file import RecordingFile
from edge.errors import CameraError
from edge.view import signs
from tests.support import render

Convert = Callable[..., Path]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    return render.write_clip(folder / "room.avi", render.lived_in(render.room(), 40))


@pytest.fixture
def convert(source: Path, tmp_path: Path) -> Convert:
    """`convert("x.mp4", "-c:v", "libx264")` is the rendered room as ffmpeg writes it."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("no ffmpeg on this machine: the input cannot be made")

    def run(name: str, *options: str) -> Path:
        out = tmp_path / name
        command = [ffmpeg, "-v", "error", "-y", "-i", str(source), "-an", *options, str(out)]
        subprocess.run(command, check=True)
        return out

    return run


def times(path: Path) -> list[int]:
    camera = FileCamera(path)
    try:
        return [shot.captured_ns for shot in camera.shots()]
    finally:
        camera.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec"), [("x.mp4", "libx264"), ("x.mpg", "mpeg2video")], ids=["h264", "mpeg2"]
)
def test_interlaced_video_is_refused_by_name(convert: Convert, name: str, codec: str) -> None:
    path = convert(name, "-vf", "interlace", "-c:v", codec, "-flags", "+ildct+ilme")

    with pytest.raises(CameraError, match=r"is interlaced .* expected progressive: .*bwdif"):
        FileCamera(path)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_the_same_pictures_progressive_are_all_given(convert: Convert, codec: str) -> None:
    camera = FileCamera(convert("x.mkv", "-c:v", codec))

    assert len(list(camera.shots())) == 40
    assert camera.tally.complete


@pytest.mark.slow
def test_a_stream_that_turns_interlaced_gives_no_old_picture_again(
    convert: Convert, tmp_path: Path
) -> None:
    first = convert("a.ts", "-c:v", "libx264", "-bf", "0")
    then = convert("b.ts", "-vf", "interlace", "-c:v", "libx264", "-flags", "+ildct+ilme")
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + then.read_bytes())

    camera = FileCamera(both)
    seen = sum(1 for _ in camera.shots())

    assert seen == 40
    assert camera.tally.unconverted >= 15  # half as many pictures, two fields each
    assert "interlaced" in str(camera.tally)


@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile room.avi\n", "#EXTM3U\n#EXTINF:3,\nroom.avi\n#EXT-X-ENDLIST\n"],
    ids=["ffconcat", "hls"],
)
def test_a_playlist_is_no_recording_whatever_it_is_called(
    text: str, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "room.avi").write_bytes(source.read_bytes())
    path = tmp_path / "clip.mp4"
    path.write_text(text)

    with pytest.raises(CameraError, match="playlist, no recording"):
        FileCamera(path)


def test_ffmpeg_itself_opens_no_playlist_that_looks_like_a_container(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second fence alone: the look at the first bytes is taken away."""
    monkeypatch.setattr("edge.cameras.recording_file._check_container", lambda path, head: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "room.avi").write_bytes(source.read_bytes())
    path = tmp_path / "clip.mp4"
    path.write_text("ffconcat version 1.0\nfile room.avi\n")

    with pytest.raises(CameraError, match="container cannot be read"):
        FileCamera(path)
    assert len(times(tmp_path / "room.avi")) == 40


def test_the_digested_bytes_are_decoded_though_another_file_took_the_name(
    source: Path, tmp_path: Path
) -> None:
    path = tmp_path / "room.avi"
    path.write_bytes(source.read_bytes())
    other = render.write_clip(tmp_path / "other.avi", render.still(render.room(), 3))

    camera = FileCamera(path)
    os.replace(other, path)

    assert sum(1 for _ in camera.shots()) == 40


def test_a_file_written_to_while_it_is_read_ends_with_an_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.cameras.recording_file._BLOCK", 1 << 14)  # more than is read ahead
    path = tmp_path / "room.avi"
    path.write_bytes(source.read_bytes())

    camera = FileCamera(path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\0")
    with pytest.raises(CameraError, match="was changed while it was read"):
        list(camera.shots())


def test_reading_piece_by_piece_gives_the_bytes_of_the_file(source: Path) -> None:
    with RecordingFile(source) as file:
        whole = b"".join(iter(lambda: file.read(1000), b""))
        file.seek(-10, os.SEEK_END)
        assert file.read() == whole[-10:]
    assert whole == source.read_bytes()


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")

    with pytest.raises(CameraError, match="no regular file"):
        FileCamera(tmp_path / "clip.mp4")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [b"2024-05-01T12:30:00.avi", b"100%d.avi", b"-dash.avi", b"12345", b"\xff.avi", "ü".encode()],
)
def test_a_recording_may_have_any_name(name: bytes, source: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(source.read_bytes())

    assert len(times(path)) == 40


@pytest.mark.slow
def test_a_stream_without_times_is_refused_by_name(convert: Convert) -> None:
    path = convert("raw.h264", "-c:v", "libx264", "-f", "h264")

    with pytest.raises(CameraError, match=r"H\.264 pictures without times"):
        FileCamera(path)
    assert len(times(convert("raw.mp4", "-c:v", "libx264"))) == 40


@pytest.mark.slow
def test_pictures_that_the_decoder_held_back_follow_the_others(convert: Convert) -> None:
    found = times(convert("b.avi", "-c:v", "mpeg4", "-bf", "2"))

    assert len(found) == 40
    assert found == sorted(set(found))
    assert found[-1] - found[-2] == pytest.approx(1e9 / 30, rel=0.01)


@pytest.mark.slow
def test_pictures_whose_times_go_back_are_left_out_and_counted(convert: Convert) -> None:
    back = "setts=ts='if(between(N,20,24),TS-400,TS)'"
    camera = FileCamera(convert("back.mkv", "-c:v", "ffv1", "-bsf:v", back))
    found = [shot.captured_ns for shot in camera.shots()]

    assert found == sorted(set(found))
    assert camera.tally.untimed == 5
    assert len(found) == 35
    assert "times repeat or go back" in str(camera.tally)


@pytest.mark.slow
def test_a_cut_recording_says_what_it_lost(convert: Convert) -> None:
    whole = convert("x.mp4", "-c:v", "libx264", "-g", "5", "-movflags", "+faststart")
    cut = whole.with_name("cut.mp4")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])

    camera = FileCamera(cut)
    seen = sum(1 for _ in camera.shots())

    assert 0 < seen < 40
    assert camera.tally.lost == 40 - seen
    assert str(camera.tally).startswith(f"damaged: {seen} of 40 pictures decoded")


@pytest.mark.slow
@pytest.mark.parametrize("size", ["32x24", "640x24", "56x480"])
def test_a_picture_too_small_to_judge_is_refused_with_the_smallest_size(
    convert: Convert, size: str
) -> None:
    with pytest.raises(CameraError, match=f"at least 64x48 px, got {size}"):
        FileCamera(convert("small.mkv", "-vf", f"scale={size.replace('x', ':')}", "-c:v", "ffv1"))


def test_the_smallest_picture_is_the_smallest_that_has_a_thumbnail(convert: Convert) -> None:
    width, height = recording.MIN_SIZE_PX

    assert signs.fits(height, width)
    assert not signs.fits(height - 1, width)
    assert not signs.fits(height, width - 1)
    assert len(times(convert("s.mkv", "-vf", f"scale={width}:{height}", "-c:v", "ffv1"))) == 40


def test_settings_of_the_caller_do_not_reach_the_decoder(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "format_whitelist;none")

    assert len(times(source)) == 40
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "format_whitelist;none"


def test_healthy_reading_reports_no_error(source: Path) -> None:
    before = decoder_log().heard
    clip = Recording(source)
    while clip.read(lambda: None) is not None:
        pass
    clip.close()

    after = decoder_log().heard
    assert (after.conversion, after.damage) == (before.conversion, before.damage)
