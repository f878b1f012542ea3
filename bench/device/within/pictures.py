"""How this processor decodes a clip, beside the pictures that the host decoded.

    python -m bench.device.within.pictures CLIP COPY SHA256

COPY is the host's lossless copy of the clip, or of its beginning. Exit code 1 if the copy does not
have the host's pictures here, or the clip has fewer. Rounding of colours is only reported.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np


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


def compared(clip: Path, copy: Path) -> tuple[int, float, int]:
    """How many pictures both have; the share of values that differ, and by how much at most.

    The share is from 0 to 1, the distance in levels from 0 to 255.
    """
    count = values = other = most = 0
    for theirs, ours in zip(frames(copy), frames(clip), strict=False):
        if theirs.shape != ours.shape:
            break
        apart = np.abs(theirs.astype(np.int16) - ours)
        count, values = count + 1, values + apart.size
        other, most = other + int(np.count_nonzero(apart)), max(most, int(apart.max()))
    return count, other / max(values, 1), most


def main(arguments: list[str] | None = None) -> int:
    clip, copy, sha256 = arguments or sys.argv[1:]
    count, found = digest(frames(Path(copy)))
    if found != sha256:
        print(f"the copy has other pictures than on the host: {found[:16]} of {count}")
        return 1
    same, share, most = compared(Path(clip), Path(copy))
    if same < count:
        print(f"{same} of {count} pictures were decoded from the clip itself")
        return 1
    own = "the clip decodes to the same bytes"
    if most:
        own = f"the clip's own decoding differs in {share:.0%} of the values, by {most} at most"
    print(f"{count} pictures of the copy are the host's; {own}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
