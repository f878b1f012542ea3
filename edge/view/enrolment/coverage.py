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
    """What a block is; the value is the sign it is drawn with."""

    ENROLLED = "#"
    PERSON = "p"
    MOVED = "m"
    UNSTEADY = "u"
    GLARE = "g"
    PLAIN = "."


WORDS = {
    Cover.ENROLLED: "enrolled",
    Cover.PERSON: "a person, or what looks like one",
    Cover.MOVED: "something moved here, or above",
    Cover.UNSTEADY: "does not hold still",
    Cover.GLARE: "glare",
    Cover.PLAIN: "plain",
}
_COLOURS = {  # BGR
    Cover.ENROLLED: (90, 150, 60),
    Cover.PERSON: (60, 60, 200),
    Cover.MOVED: (60, 130, 220),
    Cover.UNSTEADY: (170, 120, 60),
    Cover.GLARE: (90, 220, 230),
    Cover.PLAIN: (150, 150, 150),
}

Coverage = tuple[Cover, ...]  # one a block, row by row


def count(coverage: Sequence[Cover], what: Cover) -> int:
    """How many blocks are that."""
    return sum(cover is what for cover in coverage)


def draw(coverage: Sequence[Cover]) -> list[str]:
    """The picture as rows of signs, and what each sign stands for."""
    rows = [
        "  " + " ".join(cover.value for cover in coverage[start : start + signs.COLUMNS])
        for start in range(0, signs.BLOCKS, signs.COLUMNS)
    ]
    legend = [
        f"{cover.value} {words} {count(coverage, cover)}"
        for cover, words in WORDS.items()
        if count(coverage, cover)
    ]
    return [*rows, "  " + ", ".join(legend)]


def as_png(coverage: Sequence[Cover]) -> bytes:
    """The same as a picture: coloured blocks, and a legend below."""
    wide, high = signs.COLUMNS * _CELL_PX, signs.ROWS * _CELL_PX
    present = [cover for cover in WORDS if cover in coverage]
    canvas = np.full((high + _LINE * (len(present) + 1), wide, 3), 255, np.uint8)
    for number, cover in enumerate(coverage):
        row, column = divmod(number, signs.COLUMNS)
        left, top = column * _CELL_PX, row * _CELL_PX
        end = (left + _CELL_PX - 2, top + _CELL_PX - 2)
        cv2.rectangle(canvas, (left, top), end, _COLOURS[cover], -1)
        _text(canvas, cover.value, (left + 26, top + 38))
    for line, cover in enumerate(present, 1):
        line_text = f"{cover.value}  {WORDS[cover]}: {count(coverage, cover)}"
        _text(canvas, line_text, (6, high + _LINE * line))
    return bytes(cv2.imencode(".png", canvas)[1])


def _text(canvas: np.ndarray, text: str, at: tuple[int, int]) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA)
