"""How this processor decodes a clip, beside the pictures that the host decoded.

    python -m bench.device.within.pictures CLIP COPY SHA256 SMALLER

COPY is the host's lossless copy of the clip, or of its beginning. Exit code 1 if the copy does not
have the host's pictures here, if the first become others when they are made smaller for the models
and the view, or if the clip has fewer. Rounding of colours is only reported.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge.view import gradients
from edge.view.bodies import SIZES
from edge.view.exact.area import shrunk

_FACES, _MOTION = (320, 192), (320, 213)  # width and height; the second is no whole part
_SEEN = 4  # pictures that are made smaller: an emulated device takes seconds for each


def frames(clip: Path) -> Iterator[np.ndarray]:
    """The pictures of a clip, (height, width, 3) uint8 in BGR."""
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    try:
        while (read := capture.read())[0]:
            yield read[1]
    finally:
        capture.release()


def smaller(picture: np.ndarray) -> bytes:
    """What the models and the view see of a picture: the same bytes on every processor."""
    exact = cv2.INTER_LINEAR_EXACT
    looks = [cv2.resize(picture, size, interpolation=exact) for size in (_FACES, *SIZES.values())]
    by_area = shrunk(np.asarray(picture, np.uint8), _MOTION), gradients.vectors(picture)
    return b"".join(look.tobytes() for look in (*looks, *by_area))


def digest(pictures: Iterator[np.ndarray]) -> tuple[int, str, str]:
    """How many they are, and the SHA-256 of their bytes, and of what is seen of the first."""
    found, less, count = hashlib.sha256(), hashlib.sha256(), 0
    for picture in pictures:
        found.update(picture.tobytes())
        less.update(smaller(picture) if count < _SEEN else b"")
        count += 1
    return count, found.hexdigest(), less.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    clip, copy, sha256, sha256_smaller = arguments or sys.argv[1:]
    count, both, values, other, most = 0, 0, 0, 0, 0
    found, less, own = hashlib.sha256(), hashlib.sha256(), frames(Path(clip))
    for picture in frames(Path(copy)):
        found.update(picture.tobytes())
        less.update(smaller(picture) if count < _SEEN else b"")
        count += 1
        decoded = next(own, None)
        if decoded is not None and decoded.shape == picture.shape:
            apart = cv2.absdiff(picture, decoded).reshape(-1)
            both, values = both + 1, values + apart.size
            other, most = other + cv2.countNonZero(apart), max(most, int(apart.max()))
    if found.hexdigest() != sha256:
        print(f"the copy has other pictures than on the host: {found.hexdigest()[:16]} of {count}")
        return 1
    if less.hexdigest() != sha256_smaller:
        print(f"the first {_SEEN} pictures become others than on the host when made smaller")
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
