"""A GStreamer pipeline as a camera, e.g. `gst:nvarguscamerasrc ! nvvidconv` on a Jetson.

The pipeline runs in a `gst-launch-1.0` of its own, which is asked for BGR and
writes raw frames into a pipe; one that ends in `video/x-raw,format=NV12` (or
I420) is taken as it comes, which spares the conversion and half the bytes. A
crash in a plug-in takes no process of ours with it. A pipe carries no times, so
frames are dated when they arrive (`Dating.ARRIVAL`). A pipeline that delivers
nothing for `SILENT_S` has ended. Nothing needs to be installed for Python. All
times are nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import numpy as np

from edge import isolation
from edge.cameras.layout import Layout
from edge.cameras.opencv import SILENT_S, CameraIdentity, Dating, Room, Shot, nowhere
from edge.cameras.recording import MAX_SIDE_PX
from edge.cameras.redact import redacted
from edge.cameras.source import pipeline_words
from edge.cameras.v4l2 import v4l2_identity
from edge.clock import Clock
from edge.errors import CameraError

PREFIX = "gst:"
_CAMERAS = frozenset({"v4l2src", "libcamerasrc", "nvarguscamerasrc", "nvv4l2camerasrc", "rtspsrc"})
LAUNCH = "gst-launch-1.0"
_NAME = "framegate"
_START_S = 15.0
_CAPS = re.compile(rb"/GstFdSink:framegate\.GstPad:sink: caps = (video/x-raw[^\n]*)\n")
_SOURCE = re.compile(r"(src|playbin|uri\w*bin)\d*$")
_REFERENCE = re.compile(r"\w+\.\w*")  # to an element that stands elsewhere, as in `t. ! queue`
_PLANAR = re.compile(r"video/x-raw(?:,.*)?,format=(?:\(string\))?(NV12|I420)(?:,.*)?")
_SIDE = {name: re.compile(rb"%s=\(int\)(\d+)" % name.encode()) for name in ("width", "height")}


def _v4l2_driver(node: str) -> str:
    """The driver behind a device node; one that cannot be asked is no camera."""
    try:
        return v4l2_identity(node).driver
    except CameraError:
        return "loopback"


def driver_of(words: list[str], of_node: Callable[[str], str] = _v4l2_driver) -> str:
    """What the identity calls the driver: "gstreamer" if every source is a camera's.

    Else "loopback": such a picture is made, not captured, and the guard blocks
    it whatever the record says. A source is what stands at the head of a chain,
    and whatever is called one; `of_node` names the driver behind a device node.
    """
    heads, nodes = set(), set()
    for before, word in zip(["", *words], words, strict=False):
        key, assigned, value = word.partition("=")
        if (assigned and not (key and value)) or (not assigned and "!" in word[:-1] + word[1:]):
            return "loopback"  # what is written closer or wider than usual is not followed
        if key in ("device", "device-fd"):
            nodes.add(value if key == "device" else "")
        elif assigned or word == "!" or _REFERENCE.fullmatch(word):
            continue
        elif before != "!" or _SOURCE.search(word):
            heads.add(word)
    if "v4l2src" in heads and not nodes:
        nodes.add("/dev/video0")
    if not heads or not heads <= _CAMERAS:
        return "loopback"
    made = any(of_node(node) == "loopback" for node in nodes)
    return "loopback" if made else "gstreamer"


def layout_of(words: list[str]) -> Layout:
    """The layout to take a pipeline's frames in: what its last words ask for, or BGR."""
    asked = _PLANAR.fullmatch(words[-1]) if words else None
    return Layout(asked[1]) if asked is not None else Layout.BGR


def padded(layout: Layout, height: int, width: int) -> tuple[tuple[int, int], ...]:
    """(rows, bytes a row) of each plane as GStreamer lays it out: rows begin at a multiple of 4."""
    row = -(-width // 4) * 4
    match layout:
        case Layout.BGR:
            return ((height, -(-width * 3 // 4) * 4),)
        case Layout.NV12:
            return (height, row), (height // 2, row)
        case Layout.I420:
            half = -(-width // 8) * 4
            return (height, row), (height // 2, half), (height // 2, half)


class PipelineCamera:
    """What comes out of the end of a pipeline."""

    dating = Dating.ARRIVAL

    def __init__(self, pipeline: str, clock: Clock) -> None:
        """Start `pipeline`, the words after `gst:`.

        Raises:
            CameraError: GStreamer is missing, or the pipeline delivers no video.
        """
        self._clock = clock
        self._pipeline = pipeline
        program = shutil.which(LAUNCH, path=isolation.search_path(os.environ))
        if program is None:
            raise CameraError(f"{PREFIX}{redacted(pipeline)}: expected {LAUNCH} to be installed")
        words = pipeline_words(pipeline)
        self.identity = CameraIdentity("pipeline", driver_of(words), "", redacted(pipeline))
        self._frames_fd, write_fd = os.pipe()
        self.layout = layout_of(words)
        self.rate_hz = 0.0  # not told
        sink = ["fdsink", f"name={_NAME}", f"fd={write_fd}", "sync=false"]
        convert = ["!", "videoconvert", "!", f"video/x-raw,format={self.layout.value}", "!"]
        self._process = subprocess.Popen(
            [program, "-v", *words, *convert, *sink],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(write_fd,),
            env=isolation.environment({"GST_DEBUG": "0", "GST_DEBUG_NO_COLOR": "1"}),
        )
        os.close(write_fd)
        try:
            self.width, self.height = self._size()
            first = self._read()
            if first is None:
                raise self._refused("delivers no frame")
        except CameraError:
            self.close()
            raise
        self._first: Shot | None = first

    def shots(self, room: Room = nowhere) -> Iterator[Shot]:
        shot, self._first = self._first, None
        while shot is not None:
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
        deadline = time.monotonic() + _START_S
        fd = self._process.stdout.fileno()
        while (left_s := deadline - time.monotonic()) > 0:
            if not select.select([fd], [], [], left_s)[0]:
                break
            part = os.read(fd, 65536)
            output += part
            caps = _CAPS.search(output)
            if caps is not None:
                sides = [pattern.search(caps[1]) for pattern in _SIDE.values()]
                width, height = (int(side[1]) if side is not None else 0 for side in sides)
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
        while view:
            if not select.select([self._frames_fd], [], [], SILENT_S)[0]:
                return None  # silent: as good as gone
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
        self._listen()
        return Shot(frame, captured_ns)

    def _listen(self) -> None:
        """Take what the launcher says on, so that it never waits for us to."""
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            while select.select([stream], [], [], 0)[0] and os.read(stream.fileno(), 65536):
                pass

    def _refused(self, what: str) -> CameraError:
        self._process.kill()
        assert self._process.stderr is not None
        output = b""
        with contextlib.suppress(OSError):
            output = self._process.stderr.read()
        lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
        why = f": {lines[0].strip()}" if lines else ""
        return CameraError(redacted(f"{PREFIX}{self._pipeline}: the pipeline {what}{why}"))
