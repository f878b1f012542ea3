"""How this processor decodes a clip, beside the pictures that the host decoded.

    python -m bench.device.within.pictures CLIP COPY SHA256

COPY is the host's lossless copy of the clip, or of its beginning. Exit code 1 if the copy does not
have the host's pictures here, or the clip has fewer. Rounding of colours is only reported.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from bench.device import pictures


def compared(clip: Path, copy: Path) -> tuple[int, float, int]:
    """How many pictures both have; the share of values that differ, and by how much at most.

    The share is from 0 to 1, the distance in levels from 0 to 255.
    """
    count = values = other = most = 0
    for theirs, ours in zip(pictures.frames(copy), pictures.frames(clip), strict=False):
        if theirs.shape != ours.shape:
            break
        apart = np.abs(theirs.astype(np.int16) - ours)
        count, values = count + 1, values + apart.size
        other, most = other + int(np.count_nonzero(apart)), max(most, int(apart.max()))
    return count, other / max(values, 1), most


def main(arguments: list[str] | None = None) -> int:
    clip, copy, sha256 = arguments or sys.argv[1:]
    count, found = pictures.digest(pictures.frames(Path(copy)))
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
