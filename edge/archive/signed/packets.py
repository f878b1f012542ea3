"""The coded packets of a recording, out of whatever container it is in.

FFmpeg takes them out, as it does for decoding: so what a signature is verified over is what is
decoded, and no second reading of the container can differ from the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import cv2

from edge.archive.signed.nal import Codec, is_stream, units
from edge.cameras.decoder_log import decoder_log
from edge.cameras.recording import only_recordings
from edge.cameras.recording_file import RecordingFile
from edge.errors import CameraError

_CODED = (cv2.CAP_PROP_FORMAT, -1, cv2.CAP_PROP_N_THREADS, 1)
_NAMES = {
    **dict.fromkeys(("h264", "avc1", "avc3", "x264", "davc"), Codec.H264),
    **dict.fromkeys(("hevc", "hvc1", "hev1", "h265", "x265"), Codec.H265),
}


class Packets:
    """The NAL units of a recording's video, in order."""

    def __init__(self, path: Path) -> None:
        """Open a recording.

        Raises:
            CameraError: it cannot be read, or is no container of video.
        """
        self._path = path
        self._file = RecordingFile(path)
        self.sha256 = self._file.sha256
        with only_recordings():
            stream = cast("cv2.IStreamReader", self._file)  # it takes any buffered reader
            self._capture = cv2.VideoCapture(stream, cv2.CAP_FFMPEG, _CODED)
        decoder_log().attach()  # which opening undid; FFmpeg would write to our standard error
        if not self._capture.isOpened():
            self.close()
            raise CameraError(f"{path}: its container cannot be read")
        tag = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        self.name = tag.to_bytes(4, "little").decode("latin-1").strip("\0 ").lower()
        self.codec = _NAMES.get(self.name)  # None: one that carries no such signatures

    def units(self) -> Iterator[bytes]:
        """The units of each packet.

        Raises:
            CameraError: a packet is no byte stream, or the file cannot be read to its end.
        """
        while True:
            found, packet = self._capture.read()
            if self._file.trouble is not None:
                raise CameraError(f"{self._path}: it {self._file.trouble}")
            if not found:
                return
            data = packet.tobytes()
            if not is_stream(data):
                raise CameraError(f"{self._path}: a packet is no byte stream of {self.name}")
            yield from units(data)

    def close(self) -> None:
        if hasattr(self, "_capture"):
            self._capture.release()
        self._file.close()
