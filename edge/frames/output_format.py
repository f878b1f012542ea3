"""What the matcher gets of each frame: all of it, or less where memory bandwidth is short.

The signed device record names the format. It reduces what is released and decides
nothing: the guard checks and judges every frame as a whole. `edge.frames.shaper` makes the copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge.errors import RecordError

SHRINK = (1, 8)
MIN_SIDE_PX = 16  # less is no picture of anybody


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A crop first, then every n pixels of a side become one, then only brightness is kept."""

    crop: tuple[float, float, float, float] | None = None  # left, top, right, bottom, 0 to 1
    grey: bool = False
    shrink: int = 1

    @property
    def whole(self) -> bool:
        """Whether every pixel is released."""
        return self.crop is None and self.shrink == 1


@dataclass(frozen=True, slots=True)
class Part:
    """What is released of a picture of one size, in camera pixels."""

    top: int
    left: int
    shape: tuple[int, ...]  # of the released picture: (H, W, 3), or (H, W) where it is grey

    @classmethod
    def of(cls, form: OutputFormat, height: int, width: int) -> Part:
        """`height` and `width` are the camera's.

        Raises:
            RecordError: the form leaves less than 16 pixels of a side.
        """
        left, top, right, bottom = form.crop or (0.0, 0.0, 1.0, 1.0)
        first_row, rows = _part(top, bottom, height, form)
        first_column, columns = _part(left, right, width, form)
        if not form.whole and min(rows, columns) < MIN_SIDE_PX:
            raise RecordError(
                f"[matcher.picture] leaves {columns}x{rows} pixels of the camera's "
                f"{width}x{height}: expected at least {MIN_SIDE_PX} a side"
            )
        shape = (rows, columns) if form.grey else (rows, columns, 3)
        return cls(first_row, first_column, shape)

    @property
    def bytes(self) -> int:
        """Bytes of a released picture."""
        return math.prod(self.shape)


def _part(low: float, high: float, length: int, form: OutputFormat) -> tuple[int, int]:
    """First pixel and released pixels of one side: the pixels the shares touch, made even."""
    if form.whole:
        return 0, length
    first = int(low * length) // 2 * 2
    last = min(length, math.ceil(high * length / 2) * 2)
    return first, (last - first) // (2 * form.shrink) * 2
