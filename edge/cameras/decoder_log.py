"""What FFmpeg says while OpenCV reads: the one place where a failed picture shows.

`VideoCapture.read` returns True and its last picture again where FFmpeg cannot
convert a frame (interlaced video, for one), and skips damaged packets without a
word. FFmpeg reports both as errors in its log, so this hooks the log of the very
library that OpenCV loaded and counts them by kind. Counts are of the whole
process: an error that another capture caused is counted too, which blocks more.
"""

from __future__ import annotations

import atexit
import ctypes
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge.errors import CameraError

_ERROR = 16  # AV_LOG_ERROR: this level and the graver ones below it
_CONVERTERS = (b"swscaler", b"sws")  # class names of FFmpeg's picture conversion, lower case
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Heard:
    """Errors so far in this process, by what reported them."""

    conversion: int = 0  # a decoded picture was not converted: what comes back is not it
    damage: int = 0  # a packet could not be read or decoded as it stands


class DecoderLog:
    """Counts the errors of one loaded FFmpeg."""

    def __init__(self, library: Path) -> None:
        """Hook the log of `library`, FFmpeg's libavutil.

        Raises:
            CameraError: it is no such library.
        """
        self._conversion = 0
        self._damage = 0
        self._callback = _CALLBACK(self._hear)  # kept: FFmpeg calls it as long as it lives
        try:
            loaded = ctypes.CDLL(str(library))
            hook, default = loaded.av_log_set_callback, loaded.av_log_default_callback
        except (OSError, AttributeError) as err:
            raise CameraError(f"{library}: expected FFmpeg's libavutil: {err}") from err
        self._hook = hook
        self.attach()
        atexit.register(hook, default)  # a decoder thread may outlive the interpreter

    def attach(self) -> None:
        """Hook again: OpenCV sets its own callback when its first capture opens."""
        self._hook(self._callback)

    @property
    def heard(self) -> Heard:
        return Heard(self._conversion, self._damage)

    def _hear(self, context: int | None, level: int, text: bytes, arguments: int) -> None:
        if level > _ERROR:
            return
        if _class_name(context).lower().startswith(_CONVERTERS):
            self._conversion += 1
        else:
            self._damage += 1


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
        _log = DecoderLog(_libavutil())
    _log.attach()
    return _log


def _libavutil() -> Path:
    folder = Path(cv2.__file__).parent.parent
    loaded = {
        Path(line.rsplit(maxsplit=1)[-1])
        for line in Path("/proc/self/maps").read_text(errors="replace").splitlines()
        if "/libavutil" in line
    }
    own = sorted(path for path in loaded if folder in path.parents)
    found = own or sorted(loaded)
    if len(found) != 1:
        raise CameraError(
            "this build of OpenCV does not tell which pictures it failed to decode: expected one "
            f"libavutil in the process, found {len(found)}; install opencv-python-headless"
        )
    return found[0]
