"""Pictures of two sizes in one stream, by every decoder that is trusted to tell, and others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cases.case import Case, Found, Outcome, Workshop

ANNOUNCED = {
    "H.264": ("ts", "-c:v", "libx264", "-bf", "0"),
    "H.265": ("ts", "-c:v", "libx265", "-x265-params", "log-level=none"),
    "MPEG-1": ("mpg", "-c:v", "mpeg1video", "-bf", "0"),
    "MPEG-2": ("ts", "-c:v", "mpeg2video", "-bf", "0"),
    "MPEG-4": ("ts", "-c:v", "mpeg4"),
    "H.263": ("h263", "-c:v", "h263"),
    "VP9": ("ivf", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
    "Motion JPEG": ("mjpeg", "-c:v", "mjpeg"),
}
SILENT = {
    "VP8": ("ivf", "-c:v", "libvpx"),
    "PNG": ("avi", "-c:v", "png"),
    "ProRes": ("mov", "-c:v", "prores"),
    "Flash video": ("flv", "-c:v", "flv"),
}
_RAW = ("h263", "mjpeg")  # a container with a rate is put around
_IVF_HEADER = 32  # bytes, once at the start of a file
SIZES = ("352x288", "176x144")  # H.263 knows no others


def sized(shop: Workshop, how: tuple[str, ...], sizes: tuple[str, ...]) -> Path:
    """One stream of the clip in each of `sizes`, one after another."""
    ending, *codec = how
    whole = b""
    for number, size in enumerate(sizes):
        later = ("-output_ts_offset", f"{2 * number}") if ending in ("ts", "mpg") else ()
        part = shop.convert(f"{number}.{ending}", "-an", *codec, "-s", size, *later).read_bytes()
        whole += part[_IVF_HEADER:] if number and ending == "ivf" else part
    path = shop.folder / f"sized.{ending}"
    path.write_bytes(whole)
    if ending in _RAW:
        return shop.convert("sized.avi", "-c", "copy", source=path)
    return path


def _judge(how: tuple[str, ...], sizes: tuple[str, ...]) -> Callable[[Workshop], Found]:
    return lambda shop: shop.replay(sized(shop, how, sizes))


CASES = (
    *(
        Case(f"{name}, two sizes", _judge(how, SIZES), Outcome.PARTLY, "change from 352x288 to")
        for name, how in ANNOUNCED.items()
    ),
    *(
        Case(f"{name}, one size", _judge(how, SIZES[:1]), Outcome.JUDGED, r"^(59|60) frames")
        for name, how in ANNOUNCED.items()
    ),
    *(
        Case(f"{name}, size not told", _judge(how, SIZES), Outcome.REFUSED, "video, whose pictures")
        for name, how in SILENT.items()
    ),
)
