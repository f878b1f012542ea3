"""Blocks that have come to show something else, and hold still: furniture that was moved.

A hand, a door or a curtain hides blocks and moves. A chair that was put elsewhere hides
them, too, and then looks the same for as long as it stands there. What is plain (a lid on
the lens, a sheet of paper) is not told from noise, and counts as hiding only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.clock import S
from edge.view import signs
from edge.view.signs import Pixels

SETTLED_NS = 30 * S
ALIKE = 0.85  # of a block's clear contrasts; of two other pictures about half agree
CLEAR = 4  # grey levels, from which a contrast tells something
FEWEST = 6  # clear contrasts of a block; fewer are plain


class Settled:
    """Since when each block that is lost has shown the same."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        """Begin with nothing lost.

        Args:
            mask: sign-shaped, where the enrolled pairs are.
        """
        self._mask = mask
        self._bits = np.zeros(signs.SIGN_SHAPE, np.uint8)  # what each block showed, ...
        self._clear = np.zeros(signs.SIGN_SHAPE, np.bool_)  # ... where clearly, ...
        self._since_ns = np.zeros(signs.BLOCKS, np.int64)  # ... and since when
        self._lost = np.zeros(signs.BLOCKS, np.bool_)

    def read(self, thumb: Pixels, captured_ns: int, lost: NDArray[np.bool_]) -> int:
        """How many of the lost blocks have shown the same for half a minute.

        Args:
            thumb: the thumbnail of a frame; frames come in order.
            captured_ns: when it was captured.
            lost: the enrolled blocks that are not seen and that nobody covers.
        """
        if not lost.any():
            self._lost = lost
            return 0
        bits = signs.signs(thumb)
        clear = self._mask & (signs.contrasts(thumb) >= CLEAR)
        both = self._clear & clear
        agreed = signs.per_block(both & (bits == self._bits))
        shown = np.maximum(signs.per_block(self._clear), FEWEST)
        fresh = lost & ~(self._lost & (agreed >= ALIKE * shown))
        places = fresh[signs.BLOCK_OF_PAIR]
        self._bits[places], self._clear[places] = bits[places], clear[places]
        self._since_ns[fresh] = captured_ns
        self._lost = lost
        return int((lost & (self._since_ns <= captured_ns - SETTLED_NS)).sum())
