"""What the decider lets the parent see: readings, the outlook, and each revocation.

Small messages, sent without waiting and lost without harm: they feed the
display and the report, never a decision. No scores and no pictures are in them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass

from edge import ipc
from edge.audit.schema import Context
from edge.clock import MS
from edge.decision.judge import Outlook
from edge.evidence.readings import Reading, Source
from edge.lease import Revocation
from edge.reasons import Reason
from edge.wire import Tag, pack, unpack

_EVERY_NS = 250 * MS  # unchanged values are sent this often; each reading of the view is


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read at once."""

    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """Why frames are blocked under one revoked epoch."""

    epoch: int
    setting: Context
    reasons: tuple[Reason, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """The outlook as it became at `now_ns`."""

    now_ns: int
    outlook: Outlook


@dataclass(frozen=True, slots=True)
class Wrote:
    """A change is in the log."""

    index: int
    permitted: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """The log's newest checkpoint."""

    checkpoint: str


Message = Readings | Seen | Account | Wrote | Signed

_KINDS: dict[Tag, type[Message]] = {
    Tag.READINGS: Readings,
    Tag.OUTLOOK: Seen,
    Tag.REVOKED: Account,
    Tag.WROTE: Wrote,
    Tag.CHECKPOINT: Signed,
}
_TAGS = {kind: tag for tag, kind in _KINDS.items()}


class Monitor:
    """The decider's end."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._last_sent: dict[Source, tuple[int, tuple[Reason, ...]]] = {}
        self._outlook: Outlook | None = None
        self._outlook_ns = 0
        self._checkpoint = ""

    def readings(self, readings: Iterable[Reading]) -> None:
        """Show those that are new, or were shown a while ago."""
        news = tuple(reading for reading in readings if self._is_news(reading))
        if news:
            self._send(Readings(news))

    def _is_news(self, reading: Reading) -> bool:
        sent_ns, reasons = self._last_sent.get(reading.source, (-_EVERY_NS, ()))
        unchanged = reasons == reading.reasons and reading.source is not Source.VIEW
        if unchanged and reading.captured_ns - sent_ns < _EVERY_NS:
            return False
        self._last_sent[reading.source] = (reading.captured_ns, reading.reasons)
        return True

    def outlook(self, outlook: Outlook, now_ns: int) -> None:
        if outlook != self._outlook or now_ns - self._outlook_ns >= _EVERY_NS:
            self._outlook, self._outlook_ns = outlook, now_ns
            self._send(Seen(now_ns, outlook))

    def revoked(self, message: Revocation, outlook: Outlook) -> None:
        self._send(Account(message.epoch, outlook.setting, message.reasons, message.rules))

    def wrote(self, index: int, *, permitted: bool) -> None:
        """A change is in the log as entry `index`."""
        self._send(Wrote(index, permitted))

    def checkpoint(self, note: str) -> None:
        """The log's newest checkpoint, as signed; sent once each."""
        if note != self._checkpoint:
            self._checkpoint = note
            self._send(Signed(note))

    def _send(self, message: Message) -> None:
        ipc.send(self._channel, pack(_TAGS[type(message)], message))


def parse(data: bytes) -> Message:
    """The parent's end.

    Raises:
        GuardError: not a whole message of the decider's.
    """
    found: Message = unpack(data, _KINDS)
    return found
