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


def main(arguments: list[str] | None = None) -> int:
    clip, copy, sha256 = arguments or sys.argv[1:]
    count, both, values, other, most = 0, 0, 0, 0, 0
    found, own = hashlib.sha256(), frames(Path(clip))
    for picture in frames(Path(copy)):
        found.update(picture.tobytes())
        count += 1
        decoded = next(own, None)
        if decoded is not None and decoded.shape == picture.shape:
            apart = cv2.absdiff(picture, decoded).reshape(-1)
            both, values = both + 1, values + apart.size
            other, most = other + cv2.countNonZero(apart), max(most, int(apart.max()))
    if found.hexdigest() != sha256:
        print(f"the copy has other pictures than on the host: {found.hexdigest()[:16]} of {count}")
        return 1
    if both < count:
        print(f"{both} of {count} pictures were decoded from the clip itself")
        return 1
    same = "the clip decodes to the same bytes"
    if other:
        same = (
            f"the clip's own decoding differs in {other / values:.0%} of values, by {most} at most"
        )
    print(f"{count} pictures of the copy are the host's; {same}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
