"""Reads pictures from OpenCV's FFmpeg, and accepts only truly decoded ones of one size.

If `VideoCapture.read` cannot convert a picture, it still reports success and
returns the last one again. It scales a picture of another size to the first size.
This module detects both from the decoder's log. A decoder that does not report
changes of size cannot be used for this: `size_known`. A decoder works
a few pictures ahead, so a change is noticed that many pictures before it comes out.

FFmpeg decodes each picture as it reads it. In Motion JPEG every packet is a picture of its
own, so OpenCV can be asked for the packets as they are (`RAW`), and `JpegReader` decodes
those of which a frame is needed. The size stands at the head of each packet: one of another
size is noticed before it is decoded, and one that is too large is never decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import Enum

import cv2
import numpy as np

from edge.cameras.decoder_log import Coded, DecoderLog
from edge.cameras.identity import MAX_SIDE_PX

_ANNOUNCED = frozenset(
    ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "h263", "vp9", "mjpeg", "ffv1")
)  # decoders that announce each size; tests/cases/sizes.py tries each
_FIXED = frozenset(("HFYU", "FFVH"))  # the size stands in the container, once
_NAMES = {
    "AV01": "AV1",
    "HEVC": "H.265",
    "HEV1": "H.265",
    "HVC1": "H.265",
    "H264": "H.264",
    "AVC1": "H.264",
    "FMP4": "MPEG-4",
    "MPG2": "MPEG-2",
    "VP80": "VP8",
    "VP90": "VP9",
}


RAW = (cv2.CAP_PROP_FORMAT, -1)  # parameters of an OpenCV capture that hands packets over
_MAX_RATE_HZ = 1000.0  # containers without a rate tell their clock's
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_BEGIN = b"\xff\xd8\xff"
_PLAIN = frozenset((0x01, *range(0xD0, 0xD8)))  # markers without a length
_FRAME = frozenset((0xC0, 0xC1, 0xC2))  # baseline, extended, progressive; ITU-T T.81, table B.1
_LAST = frozenset((0xD9, 0xDA))  # the end, and the picture's data: no size comes after it

Wanted = Callable[[], bool]
_NOTHING = np.zeros(0, np.uint8)


def always() -> bool:
    """Every frame is wanted."""
    return True


def rate_hz_of(capture: cv2.VideoCapture) -> float:
    """Frames a second as the driver or the container tells it; 0 if it does not."""
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    return rate_hz if 0 < rate_hz <= _MAX_RATE_HZ else 0.0


class Read(Enum):
    """What one call of `read` gave."""

    PICTURE = "picture"
    UNWANTED = "unwanted"  # there is one, and it was let go
    STALE = "stale"  # reported as read, but the picture is an old one
    RESIZED = "resized"  # pictures of another size follow, scaled to the first one's
    END = "end"


class PictureReader:
    """Reads one capture, just opened, to its end."""

    def __init__(self, capture: cv2.VideoCapture, log: DecoderLog) -> None:
        self._capture = capture
        self._log = log
        self._sized = log.heard.sized
        self.coded: Coded | None = None  # what the decoder announced at first
        self.change = ""  # "640x480 to 320x240" once it went over to another size

    def read(self, into: np.ndarray | None, wanted: Wanted = always) -> tuple[Read, np.ndarray]:
        """Read once; after `RESIZED` nothing else follows but the end.

        Args:
            into: where the picture may be written; None: into memory of its own.
            wanted: asked once there is a picture; one that is not wanted is not converted.
        """
        if not self._capture.grab():
            return Read.END, _NOTHING
        self._hear_sizes()
        if self.change:
            return Read.RESIZED, _NOTHING
        if not wanted():
            return Read.UNWANTED, _NOTHING
        before = self._log.heard.conversion
        found, frame = self._capture.retrieve(into)
        if not found:
            return Read.END, _NOTHING
        return (Read.PICTURE if self._log.heard.conversion == before else Read.STALE), frame

    def _hear_sizes(self) -> None:
        """Take what the decoder announced since the last time."""
        sized = self._log.heard.sized
        for coded in self._log.last_announced(sized - self._sized):
            self.coded = self.coded or coded
            if coded.size != self.coded.size:
                self.change = self.change or f"{self.coded.size} to {coded.size}"
        self._sized = sized

    @property
    def size_known(self) -> bool:
        """Whether a change of size would be noticed; asked after the first picture."""
        if self.coded is not None:
            return self.coded.codec in _ANNOUNCED
        return self._tag in _FIXED

    @property
    def codec(self) -> str:
        """The video's codec by the name that people use, as far as there is one."""
        name = self._tag or (self.coded.codec if self.coded is not None else "")
        return _NAMES.get(name, name) if name and name.isprintable() else "unknown"

    @property
    def _tag(self) -> str:
        """The container's four letters for the codec, in capitals."""
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        return code.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ").upper()


class JpegReader:
    """Reads one capture, opened with `RAW`, to its end."""

    size_known = True
    codec = "Motion JPEG"

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self._size: tuple[int, int] | None = None  # height and width of the first picture

    def read(self, into: np.ndarray | None, wanted: Wanted = always) -> tuple[Read, np.ndarray]:
        """Read once, as `PictureReader` does.

        OpenCV decodes into memory of its own. That is copied and given back before the next
        picture is decoded, so that each lies where the last one lay: two that live at once
        make the heap grow and shrink with each frame.
        """
        found, packet = self._capture.read()
        if not found:
            return Read.END, _NOTHING
        size = size_of(packet.reshape(-1).data)
        if size is None or max(size) > MAX_SIDE_PX:
            return Read.STALE, _NOTHING
        self._size = self._size or size
        if size != self._size:
            return Read.RESIZED, _NOTHING
        if not wanted():
            return Read.UNWANTED, _NOTHING
        frame = cv2.imdecode(packet, _AS_STORED)
        if frame is None or frame.shape[:2] != size:
            return Read.STALE, _NOTHING
        if into is None or into.shape != frame.shape:
            return Read.PICTURE, frame
        into[:] = frame
        return Read.PICTURE, into


def size_of(packet: bytes | memoryview) -> tuple[int, int] | None:
    """The height and width that a JPEG states; None for what is none."""
    if packet[:3] != _BEGIN:
        return None
    at = 2
    while at + 9 <= len(packet) and packet[at] == 0xFF:
        marker = packet[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _PLAIN:
            at += 2
            continue
        if marker in _LAST:
            return None
        if marker in _FRAME:
            height, width = struct.unpack_from(">HH", packet, at + 5)
            return (height, width) if height and width else None
        at += 2 + max(2, int(struct.unpack_from(">H", packet, at + 2)[0]))
    return None
