"""What the decider lets the parent see: readings, the outlook, and each revocation.

Small JSON messages, sent without waiting and lost without harm: they feed the
display and the report, never a decision. No scores and no pictures are in them.
"""

from __future__ import annotations

import json
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

_EVERY_NS = 90 * MS  # what has not changed is told this often


class Monitor:
    """The decider's end."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._told: dict[Source, tuple[int, tuple[Reason, ...]]] = {}
        self._outlook: Outlook | None = None
        self._outlook_ns = 0
        self._checkpoint = ""

    def readings(self, readings: Iterable[Reading]) -> None:
        for reading in readings:
            told_ns, reasons = self._told.get(reading.source, (-_EVERY_NS, ()))
            if reasons == reading.reasons and reading.captured_ns - told_ns < _EVERY_NS:
                continue
            self._told[reading.source] = (reading.captured_ns, reading.reasons)
            codes = [reason.value for reason in reading.reasons]
            self._send({"reading": [reading.source.value, reading.captured_ns, codes]})

    def outlook(self, outlook: Outlook, now_ns: int) -> None:
        if outlook != self._outlook or now_ns - self._outlook_ns >= _EVERY_NS:
            self._outlook, self._outlook_ns = outlook, now_ns
            self._send({"outlook": [now_ns, *_plain(outlook)]})

    def revoked(self, message: Revocation, outlook: Outlook) -> None:
        codes = [reason.value for reason in message.reasons]
        told = [message.epoch, outlook.setting.value, codes, list(message.rules)]
        self._send({"revoked": told})

    def wrote(self, index: int, *, permitted: bool) -> None:
        """A change stands in the log as entry `index`."""
        self._send({"wrote": [index, permitted]})

    def checkpoint(self, note: str) -> None:
        """The log's newest checkpoint, as signed; told once each."""
        if note != self._checkpoint:
            self._checkpoint = note
            self._send({"checkpoint": note})

    def _send(self, message: object) -> None:
        ipc.send(self._channel, json.dumps(message).encode())


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
    """A change stands in the log."""

    index: int
    permitted: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """The log's newest checkpoint."""

    checkpoint: str


def parse(data: bytes) -> Reading | Seen | Account | Wrote | Signed | None:
    """The parent's end; None for a message that is none of these."""
    message = json.loads(data)
    if "reading" in message:
        source, captured_ns, codes = message["reading"]
        return Reading(Source(source), captured_ns, _reasons(codes))
    if "outlook" in message:
        now_ns, setting, permitted, codes, rules = message["outlook"]
        return Seen(now_ns, Outlook(Context(setting), permitted, _reasons(codes), tuple(rules)))
    if "wrote" in message:
        return Wrote(*message["wrote"])
    if "checkpoint" in message:
        return Signed(message["checkpoint"])
    if "revoked" in message:
        epoch, setting, codes, rules = message["revoked"]
        return Account(epoch, Context(setting), _reasons(codes), tuple(rules))
    return None


def _plain(outlook: Outlook) -> tuple[object, ...]:
    codes = [reason.value for reason in outlook.reasons]
    return outlook.setting.value, outlook.permitted, codes, list(outlook.rules)


def _reasons(codes: list[str]) -> tuple[Reason, ...]:
    return tuple(Reason(code) for code in codes)
