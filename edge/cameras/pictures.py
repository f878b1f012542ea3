"""Reads pictures from OpenCV's FFmpeg, and accepts only truly decoded ones of one size.

If `VideoCapture.read` cannot convert a picture, it still reports success and
returns the last one again. It scales a picture of another size to the first size.
This module detects both from the decoder's log. A decoder that does not report
changes of size cannot be used for this: `size_known`. A decoder works
a few pictures ahead, so a change is noticed that many pictures before it comes out.
"""

from __future__ import annotations

from enum import Enum

import cv2
import numpy as np

from edge.cameras.decoder_log import Coded, DecoderLog

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


class Read(Enum):
    """What one call of OpenCV's `read` gave."""

    PICTURE = "picture"
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

    def read(self, into: np.ndarray | None) -> tuple[Read, np.ndarray]:
        """Read once; after `RESIZED` nothing else follows but the end."""
        before = self._log.heard.conversion
        found, frame = self._capture.read(into)
        now = self._log.heard
        if not found:
            return Read.END, frame
        for coded in self._log.last_announced(now.sized - self._sized):
            self.coded = self.coded or coded
            if coded.size != self.coded.size:
                self.change = self.change or f"{self.coded.size} to {coded.size}"
        self._sized = now.sized
        if self.change:
            return Read.RESIZED, frame
        return (Read.PICTURE if now.conversion == before else Read.STALE), frame

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
