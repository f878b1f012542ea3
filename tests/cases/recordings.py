"""Recordings as they are found in the wild: codecs, containers, sizes, times, damage."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.cases.case import Case, Found, Outcome, Workshop

_X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
_FFV1 = ("-c:v", "ffv1")
_INTERLACED = ("-vf", "interlace", "-flags", "+ildct+ilme")
_SMALLER = (*_X264, "-vf", "scale=320:240", "-output_ts_offset", "2")
_JUDGED, _PARTLY, _REFUSED = Outcome.JUDGED, Outcome.PARTLY, Outcome.REFUSED
_ALL = "^60 frames"


def _made(name: str, *options: str) -> Callable[[Workshop], Found]:
    """Judge the clip as one call of ffmpeg makes it."""
    return lambda shop: shop.replay(shop.convert(name, *options))


def _changed(name: str, change: Callable[[bytes], bytes]) -> Callable[[Workshop], Found]:
    """Judge an MP4 with its index first, after its bytes were changed."""

    def run(shop: Workshop) -> Found:
        options = (*_X264, "-g", "5", "-movflags", "+faststart")
        path = shop.folder / name
        path.write_bytes(change(shop.convert("whole.mp4", *options).read_bytes()))
        return shop.replay(path)

    return run


def _no_index(shop: Workshop) -> Found:
    whole = shop.convert("whole.mp4", *_X264).read_bytes()
    path = shop.folder / "nomoov.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    return shop.replay(path)


def _overwritten(data: bytes) -> bytes:
    middle, noise = len(data) // 2, random.Random(3).randbytes(len(data) // 10)
    return data[:middle] + noise + data[middle + len(noise) :]


def _joined(*parts: tuple[str, ...]) -> Callable[[Workshop], Found]:
    """Judge a transport stream that changes its video in the middle."""

    def run(shop: Workshop) -> Found:
        path = shop.folder / "joined.ts"
        made = [shop.convert(f"{i}.ts", *part) for i, part in enumerate(parts)]
        path.write_bytes(b"".join(part.read_bytes() for part in made))
        return shop.replay(path)

    return run


def _playlist(text: str) -> Callable[[Workshop], Found]:
    def run(shop: Workshop) -> Found:
        assert shop.clip.name == "room.avi"
        path = shop.folder / "clip.mp4"
        path.write_text(text)
        return shop.replay(path)

    return run


def _two_streams(shop: Workshop) -> Found:
    options = ("-map", "0:v", "-map", "0:v", *_X264, "-filter:v:1", "scale=320:240")
    return shop.replay(shop.convert("twostreams.mp4", *options))


def _small_picture_first(shop: Workshop) -> Found:
    cover = shop.convert("cover.png", "-frames:v", "1", "-vf", "scale=160:120")
    options = (
        "-i",
        str(cover),
        "-map",
        "1:v",
        "-map",
        "0:v",
        "-c:v:0",
        "copy",
        "-c:v:1",
        "libx264",
    )
    return shop.replay(shop.convert("thumbfirst.mp4", *options, "-disposition:v:0", "attached_pic"))


def _sparse_sound(shop: Workshop) -> Found:
    sound = ("-f", "lavfi", "-i", "sine=d=0.1", "-map", "0:v", "-map", "1:a", "-c:a", "flac")
    return shop.replay(shop.convert("sparse.mkv", *sound, *_X264))


def _pipe(shop: Workshop) -> Found:
    import os

    path = shop.folder / "pipe.mp4"
    os.mkfifo(path)
    return shop.replay(path)


def _nothing(shop: Workshop) -> Found:
    path = Path(shop.folder / "empty.mp4")
    path.write_bytes(b"")
    return shop.replay(path)


CASES = (
    Case("the clip itself", lambda shop: shop.replay(shop.clip), _JUDGED, _ALL, quick=True),
    Case("H.264", _made("s.mp4", *_X264), _JUDGED, _ALL),
    Case("interlaced H.264", _made("i.mp4", *_X264, *_INTERLACED), _REFUSED, "interlaced", True),
    Case("interlaced MPEG-2", _made("i.mpg", "-c:v", "mpeg2video", *_INTERLACED), _REFUSED,
         "is interlaced MPEG-2 video"),
    Case("MPEG-2", _made("p.mpg", "-c:v", "mpeg2video", "-q:v", "2"), _JUDGED, _ALL),
    Case("turns interlaced", _joined((*_X264, "-bf", "0"), (*_X264, *_INTERLACED)), _PARTLY,
         "^60 frames.*interlaced pictures left out"),
    Case("raw H.264", _made("raw.h264", *_X264, "-f", "h264"), _REFUSED, "without times"),
    Case("B-frames in AVI", _made("b.avi", "-c:v", "mpeg4", "-bf", "2"), _JUDGED, _ALL),
    Case("times go back", _made("back.mkv", *_FFV1, "-bsf:v",
         "setts=ts='if(between(N,20,24),TS-400,TS)'"), _PARTLY, "5 pictures left out whose times"),
    Case("times repeat", _made("dup.mkv", *_FFV1, "-bsf:v",
         "setts=ts='if(between(N,20,24),TS-33*(N-19),TS)'"), _PARTLY, "left out whose times"),
    Case("ffconcat playlist", _playlist("ffconcat version 1.0\nfile room.avi\n"), _REFUSED,
         "is an ffconcat playlist, no recording", True),
    Case("HLS playlist", _playlist("#EXTM3U\n#EXTINF:2,\nroom.avi\n#EXT-X-ENDLIST\n"), _REFUSED,
         "is an HLS playlist, no recording"),
    Case("SDP session", _playlist("v=0\no=- 0 0 IN IP4 127.0.0.1\n"), _REFUSED, "SDP"),
    Case("some text", _playlist("not a film\n"), _REFUSED, "expected a video file"),
    Case("empty file", _nothing, _REFUSED, "this one is empty"),
    Case("named pipe", _pipe, _REFUSED, "no regular file"),
    Case("1x361 px", _made("w1.mkv", "-vf", "scale=1:361", *_FFV1), _REFUSED, "at least 64x48"),
    Case("32x18 px", _made("t.mkv", "-vf", "scale=32:18", *_FFV1), _REFUSED, "at least 64x48"),
    Case("MP4 without index", _no_index, _REFUSED, "container cannot be read"),
    Case("MP4 cut short", _changed("cut.mp4", lambda data: data[: len(data) * 3 // 4]), _PARTLY,
         "damaged: .* of 60 pictures decoded", True),
    Case("MP4 overwritten", _changed("corrupt.mp4", _overwritten), _PARTLY, "damaged"),
    Case("two sizes", _joined((*_X264, "-bf", "0"), _SMALLER), _PARTLY,
         r"^\d\d frames.*change from 640x480 to 320x240 px: none was judged from", True),
    Case("Y4M", _made("v.y4m"), _JUDGED, _ALL),
    Case("turned by 90 degrees", _made("rot.mp4", *_X264, "-vf", "transpose=1"), _JUDGED, _ALL),
    Case("variable rate", _made("vfr.mp4", *_X264, "-vf", "select='not(mod(n,3)*mod(n,5))'",
         "-fps_mode", "vfr"), _JUDGED, "^28 frames"),
    Case("gap of 3 s", _made("gap.mp4", *_X264, "-vf", "setpts='PTS+gte(N,30)*3/TB'",
         "-fps_mode", "vfr"), _JUDGED, _ALL),
    Case("one picture", _made("f1.mp4", *_X264, "-frames:v", "1"), _JUDGED, "^1 frames"),
    Case("240 pictures a second", _made("f240.mp4", *_X264, "-vf", "setpts=PTS/8", "-r", "240"),
         _JUDGED, r"^\d+ frames"),
    Case("odd sides", _made("odd.mkv", "-vf", "scale=321:241", *_FFV1), _JUDGED, _ALL),
    Case("16-bit grey", _made("g16.mkv", "-pix_fmt", "gray16le", *_FFV1), _JUDGED, _ALL),
    Case("H.265, 10 bit", _made("h.mp4", "-c:v", "libx265", "-pix_fmt", "yuv420p10le",
         "-x265-params", "log-level=none"), _JUDGED, _ALL),
    Case("AV1", _made("av1.mp4", "-c:v", "libsvtav1"), _REFUSED, "AV1 video"),
    Case("two video streams", _two_streams, _JUDGED, _ALL),
    Case("a cover picture first", _small_picture_first, _JUDGED, _ALL),
    Case("little sound", _sparse_sound, _JUDGED, _ALL),
    Case("1000 pictures a second", _made("k.avi", "-c:v", "mjpeg", "-vf",
         "settb=1/1000,setpts=N", "-r", "1000"), _JUDGED, "^60 frames"),
)  # fmt: skip
