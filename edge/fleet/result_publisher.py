"""Publishes results that the guard passed on, through a queue that never grows.

A process of its own runs this, so that a slow or lost broker costs the guard
nothing. When the queue is full the oldest result is dropped and counted. Without
sockets and clock: the caller brings messages, and a `Broker` that takes them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from edge.errors import UsageError
from edge.fleet.result_message import checked

MOST_WAITING = 1024  # results; 17 minutes at the guard's 60 a minute
MOST_UNCONFIRMED = 20  # sent, and not yet confirmed by the broker


class Broker(Protocol):
    """Where results go."""

    @property
    def connected(self) -> bool: ...

    @property
    def unconfirmed(self) -> int:
        """How many results it holds that the broker has not confirmed."""
        ...

    def send(self, message: bytes) -> bool:
        """Take one result, without waiting; False if it cannot now."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the results so far."""

    sent: int
    waiting: int
    dropped: int  # the queue was full
    refused: int  # they were no results

    @property
    def text(self) -> str:
        return (
            f"{self.sent} sent, {self.waiting} waiting, {self.dropped} dropped, "
            f"{self.refused} refused"
        )


class ResultPublisher:
    """Holds results until the broker takes them."""

    def __init__(self, broker: Broker, most_waiting: int = MOST_WAITING) -> None:
        self._broker = broker
        self._waiting: deque[bytes] = deque()
        self._most = most_waiting
        self._sent = self._dropped = self._refused = 0

    @property
    def counts(self) -> Counts:
        return Counts(self._sent, len(self._waiting), self._dropped, self._refused)

    @property
    def settled(self) -> bool:
        """Whether nothing waits, here or for the broker's word."""
        return not self._waiting and not self._broker.unconfirmed

    def take(self, message: bytes) -> str:
        """Queue one message from the guard; why one was lost, or nothing."""
        try:
            result = checked(message)
        except UsageError as err:
            self._refused += 1
            return f"refused what is no result ({err}); {self._refused} so far"
        self._waiting.append(result)
        if len(self._waiting) <= self._most:
            return ""
        self._waiting.popleft()
        self._dropped += 1
        return f"the queue is full: dropped the oldest result; {self._dropped} so far"

    def pump(self) -> None:
        """Hand on what waits, the oldest first, as far as the broker takes it."""
        while (
            self._waiting
            and self._broker.connected
            and self._broker.unconfirmed < MOST_UNCONFIRMED
            and self._broker.send(self._waiting[0])
        ):
            self._waiting.popleft()
            self._sent += 1
