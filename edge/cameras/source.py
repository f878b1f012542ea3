"""The one parser of a source string: what kind of source it names, and whether it is live.

`run`, `guard.toml`, `config check`, `camera enroll` and the capture process all
ask here, so that no two of them can answer differently. Nothing is opened.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edge.cameras.redact import redacted
from edge.errors import CameraError, wrong_in

NETWORK = ("rtsp", "rtsps", "http", "https", "rtp", "udp", "tcp", "srt")
EXPECTED = "a V4L2 index or device, picamera2:N, a URL, gst:PIPELINE, a video file"
_CAMERAS = frozenset({"v4l2src", "libcamerasrc", "nvarguscamerasrc", "nvv4l2camerasrc", "rtspsrc"})
_SOURCE = re.compile(r"(src|playbin|uri\w*bin)\d*$")
_REFERENCE = re.compile(r"\w+\.\w*")  # to an element that stands elsewhere, as in `t. ! queue`
_CAPS = re.compile(r"(?:video|image)/[\w.\-]+")


class SourceKind(Enum):
    """What stands behind a source string."""

    V4L2 = "v4l2"
    STREAM = "stream"
    PIPELINE = "pipeline"
    PICAMERA2 = "picamera2"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class CameraSource:
    """A parsed source: its kind, and what its adapter is to open."""

    kind: SourceKind
    target: str  # device node, address, words of a pipeline, number of a camera, path

    @property
    def live(self) -> bool:
        """Whether it is a camera, not a recording."""
        return self.kind is not SourceKind.FILE

    @property
    def text(self) -> str:
        """The source as one string that parses to itself; may hold credentials."""
        prefix = {SourceKind.PIPELINE: "gst:", SourceKind.PICAMERA2: "picamera2:"}
        return prefix.get(self.kind, "") + self.target

    @property
    def shown(self) -> str:
        """The same without credentials, for whatever people see."""
        return redacted(self.text) if self.live else self.text


def parse_source(text: str) -> CameraSource:
    """What `text` names; the scheme may be written in capitals.

    Raises:
        CameraError: it is empty, or an address that is no network camera's.
    """
    text = text.strip()
    if not text:
        raise CameraError(f"source: expected {EXPECTED}, got nothing")
    scheme, colon, rest = text.partition(":")
    match scheme.lower():
        case "gst" if colon:
            if not rest.strip():
                raise CameraError("gst: expected a pipeline after it, got nothing")
            return CameraSource(SourceKind.PIPELINE, rest.strip())
        case "picamera2":
            return CameraSource(SourceKind.PICAMERA2, rest or "0")
    if "://" in text:
        scheme, _, rest = text.partition("://")
        if scheme.lower() not in NETWORK:
            raise CameraError(
                f"{scheme}://: expected a network camera ({', '.join(NETWORK)}); "
                "name a recording by its path"
            )
        return CameraSource(SourceKind.STREAM, f"{scheme.lower()}://{rest}")
    if text.isascii() and text.isdigit():
        return CameraSource(SourceKind.V4L2, f"/dev/video{int(text)}")
    if text.startswith("/dev/") and not text.startswith("/dev/shm/"):
        return CameraSource(SourceKind.V4L2, text)
    return CameraSource(SourceKind.FILE, text)


def resolve_source(text: str, folder: Path) -> str:
    """`text` with a recording's relative path starting at `folder`.

    Raises:
        CameraError: as `parse_source`.
    """
    source = parse_source(text)
    return source.text if source.live else str(folder / source.target)


def pipeline_words(pipeline: str) -> list[str]:
    """The words of a pipeline, caps with spaces in them (`video/x-raw, format = NV12`) as one.

    Raises:
        CameraError: a quote is not closed.
    """
    with wrong_in(f"gst:{redacted(pipeline)}: not a pipeline", ValueError, as_=CameraError):
        parts = shlex.split(pipeline)
    words: list[str] = []
    for part in parts:
        joins = bool(words) and (words[-1].endswith((",", "=")) or part.startswith((",", "=")))
        if joins and _CAPS.match(words[-1]) and part != "!":
            words[-1] += part
        else:
            words.append(part)
    return words


def driver_of(words: list[str], of_node: Callable[[str], str]) -> str:
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
