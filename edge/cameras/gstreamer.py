"""A GStreamer pipeline as a camera, e.g. `gst:nvarguscamerasrc ! nvvidconv` on a Jetson.

The pipeline runs in a `gst-launch-1.0` of its own, which is asked for BGR and
writes raw frames into a pipe; one that ends in `video/x-raw,format=NV12` (or
I420) is taken as it comes, which spares the conversion and half the bytes. A
crash in a plug-in ends no process of the guard. A pipe carries no times, so
frames are dated when they arrive (`Dating.ARRIVAL`). The launcher prints what the
pipe cannot carry, frame by frame and in order: the size and the stream's own
time. A pipeline that delivers nothing for `SILENT_S`, or changes to another
size, has ended. Nothing needs to be installed for Python. All times are
nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterator

import numpy as np

from edge import isolation
from edge.cameras.identity import MAX_SIDE_PX, CameraIdentity, Dating
from edge.cameras.layout import layout_of, padded
from edge.cameras.opencv import SILENT_S, Room, Shot, nowhere
from edge.cameras.pictures import Wanted, always
from edge.cameras.redact import redacted
from edge.cameras.source import driver_of, pipeline_words
from edge.cameras.v4l2 import v4l2_identity
from edge.clock import Clock, S
from edge.errors import CameraError
from edge.scheduling import START_LIMIT_S

PREFIX = "gst:"
LAUNCH = "gst-launch-1.0"
_NAME = "framegate"
_TELLER = "framegate-frames"
_LINE = 65536  # bytes of an unfinished line that are kept
_CAPS = re.compile(rb"/GstFdSink:framegate\.GstPad:sink: caps = (video/x-raw[^\n]*)\n")
_FRAME = re.compile(
    rb"/GstIdentity:framegate-frames: last-message = chain +\S+ \(\S+\) \((\d+) bytes,"
    rb"(?:.* pts: (\d+):(\d+):(\d+)\.(\d{9}))?"
)  # as GStreamer's `identity silent=false` writes of each buffer
_SIDE = {name: re.compile(rb"%s=\(int\)(\d+)" % name.encode()) for name in ("width", "height")}


def _v4l2_driver(node: str) -> str:
    """The driver behind a device node; one that cannot be asked is no camera."""
    try:
        return v4l2_identity(node).driver
    except CameraError:
        return "loopback"


def _sides(caps: bytes) -> tuple[int, int]:
    """(width, height) of caps; 0 for what they do not name."""
    sides = [pattern.search(caps) for pattern in _SIDE.values()]
    width, height = (int(side[1]) if side is not None else 0 for side in sides)
    return width, height


def _stream_ns(frame: re.Match[bytes]) -> int | None:
    """The stream's own time of a frame, or None if it has none."""
    if frame[2] is None:
        return None
    hours, minutes, seconds, fraction = (int(part) for part in frame.groups()[1:])
    return ((hours * 60 + minutes) * 60 + seconds) * S + fraction


class PipelineCamera:
    """What comes out of the end of a pipeline."""

    dating = Dating.ARRIVAL

    def __init__(
        self, pipeline: str, clock: Clock, start_limit_s: float = START_LIMIT_S / 2
    ) -> None:
        """Start `pipeline`, the words after `gst:`; it has `start_limit_s` to name its size.

        Raises:
            CameraError: GStreamer is missing, or the pipeline delivers no video.
        """
        self._clock = clock
        self._start_limit_s = start_limit_s
        self._pipeline = pipeline
        program = shutil.which(LAUNCH, path=isolation.search_path(os.environ))
        if program is None:
            raise CameraError(f"{PREFIX}{redacted(pipeline)}: expected {LAUNCH} to be installed")
        words = pipeline_words(pipeline)
        self.identity = CameraIdentity(
            "pipeline", driver_of(words, _v4l2_driver), "", redacted(pipeline)
        )
        self._frames_fd, write_fd = os.pipe()
        self.layout = layout_of(words)
        self.rate_hz = 0.0  # not known
        self._unread = b""  # of what the launcher says, an unfinished line
        self._written: deque[int | None] = deque()  # stream times of the frames in the pipe
        self._resized = False
        teller = ["identity", f"name={_TELLER}", "silent=false", "!"]
        sink = ["fdsink", f"name={_NAME}", f"fd={write_fd}", "sync=false"]
        convert = ["!", "videoconvert", "!", f"video/x-raw,format={self.layout.value}", "!"]
        self._process = subprocess.Popen(
            [program, "-v", *words, *convert, *teller, *sink],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(write_fd,),
            env=isolation.environment({"GST_DEBUG": "0", "GST_DEBUG_NO_COLOR": "1"}),
        )
        os.close(write_fd)
        try:
            self.width, self.height = self._size()
            self._take_in(b"")  # what came along with the first size
            first = self._read()
            if first is None:
                raise self._refused("delivers no frame")
        except CameraError:
            self.close()
            raise
        self._first: Shot | None = first

    def shots(self, room: Room = nowhere, wanted: Wanted = always) -> Iterator[Shot]:
        shot, self._first = self._first, None
        while shot is not None:
            if wanted():
                yield shot
            shot = self._read(room)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        if self._frames_fd >= 0:
            os.close(self._frames_fd)
            self._frames_fd = -1

    def _size(self) -> tuple[int, int]:
        """(width, height) that the last element agreed on, from what the launcher says."""
        assert self._process.stdout is not None
        output = b""
        deadline = time.monotonic() + self._start_limit_s
        fd = self._process.stdout.fileno()
        while (left_s := deadline - time.monotonic()) > 0:
            if not select.select([fd], [], [], left_s)[0]:
                break
            part = os.read(fd, 65536)
            output += part
            caps = _CAPS.search(output)
            if caps is not None:
                width, height = _sides(caps[1])
                self._unread = output[caps.end() :]
                if not 0 < max(width, height) <= MAX_SIDE_PX or min(width, height) < 1:
                    raise self._refused(f"is {width}x{height}, at most {MAX_SIDE_PX} px a side")
                if self.layout.planar and (width % 2 or height % 2):
                    raise self._refused(
                        f"is {width}x{height}: expected even sides in {self.layout.value}"
                    )
                return width, height
            if not part:
                break
        raise self._refused("delivers no video")

    def _read(self, room: Room = nowhere) -> Shot | None:
        """The next whole frame, freed of the padding it has on its way."""
        planes = padded(self.layout, self.height, self.width)
        coming = sum(rows * row for rows, row in planes)
        tight = coming == self.layout.bytes(self.height, self.width)
        frame = room() if tight else None
        if frame is None:
            frame = np.empty(self.layout.shape(self.height, self.width), np.uint8)
        data = frame.reshape(-1) if tight else np.empty(coming, np.uint8)
        view = data.data
        until = time.monotonic() + SILENT_S
        while view:
            left_s = max(0.0, until - time.monotonic())
            if not select.select([self._frames_fd], [], [], left_s)[0]:
                return None  # silent, or it drips: as good as gone
            count = os.readv(self._frames_fd, [view])
            if count == 0:
                return None
            view = view[count:]
        captured_ns = self._clock.now_ns()
        if not tight:
            for plane, (rows, row) in zip(self.layout.planes(frame), planes, strict=True):
                plane[:] = (
                    data[: rows * row].reshape(rows, row)[:, : plane[0].size].reshape(plane.shape)
                )
                data = data[rows * row :]
        return Shot(frame, captured_ns, self._written.popleft()) if self._is_whole() else None

    def _is_whole(self) -> bool:
        """Whether the launcher tells of the frame just read that it is whole and of our size.

        Frames of another size would else be cut and pasted to ours. Its word of a
        frame may come after the frame, but before that of any later one.
        """
        until = time.monotonic() + SILENT_S
        while not self._written and not self._resized and time.monotonic() < until:
            if not self._listen(SILENT_S):
                break
        self._listen(0)  # so that it never waits for us to
        return bool(self._written) and not self._resized

    def _listen(self, wait_s: float) -> bool:
        """Take what the launcher says; whether it will say more."""
        assert self._process.stdout is not None and self._process.stderr is not None
        says = self._process.stdout.fileno()
        for fd in select.select([says, self._process.stderr.fileno()], [], [], wait_s)[0]:
            part = os.read(fd, 65536)
            if fd == says:
                if not part:
                    return False
                self._take_in(part)
        return True

    def _take_in(self, part: bytes) -> None:
        """Note sizes and frames in what the launcher goes on to say."""
        *lines, self._unread = (self._unread + part).split(b"\n")
        self._unread = self._unread[-_LINE:]
        expected = sum(rows * row for rows, row in padded(self.layout, self.height, self.width))
        for line in lines:
            caps, frame = _CAPS.search(line + b"\n"), _FRAME.search(line)
            if caps is not None:
                self._resized |= _sides(caps[1]) != (self.width, self.height)
            if frame is not None:
                self._resized |= int(frame[1]) != expected
                self._written.append(_stream_ns(frame))

    def _refused(self, what: str) -> CameraError:
        self._process.kill()
        assert self._process.stderr is not None
        output = b""
        with contextlib.suppress(OSError):
            output = self._process.stderr.read()
        lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
        why = f": {lines[0].strip()}" if lines else ""
        return CameraError(redacted(f"{PREFIX}{self._pipeline}: the pipeline {what}{why}"))
