"""Why no frame is released: the guard's report to a waiting matcher, and a picture of it.

connection.state.flowing          frames are released
connection.state.reasons          (Reason("VIEW_COVERED", "Parts of ...", "Remove ..."), ...)
connection.state.text             the same in plain words, for the user in front of a kiosk
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

_GLYPHS = {  # five rows of three pixels, the top row in the highest bits
    "A": 0o25755, "B": 0o65656, "C": 0o34443, "D": 0o65556, "E": 0o74647, "F": 0o74644,
    "G": 0o34553, "H": 0o55755, "I": 0o72227, "J": 0o11152, "K": 0o55655, "L": 0o44447,
    "M": 0o57755, "N": 0o65555, "O": 0o25552, "P": 0o65644, "Q": 0o25563, "R": 0o65655,
    "S": 0o34216, "T": 0o72222, "U": 0o55557, "V": 0o55552, "W": 0o55775, "X": 0o55255,
    "Y": 0o55222, "Z": 0o71247, "0": 0o75557, "1": 0o26227, "2": 0o61247, "3": 0o61216,
    "4": 0o55711, "5": 0o74616, "6": 0o34752, "7": 0o71244, "8": 0o75757, "9": 0o75716,
    ".": 0o00002, ",": 0o00024, ":": 0o02020, ";": 0o02024, "-": 0o00700, "_": 0o00007,
    "'": 0o22000, "!": 0o22202, "?": 0o61202, "(": 0o12221, ")": 0o42224, "/": 0o11244,
}  # fmt: skip
_DARK, _LIGHT = 32, 220  # grey levels
_CELL = (6, 4)  # of a letter with its gap, in pixels of the smallest size


class Reason(NamedTuple):
    """One reason why no frame is released."""

    code: str  # a code that `framegate explain CODE` explains
    text: str  # what happened
    advice: str  # what to do about it


class State(NamedTuple):
    """The guard's last report on the stream."""

    flowing: bool  # frames are released
    reasons: tuple[Reason, ...]  # why not, the worst first; empty while they are
    over: bool = False  # the stream has ended

    @property
    def text(self) -> str:
        """One paragraph for a person; empty while frames are released."""
        if self.over:
            return "The stream is over."
        if self.flowing:
            return ""
        words = [f"{reason.text} {reason.advice}" for reason in self.reasons[:2]]
        return " ".join(words) or "Waiting for the guard."


WAITING = State(False, ())
OVER = State(False, (), over=True)


def state_of(message: Any) -> State:
    """The state in a message of the guard's; invalid parts are ignored."""
    if not isinstance(message, dict):
        return WAITING
    rows = message.get("reasons")
    reasons = tuple(
        Reason(*map(str, row))
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, list) and len(row) == 3
    )
    return State(message.get("flowing") is True, reasons)


def placeholder(state: State, height: int, width: int, channels: int = 3) -> np.ndarray:
    """A dark picture with the reasons in words, for a screen that shows the matcher's frames.

    Returns:
        uint8, shape (height, width, 3), or (height, width) for one channel.
    """
    picture = np.full((height, width), _DARK, np.uint8)
    words = state.text.upper().split()
    for size in range(max(1, width // 160), 0, -1):
        lines = _lines(words, max(1, (width - 2 * size) // (_CELL[1] * size)))
        if len(lines) * _CELL[0] * size <= height or size == 1:
            break
    top = max(0, (height - len(lines) * _CELL[0] * size) // 2)
    for number, line in enumerate(lines):
        _draw(picture, line, top + number * _CELL[0] * size, size)
    return picture if channels == 1 else np.repeat(picture[:, :, np.newaxis], 3, axis=2)


def _lines(words: list[str], letters: int) -> list[str]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= letters or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _draw(picture: np.ndarray, line: str, top: int, size: int) -> None:
    left = max(0, (picture.shape[1] - len(line) * _CELL[1] * size) // 2)
    for letter in line:
        bits = np.array([_GLYPHS.get(letter, 0) >> at & 1 for at in range(14, -1, -1)], bool)
        drawn = bits.reshape(5, 3).repeat(size, 0).repeat(size, 1)
        place = picture[top : top + 5 * size, left : left + 3 * size]
        place[drawn[: place.shape[0], : place.shape[1]]] = _LIGHT
        left += _CELL[1] * size
