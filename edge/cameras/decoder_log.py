"""FFmpeg's log while OpenCV reads: the only sign of a picture that failed to decode.

`VideoCapture.read` returns True and its last picture again where FFmpeg cannot
convert a frame (interlaced video, for one), skips damaged packets without a
word, and scales a picture of another size to that of the first one. FFmpeg
reports the first two as errors in its log, and a decoder announces each new
size there, so this hooks the log of the very library that OpenCV loaded and
counts by kind. Counts are of the whole process: what another capture caused is
counted too, which blocks more. So a process reads one recording at a time.
"""

from __future__ import annotations

import atexit
import ctypes
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge.errors import CameraError, wrong_in

_ERROR = 16  # AV_LOG_ERROR: this level and the graver ones below it
_CONVERTERS = (b"swscaler", b"sws")  # class names of FFmpeg's picture conversion, lower case
_DECODER = b"AVCodecContext"
_SIZED = b"Format %s chosen by get_format().\n"  # a decoder says so once its size is set
_DESCRIBED = re.compile(rb"^Video: (\w+).*?, (\d+)x(\d+)", re.S)  # as `avcodec_string` writes it
_KEPT = 64  # announcements: more than a decoder has threads
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Heard:
    """Errors so far in this process, by what reported them."""

    conversion: int = 0  # a decoded picture was not converted: what comes back is not it
    damage: int = 0  # a packet could not be read or decoded as it stands
    sized: int = 0  # a decoder announced the size of its pictures


@dataclass(frozen=True, slots=True)
class Coded:
    """What a decoder announced of its pictures, before any turning or scaling."""

    codec: str  # FFmpeg's name, "h264" for one
    width: int
    height: int

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"


class DecoderLog:
    """Counts the errors of one loaded FFmpeg."""

    def __init__(self, utilities: Path, codecs: Path) -> None:
        """Hook the log of FFmpeg's libavutil; its libavcodec names what decoders announce.

        Raises:
            CameraError: they are no such libraries.
        """
        self._conversion = 0
        self._damage = 0
        self._sized = 0
        self._announced: deque[Coded] = deque(maxlen=_KEPT)
        self._callback = _CALLBACK(self._receive)  # kept: FFmpeg calls it as long as it lives
        with wrong_in(
            f"{utilities}: expected FFmpeg's libraries", OSError, AttributeError, as_=CameraError
        ):
            loaded = ctypes.CDLL(str(utilities))
            hook, default = loaded.av_log_set_callback, loaded.av_log_default_callback
            self._describe = ctypes.CDLL(str(codecs)).avcodec_string
        self._describe.argtypes = (ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
        self._describe.restype = None
        self._hook = hook
        self.attach()
        atexit.register(hook, default)  # a decoder thread may outlive the interpreter

    def attach(self) -> None:
        """Hook again: OpenCV sets its own callback when its first capture opens."""
        self._hook(self._callback)

    @property
    def heard(self) -> Heard:
        return Heard(self._conversion, self._damage, self._sized)

    def last_announced(self, count: int) -> list[Coded]:
        """The last `count` announcements, as far as they are kept."""
        kept = list(self._announced)
        return kept[max(0, len(kept) - count) :]

    def _receive(self, context: int | None, level: int, text: bytes, arguments: int) -> None:
        if level > _ERROR:
            if text == _SIZED and context is not None and _class_name(context) == _DECODER:
                self._announce(context)
            return
        if _class_name(context).lower().startswith(_CONVERTERS):
            self._conversion += 1
        else:
            self._damage += 1

    def _announce(self, decoder: int) -> None:
        """Note the size that `decoder` has now; it is alive, for it is what is speaking."""
        text = ctypes.create_string_buffer(512)
        self._describe(text, len(text), decoder, 0)
        found = _DESCRIBED.match(text.value)
        if found is not None:
            self._announced.append(Coded(found[1].decode(), int(found[2]), int(found[3])))
            self._sized += 1


def _class_name(context: int | None) -> bytes:
    """The name in the AVClass that every FFmpeg context begins with; empty for none."""
    if not context:
        return b""
    described = ctypes.c_void_p.from_address(context).value
    if not described:
        return b""
    return ctypes.c_char_p.from_address(described).value or b""


_log: DecoderLog | None = None


def decoder_log() -> DecoderLog:
    """The log of the FFmpeg that OpenCV uses in this process.

    Raises:
        CameraError: this build of OpenCV has none that can be heard.
    """
    global _log
    if _log is None:
        _log = DecoderLog(_library("libavutil"), _library("libavcodec"))
    _log.attach()
    return _log


def _library(name: str) -> Path:
    """The one library of FFmpeg's that OpenCV loaded under this name."""
    folder = Path(cv2.__file__).parent.parent
    loaded = {
        Path(line.rsplit(maxsplit=1)[-1])
        for line in Path("/proc/self/maps").read_text(errors="replace").splitlines()
        if f"/{name}" in line
    }
    own = sorted(path for path in loaded if folder in path.parents)
    found = own or sorted(loaded)
    if len(found) != 1:
        raise CameraError(
            "this build of OpenCV does not report which pictures it failed to decode: expected one "
            f"{name} in the process, found {len(found)}; install opencv-python-headless"
        )
    return found[0]
