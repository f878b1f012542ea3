"""Counts the users of each slot of the capture pool, and knows which slots to wipe once free.

A slot goes back to capture when its last user drops it: the gate's FIFO, the newest
frame that may be lent as evidence, and the decider that reads a lent one.
"""

from __future__ import annotations

import socket

from edge import ipc
from edge.frames.messages import Freed, encode
from edge.frames.pool import Pool


class Slots:
    """Counts the users of each slot."""

    def __init__(self, pool: Pool, capture: socket.socket) -> None:
        """`capture` is told which slots are free again."""
        self._pool = pool
        self._capture = capture
        self._held: dict[int, int] = {}  # slot -> how many still need it
        self._doomed: set[int] = set()  # to be wiped when the last user drops them

    def vacant(self, slot: int) -> bool:
        """Whether capture may have put a frame there: the slot exists and is free."""
        return slot < self._pool.size.slots and slot not in self._held

    def take(self, slot: int) -> None:
        """The first user of a vacant slot."""
        self._held[slot] = 1

    def share(self, slot: int) -> None:
        """One user more."""
        self._held[slot] += 1

    def drop(self, slot: int) -> None:
        """One user less; the last one gives the slot back to capture."""
        left = self._held[slot] - 1
        self._held[slot] = left
        if left == 0:
            del self._held[slot]
            if slot in self._doomed:
                self._doomed.discard(slot)
                self._pool.wipe(slot)
            ipc.send(self._capture, encode(Freed(slot)))

    def doom(self, slot: int) -> None:
        """Erase what lies there when its last user drops it."""
        self._doomed.add(slot)
