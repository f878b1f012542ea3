"""Lossless copies of clips: the same pictures, byte for byte, on every processor.

A compressed clip is not the same on all of them: FFmpeg's conversion of colours rounds otherwise on
ARM than on x86-64. Decisions can only be compared where the pictures are the same, so both sides
replay a copy of what this host decoded (FFV1, whose pictures are exact on any processor).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import UsageError

CODEC = "FFV1"  # RFC 9043
SUFFIX = ".mkv"


@dataclass(frozen=True, slots=True)
class Copy:
    """A lossless copy, the number of its pictures and the SHA-256 of all their bytes."""

    path: Path
    count: int
    sha256: str


def frames(clip: Path) -> Iterator[np.ndarray]:
    """The pictures of a clip, (height, width, 3) uint8 in BGR."""
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    try:
        while (read := capture.read())[0]:
            yield read[1]
    finally:
        capture.release()


def digest(pictures: Iterator[np.ndarray]) -> tuple[int, str]:
    """How many they are, and the SHA-256 of their bytes."""
    found, count = hashlib.sha256(), 0
    for picture in pictures:
        found.update(picture.tobytes())
        count += 1
    return count, found.hexdigest()


def copy(clip: Path, folder: Path, seconds: float | None = None) -> Copy:
    """Copy a clip, or its first seconds, into a folder; read the copy once to be sure of it.

    Raises:
        UsageError: the clip has no picture, or the copy has others than the clip.
    """
    into, rate_hz = folder / f"{clip.name}{SUFFIX}", _rate_hz(clip)
    end = None if seconds is None else max(round(seconds * rate_hz), 1)
    wanted, writer = hashlib.sha256(), None
    for picture in islice(frames(clip), end):
        if writer is None:
            size: Any = picture.shape[1::-1]
            code = cv2.VideoWriter.fourcc(*CODEC)
            writer = cv2.VideoWriter(str(into), cv2.CAP_FFMPEG, code, rate_hz, size)
        writer.write(picture)
        wanted.update(picture.tobytes())
    if writer is None:
        raise UsageError(f"expected a clip with pictures; got {clip}")
    writer.release()
    count, sha256 = digest(frames(into))
    if sha256 != wanted.hexdigest():
        raise UsageError(f"{clip}: its lossless copy has other pictures than the clip")
    return Copy(into, count, sha256)


def _rate_hz(clip: Path) -> float:
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    try:
        return float(capture.get(cv2.CAP_PROP_FPS)) or 25.0
    finally:
        capture.release()
