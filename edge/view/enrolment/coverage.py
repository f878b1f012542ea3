"""The result for each of the 48 blocks of a view at enrolment, and its drawing.

The drawing has no pixel of the view in it: like the fingerprint, it may be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import cv2
import numpy as np

from edge.view import signs

_CELL_PX = 64
_LINE = 19  # pixels of a line of the legend


class Cover(Enum):
    """What a block is: the sign it is drawn with, what that stands for, its colour (BGR)."""

    ENROLLED = "#", "enrolled", (90, 150, 60)
    PERSON = "p", "a person, or what looks like one", (60, 60, 200)
    MOVED = "m", "something moved here, or above", (60, 130, 220)
    UNSTEADY = "u", "does not hold still", (170, 120, 60)
    GLARE = "g", "glare", (90, 220, 230)
    PLAIN = ".", "plain", (150, 150, 150)

    def __init__(self, sign: str, words: str, colour: tuple[int, int, int]) -> None:
        self.sign, self.words, self.colour = sign, words, colour


Coverage = tuple[Cover, ...]  # one a block, row by row


def count(coverage: Sequence[Cover], what: Cover) -> int:
    """How many blocks are that."""
    return sum(cover is what for cover in coverage)


def draw(coverage: Sequence[Cover]) -> list[str]:
    """The picture as rows of signs, and what each sign stands for."""
    rows = [
        "  " + " ".join(cover.sign for cover in coverage[start : start + signs.COLUMNS])
        for start in range(0, signs.BLOCKS, signs.COLUMNS)
    ]
    legend = [
        f"{cover.sign} {cover.words} {count(coverage, cover)}"
        for cover in Cover
        if count(coverage, cover)
    ]
    return [*rows, "  " + ", ".join(legend)]


def as_png(coverage: Sequence[Cover]) -> bytes:
    """The same as a picture: coloured blocks, and a legend below."""
    wide, high = signs.COLUMNS * _CELL_PX, signs.ROWS * _CELL_PX
    present = [cover for cover in Cover if cover in coverage]
    canvas = np.full((high + _LINE * (len(present) + 1), wide, 3), 255, np.uint8)
    for number, cover in enumerate(coverage):
        row, column = divmod(number, signs.COLUMNS)
        left, top = column * _CELL_PX, row * _CELL_PX
        end = (left + _CELL_PX - 2, top + _CELL_PX - 2)
        cv2.rectangle(canvas, (left, top), end, cover.colour, -1)
        _text(canvas, cover.sign, (left + 26, top + 38))
    for line, cover in enumerate(present, 1):
        line_text = f"{cover.sign}  {cover.words}: {count(coverage, cover)}"
        _text(canvas, line_text, (6, high + _LINE * line))
    return bytes(cv2.imencode(".png", canvas)[1])


def _text(canvas: np.ndarray, text: str, at: tuple[int, int]) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA)
