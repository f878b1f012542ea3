"""Decoding a recording: a picture counts only if it was decoded, at a time after the last one.

A picture that the decoder could not convert is refused, not repeated. Pictures
whose times repeat or go back are left out and counted, so that a report shows that
the recording was not whole. Times are nanoseconds by the file's own clock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from edge.cameras.decoder_log import decoder_log
from edge.cameras.identity import MAX_SIDE_PX
from edge.cameras.pictures import PictureReader, Read, rate_hz_of
from edge.cameras.recording_file import DEMUXERS, RecordingFile
from edge.clock import MS, S
from edge.errors import CameraError

MIN_SIZE_PX = (64, 48)  # (width, height): a smaller picture has no thumbnail to compare
_MAX_REORDERED = 16  # pictures that H.264 and its like may hold back, and give up without a time
_MAX_UNTIMED = 250  # after the first picture: then the file has no times
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# Closed in the middle, a decoder with threads may wait for them for ever; one is as fast.
_ONE_THREAD = (cv2.CAP_PROP_N_THREADS, 1)


@dataclass(slots=True)
class Tally:
    """The result of decoding a recording's pictures."""

    decoded: int = 0
    unconverted: int = 0  # decoded, but in a form that cannot be converted: interlaced
    untimed: int = 0  # left out: the time repeats, goes back or is missing
    damage: int = 0  # errors that the reader and the decoder reported
    resized: str = ""  # "640x480 to 320x240": the pictures change their size, and reading ends
    trouble: str = ""  # why its bytes could not be read to the end
    declared: int = 0  # pictures the container speaks of; 0 if it does not

    @property
    def complete(self) -> bool:
        """Whether all that the file holds was given."""
        lost = self.unconverted or self.untimed or self.damage
        return not (lost or self.resized or self.trouble)

    @property
    def lost(self) -> int:
        """Pictures known not to have been given; those of a damaged file at least."""
        missing = max(0, self.declared - self.decoded - self.unconverted) if self.damage else 0
        return self.unconverted + self.untimed + missing

    def __str__(self) -> str:
        """What is wrong, in words; empty if nothing is."""
        notes = []
        if self.damage:
            of = f" of {self.declared}" if self.declared else ""
            notes.append(
                f"damaged: {self.decoded}{of} pictures decoded, "
                f"{self.damage} errors reported while reading"
            )
        if self.unconverted:
            notes.append(f"{self.unconverted} interlaced pictures left out")
        if self.untimed:
            notes.append(f"{self.untimed} pictures left out whose times repeat or go back")
        if self.resized:
            notes.append(
                f"soon after picture {self.decoded} its pictures change from {self.resized} px: "
                "none was judged from there on"
            )
        if self.trouble:
            notes.append(f"it {self.trouble}, after picture {self.decoded}")
        return "; ".join(notes)


class Recording:
    """One file, decoded from its first picture to its last."""

    def __init__(self, path: Path) -> None:
        """Open `path` and decode its first two pictures.

        Raises:
            CameraError: it is no recording that can be judged; says what it is.
        """
        self._path = path
        self._log = decoder_log()
        self._file = RecordingFile(path)
        self._capture: cv2.VideoCapture | None = None
        self._last_ns: int | None = None
        self._timed = 0
        self._held_back = 0
        self._ahead: list[tuple[np.ndarray, int]] = []
        self.tally = Tally()
        try:
            self._start()
        except CameraError:
            self.close()
            raise

    @property
    def sha256(self) -> str:
        return self._file.sha256

    def read(self, room: Callable[[], np.ndarray | None]) -> tuple[np.ndarray, int] | None:
        """The next picture and its time, or None at the end.

        Raises:
            CameraError: the file was changed, or can no longer be read.
        """
        if self._ahead:
            return self._ahead.pop(0)
        return self._next(room)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None
        self._file.close()

    def __del__(self) -> None:
        """Released by name: left to the collector, OpenCV waits for a lock that we hold."""
        if getattr(self, "_file", None) is not None:
            self.close()

    def _start(self) -> None:
        before = self._log.heard
        with only_recordings():
            stream = cast("cv2.IStreamReader", self._file)  # it takes any buffered reader
            capture = cv2.VideoCapture(stream, cv2.CAP_FFMPEG, _ONE_THREAD)
        self._log.attach()
        self._capture, self._before = capture, before
        self._reader = PictureReader(capture, self._log)
        if not capture.isOpened():
            raise self._refused(
                "expected a video file; its container cannot be read: it is cut short, damaged "
                "or holds no video"
            )
        self._check_size(*(capture.get(p) for p in _SIZE))
        self.rate_hz = rate_hz_of(capture)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.tally.declared = int(count) if 0 < count < 1e9 else 0
        first = self._next(lambda: None)
        if self.tally.unconverted:
            raise self._refused(
                f"is interlaced {self._reader.codec} video, expected progressive: convert it "
                "first, for example with ffmpeg -i OLD -vf bwdif NEW.mp4"
            )
        if first is None:
            raise self._refused(
                f"no picture of its {self._reader.codec} video can be decoded: the file is "
                "damaged, or OpenCV has no decoder for it here (ffmpeg -i OLD -c:v libx264 NEW.mp4 "
                "converts it)"
            )
        if not (self._reader.size_known or self._file.fixed_size):
            raise self._refused(
                f"holds {self._reader.codec} video, whose pictures may change their size without a "
                "word from its decoder: convert it first (ffmpeg -i OLD -c:v libx264 NEW.mp4)"
            )
        self.height, self.width = first[0].shape[:2]
        self._check_size(self.width, self.height)
        second = self._next(lambda: None)
        if second is None and self.tally.untimed:
            raise self._refused(
                f"holds {self._reader.codec} pictures without times, or all at one time: put "
                "it into a container with its rate, for example with ffmpeg -r RATE -i OLD -c copy "
                "NEW.mp4"
            )
        self._ahead = [shot for shot in (first, second) if shot is not None]

    def _next(self, room: Callable[[], np.ndarray | None]) -> tuple[np.ndarray, int] | None:
        assert self._capture is not None
        while True:
            found, frame = self._reader.read(room())
            self.tally.damage = self._log.heard.damage - self._before.damage
            if self._file.trouble is not None:
                self.tally.trouble = self._file.trouble
                raise self._refused(self._file.trouble)
            if found is Read.RESIZED:
                self.tally.resized = self._reader.change
                return None
            if found is Read.END:
                return None
            if found is Read.STALE:
                self.tally.unconverted += 1
                if self._last_ns is None:
                    return None
                continue
            at_ns = self._time()
            self.tally.decoded += 1
            if at_ns is not None:
                return frame, at_ns
            self.tally.untimed += 1
            if self._timed == 1 and self.tally.untimed >= _MAX_UNTIMED:
                return None

    def _time(self) -> int | None:
        """The time of the picture just read; None if it does not follow the last one's."""
        assert self._capture is not None
        position_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * MS)
        if self._last_ns is None or position_ns > self._last_ns:
            self._last_ns, self._held_back = position_ns, 0
            self._timed += 1
            return position_ns
        tail = self._timed > 1 and position_ns == 0 and self.rate_hz > 0
        if tail and self._held_back < _MAX_REORDERED:
            self._held_back += 1  # the decoder gives up what it held back, without a time
            self._last_ns += round(S / self.rate_hz)
            return self._last_ns
        return None

    def _check_size(self, width: float, height: float) -> None:
        size = f"{width:g}x{height:g}"
        if max(width, height) > MAX_SIDE_PX:
            raise self._refused(f"expected pictures of at most {MAX_SIDE_PX} px a side, got {size}")
        if width < MIN_SIZE_PX[0] or height < MIN_SIZE_PX[1]:
            least = "x".join(map(str, MIN_SIZE_PX))
            raise self._refused(f"expected pictures of at least {least} px, got {size}")

    def _refused(self, what: str) -> CameraError:
        return CameraError(f"{self._path}: {what}")


_SIZE = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)


@contextmanager
def only_recordings() -> Iterator[None]:
    """While it lasts FFmpeg opens containers of ours and no other file or address."""
    before = os.environ.get(_OPTIONS)
    os.environ[_OPTIONS] = f"format_whitelist;{DEMUXERS}|protocol_whitelist;none"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OPTIONS]
        else:
            os.environ[_OPTIONS] = before
