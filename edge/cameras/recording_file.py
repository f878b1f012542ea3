"""The bytes of a recording: digested once, and the same bytes are what is decoded.

One descriptor serves the digest and the decoder; FFmpeg is never given a path,
so no name can be misread and no other file can take this one's place. A file
that is written to while it is read is noticed: each block is compared with the
digest it had at first. Only containers that hold the video themselves are taken;
a playlist that names other files is none.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from pathlib import Path

from edge.errors import CameraError, failing

_BLOCK = 1 << 20  # bytes
_KEPT = 4  # blocks in memory
_HEAD = 1024  # bytes that tell the container
_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"))
_RAW = b"YUV4MPEG2 "
_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"\x00\x00\x01",  # MPEG program or elementary stream, H.264, H.265
    b"\x00\x00\x00\x01",  # H.264, H.265
    b"FLV\x01",
    b"OggS",
    b"DKIF",  # IVF
    _RAW,
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
)
_PACKET = (188, 192)  # bytes of an MPEG transport stream's packet; 192 with a time before each
_PLAYLISTS = {
    b"ffconcat": "an ffconcat playlist",
    b"#extm3u": "an HLS playlist",
    b"<mpd": "a DASH playlist",
    b"<?xml": "XML text",
    b"[playlist]": "a playlist",
    b"v=0": "an SDP session description",
}
DEMUXERS = "mov,avi,matroska,mpegts,mpeg,mpegvideo,h264,hevc,m4v,flv,ogg,ivf,yuv4mpegpipe,asf"
"""FFmpeg's names for the containers that may be opened; none of them opens another file."""


class RecordingFile(io.BufferedIOBase):
    """A recording as a stream of checked bytes, for `cv2.VideoCapture`.

    `sha256` is the hex digest of all of it. It does not raise while the decoder
    reads, which could not pass that on: it ends the stream and notes `trouble`.
    """

    def __init__(self, path: Path) -> None:
        """Open and digest `path`.

        Raises:
            CameraError: no regular file, unreadable, or not a container of video.
        """
        self.trouble: str | None = None
        self._fd = _open(path)
        try:
            self._size = os.fstat(self._fd).st_size
            head = os.pread(self._fd, _HEAD, 0)
            _check_container(path, head)
            self.fixed_size = head.startswith(_RAW)  # that of its first line, for good
            self.sha256, self._digests = self._digest()
        except OSError as err:
            os.close(self._fd)
            raise CameraError(f"{path}: cannot be read: {err.strerror}") from err
        except CameraError:
            os.close(self._fd)
            raise
        self._at = 0
        self._blocks: dict[int, bytes] = {}

    def read(self, size: int | None = -1, /) -> bytes:
        number, offset = divmod(self._at, _BLOCK)
        if self.trouble is not None or number >= len(self._digests):
            return b""
        block = self._block(number)
        wanted = len(block) if size is None or size < 0 else size
        part = block[offset : offset + wanted]
        self._at += len(part)
        return part

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
            self._blocks.clear()
        super().close()

    def _digest(self) -> tuple[str, list[bytes]]:
        whole, digests, at = hashlib.sha256(), [], 0
        while block := os.pread(self._fd, _BLOCK, at):
            while len(block) < _BLOCK and (more := os.pread(self._fd, _BLOCK, at + len(block))):
                block = (block + more)[:_BLOCK]
            whole.update(block)
            digests.append(_short(block))
            at += len(block)
        self._size = at
        return whole.hexdigest(), digests

    def _block(self, number: int) -> bytes:
        """The block, checked; empty, with `trouble` noted, if it is not what was digested."""
        if number in self._blocks:
            return self._blocks[number]
        length = min(_BLOCK, self._size - number * _BLOCK)
        try:
            block = os.pread(self._fd, length, number * _BLOCK)
        except OSError as err:
            self.trouble = f"cannot be read: {err.strerror}"
            return b""
        if _short(block) != self._digests[number]:
            self.trouble = "was changed while it was read"
            return b""
        if len(self._blocks) >= _KEPT:
            del self._blocks[next(iter(self._blocks))]
        self._blocks[number] = block
        return block


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a recording, as `RecordingFile` finds it.

    Raises:
        CameraError: as there.
    """
    with RecordingFile(path) as file:
        return file.sha256


def _short(block: bytes) -> bytes:
    return hashlib.blake2b(block, digest_size=32).digest()


def _open(path: Path) -> int:
    with failing(f"{path}: expected a video file", as_=CameraError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe does not hold us up
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise CameraError(f"{path}: expected a video file, this is no regular file")
    return fd


def _check_container(path: Path, head: bytes) -> None:
    if not head:
        raise CameraError(f"{path}: expected a video file, this one is empty")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, name in _PLAYLISTS.items():
        if text.startswith(start):
            raise CameraError(
                f"{path}: is {name}, no recording: name the file that holds the video itself"
            )
    if not _is_container(head):
        raise CameraError(
            f"{path}: expected a video file (MP4, MOV, AVI, Matroska, WebM, MPEG, FLV, Ogg, IVF, "
            "Y4M or ASF), its first bytes are of none of these"
        )


def _is_container(head: bytes) -> bool:
    if head[4:8] in _BOXES or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return True
    if head.startswith(_STARTS):
        return True
    return any(
        all(head[at : at + 1] == b"G" for at in range(packet - 188, packet * 3, packet))
        for packet in _PACKET
    )
