"""What the guard does when a model gives answers that cannot be true.

Every such answer blocks the frames that it was computed for. After three in a row the
models are loaded again, once. After another three in a row nothing is permitted
until the guard is restarted.
"""

from __future__ import annotations

IN_A_ROW = 3


class CircuitBreaker:
    """Counts bad answers in a row."""

    def __init__(self) -> None:
        self._row = 0
        self._rebuilt = False
        self.out = False  # stays so

    def good(self) -> None:
        """The models answered."""
        self._row = 0

    def bad(self) -> bool:
        """A model failed, or its answer cannot be true; whether to load the models afresh."""
        self._row += 1
        if self._row < IN_A_ROW:
            return False
        self._row = 0
        if self._rebuilt:
            self.give_up()
            return False
        self._rebuilt = True
        return True

    def give_up(self) -> None:
        """Nothing may be permitted any more; also where the models cannot be loaded afresh."""
        self.out = True
