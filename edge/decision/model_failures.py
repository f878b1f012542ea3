"""What the guard does when a model gives answers that cannot be true.

Every such answer blocks the frames that it was computed for. After three in a row the
models are loaded again, once. After another three in a row nothing is permitted
until the guard is restarted.
"""

from __future__ import annotations

from enum import Enum

IN_A_ROW = 3


class Consequence(Enum):
    """What to do after a bad answer."""

    BLOCK = "block"  # this reading only
    REBUILD = "rebuild"  # load the models afresh
    GIVE_UP = "give up"  # permit nothing any more


class CircuitBreaker:
    """Counts bad answers in a row."""

    def __init__(self) -> None:
        self._row = 0
        self._rebuilt = False
        self.out = False  # stays so

    def good(self) -> None:
        """The models answered."""
        self._row = 0

    def bad(self) -> Consequence:
        """A model failed, or its answer cannot be true."""
        self._row += 1
        if self._row < IN_A_ROW:
            return Consequence.BLOCK
        self._row = 0
        if self._rebuilt:
            self.give_up()
            return Consequence.GIVE_UP
        self._rebuilt = True
        return Consequence.REBUILD

    def give_up(self) -> None:
        """The models could not be loaded afresh."""
        self.out = True
