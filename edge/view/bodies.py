"""Where bodies are: people seen from behind, bowed or cut off, not only faces.

Two small segmentation networks of MediaPipe (Selfie Segmentation, 2021, Apache-2.0;
`edge/models/body.card.md`), run by ONNX Runtime like every other model; see
`edge.models.tflite_onnx`. They give a mask, never a vector. They were
made for people within some two metres, and sometimes mistake a bottle or a bright
ornament for a person. So a mask may leave blocks out and explain what is hidden, but an
empty mask never permits anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.errors import ModelError
from edge.models import BODY, BODY_WIDE, runtime
from edge.models.pull import asset_bytes
from edge.models.tflite_onnx import INPUT, OUTPUT, convert
from edge.view import signs
from edge.view.signs import Pixels

SIZES = {BODY: (256, 256), BODY_WIDE: (256, 144)}  # width and height the networks take
MAYBE, SURELY = 128, 255
SURE = 0.5  # of the network, from which a place is a body
LOOKS = 12  # of a take
_SHARE = 0.3  # of a thumbnail pixel's part of the mask


class Bodies:
    """The networks, loaded once."""

    def __init__(self, *, both: bool = True, wide: bool | None = None) -> None:
        """Load both networks, or one.

        Args:
            both: looks twice, which finds more; otherwise once, in the shape nearer the picture's.
            wide: whether pictures are wider than high: only what looks at those is loaded.
                None where both shapes may come.

        Raises:
            ModelError: a file was not pulled, is not the pinned one, or not loadable.
        """
        self._all = both or wide is not None
        self._nets = []
        for name, (width, height) in SIZES.items():
            if not both and wide is not None and (width > height) is not wide:
                continue
            data = asset_bytes(name)
            try:
                converted = convert(data)
            except ModelError as err:
                raise ModelError(f"body model {name} {err}") from err
            self._nets.append((runtime.load(converted, f"body model {name}"), SIZES[name]))

    def find(self, frame: np.ndarray) -> Pixels:
        """Where bodies are in a BGR frame: thumbnail-shaped, 0, `MAYBE` or `SURELY`.

        `MAYBE` is where only one of two looks sees a body.

        Raises:
            ModelError: a network failed, or its answer cannot be true.
            MemoryError: it could get no memory.
        """
        wide = frame.shape[1] > frame.shape[0]
        looks = [
            _look(net, size, frame)
            for net, size in self._nets
            if self._all or (size[0] > size[1]) is wide
        ]
        found = np.where(np.any(looks, axis=0), MAYBE, 0)
        return np.asarray(np.where(np.all(looks, axis=0), SURELY, found), np.uint8)


def _look(
    net: runtime.onnxruntime.InferenceSession, size: tuple[int, int], frame: np.ndarray
) -> np.ndarray:
    """Where one network sees a body: booleans of the thumbnail's shape."""
    small = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR_EXACT)
    small = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
    planes = small.transpose(2, 0, 1).astype(np.float32) * np.float32(1 / 255)
    given = {INPUT: np.ascontiguousarray(planes[None])}
    (answer,) = runtime.ask(net, [OUTPUT], given, "body model")
    if answer.shape != (1, 1, size[1], size[0]) or not np.isfinite(answer).all():
        raise ModelError(f"body model gave an answer of shape {answer.shape}")
    there = (answer[0, 0] >= SURE).astype(np.float32)
    share = cv2.resize(there, (signs.WIDTH, signs.HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(share >= _SHARE, np.bool_)


def of_take(bodies: Bodies, frames: Sequence[np.ndarray]) -> list[Pixels]:
    """Where a body may be in each frame of a take, from `LOOKS` of them.

    A frame between two looks has the bodies of both.
    """
    if not frames:
        return []
    chosen = np.unique(np.linspace(0, len(frames) - 1, LOOKS).round().astype(int))
    seen = {int(number): bodies.find(frames[number]) for number in chosen}
    found = []
    for number in range(len(frames)):
        before = max(look for look in seen if look <= number)
        after = min(look for look in seen if look >= number)
        found.append(np.asarray(np.maximum(seen[before], seen[after]), np.uint8))
    return found
