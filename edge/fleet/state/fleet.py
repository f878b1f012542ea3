"""The states of a fleet's devices, as they come from a broker: bounded, whoever sends what.

Only devices whose logs the policy lists have a place here. Of each device there is one
state, one link and a short history. Anything else is counted and forgotten.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge.audit.note import NoteError, Verifier
from edge.errors import UsageError
from edge.fleet.state.findings import CRITICAL, Found, Heard, Witnessed, findings
from edge.fleet.state.message import ROOT_TOPIC, device_of, read_link, read_state
from edge.fleet.witness import Head
from edge.fleet.witness_store import LogStatus, WitnessStore

MOST_CHANGES = 32  # of a device


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the policy."""

    name: str
    key: Verifier  # of its log


@dataclass(frozen=True, slots=True)
class Row:
    """A device with what broker and witness say of it."""

    device: Device
    heard: Heard | None
    witnessed: Witnessed | None
    found: tuple[Found, ...]

    @property
    def shown(self) -> str:
        """Its state in a word: the worst finding, else what its guard does."""
        if self.found:
            return self.found[0].finding.value
        state = None if self.heard is None else self.heard.state
        return "ok" if state is None else state.state.value

    @property
    def critical(self) -> bool:
        """Whether its log forked or was rolled back."""
        return any(one.finding in CRITICAL for one in self.found)

    def data(self) -> dict[str, Any]:
        """The row as `--json` and the page's `fleet.json` have it."""
        state = None if self.heard is None else self.heard.state
        link = None if self.heard is None else self.heard.link
        return {
            "device": self.device.name,
            "shown": self.shown,
            "findings": [{"code": f.finding.value, "detail": f.detail} for f in self.found],
            "guard": None if state is None else state.state.value,
            "reasons": [] if state is None else [reason.value for reason in state.reasons],
            "link": None if link is None else link.value,
            "time_s": None if state is None else state.time_s,
            "size": None if state is None else state.size,
            "root": None if state is None else state.root.hex(),
            "version": None if state is None else state.version,
            "pack": None if state is None else state.pack,
            "policy": None if state is None else state.policy,
            "record": None if state is None else state.record,
            "witnessed_size": None if self.witnessed is None else self.witnessed.head.size,
            "witnessed_root": None if self.witnessed is None else self.witnessed.head.root.hex(),
            "witnessed_time_s": None if self.witnessed is None else self.witnessed.time_s,
        }


def devices_of(keys: Iterable[Verifier]) -> dict[str, Device]:
    """The devices of a policy's logs, by name.

    Raises:
        UsageError: a log's name gives no topic, or two logs give one.
    """
    found: dict[str, Device] = {}
    for key in keys:
        name = device_of(key.name)
        if name in found:
            raise UsageError(f"two keys for the log of {name}: expected one")
        found[name] = Device(name, key)
    return found


class Fleet:
    """What is known of every device; several threads may use it."""

    def __init__(self, devices: Mapping[str, Device]) -> None:
        self.devices = devices
        self.strangers = 0  # messages of devices that the policy does not list
        self._lock = threading.Lock()
        self._heard: dict[str, Heard] = {}
        self._changes: dict[str, deque[tuple[int, str]]] = {}

    def take(self, topic: str, message: bytes) -> None:
        """Take one message from the broker; an empty one is how a topic is cleared."""
        device, what = _parts(topic)
        known = self.devices.get(device)
        if known is None or what not in ("state", "link"):
            self.strangers += 1
            return
        with self._lock:
            before = self._heard.get(device, Heard())
        after = _link(before, message) if what == "link" else _state(before, message, known)
        with self._lock:
            self._heard[device] = after

    def heard(self, device: str) -> Heard:
        with self._lock:
            return self._heard.get(device, Heard())

    @property
    def stated(self) -> int:
        """How many devices have a state."""
        with self._lock:
            return sum(heard.state is not None for heard in self._heard.values())

    def rows(
        self,
        witnessed: Mapping[str, Witnessed] | None,
        now_s: float,
        silent_s: int,
        *,
        broker: bool = True,
    ) -> tuple[Row, ...]:
        """Every device, by name, as of `now_s`; changes are noted for the history."""
        nothing = None if witnessed is None else NEVER_WITNESSED
        rows = []
        for name, device in sorted(self.devices.items()):
            heard = self.heard(name) if broker else None
            seen = nothing if witnessed is None else witnessed.get(device.key.name, nothing)
            found = findings(heard, seen, now_s, silent_s)
            rows.append(Row(device, heard, seen, found))
            self._note(rows[-1], int(now_s))
        return tuple(rows)

    def changes(self, device: str) -> tuple[tuple[int, str], ...]:
        """When the device began to be shown as what, the oldest first."""
        with self._lock:
            return tuple(self._changes.get(device, ()))

    def _note(self, row: Row, now_s: int) -> None:
        with self._lock:
            changes = self._changes.setdefault(row.device.name, deque(maxlen=MOST_CHANGES))
            if not changes or changes[-1][1] != row.shown:
                changes.append((now_s, row.shown))


NEVER_WITNESSED = Witnessed(Head(), time_s=None, evidence=False)


def witnessed_by(store: WitnessStore) -> dict[str, Witnessed]:
    """What a witness's memory has of every log, by the log's name."""
    heads = store.heads()
    return {
        state.origin: Witnessed(
            heads.get(state.origin, Head()),
            state.time_s,
            state.status is LogStatus.FORKED,
            state.status is LogStatus.UNPROVEN,
        )
        for state in store.states(0, 0)
    }


def _parts(topic: str) -> tuple[str, str]:
    """Device and kind of a topic; empty where it is another one."""
    parts = topic.split("/")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == ROOT_TOPIC else ("", "")


def _state(before: Heard, message: bytes, device: Device) -> Heard:
    if not message:
        return replace(before, state=None, unproven="", malformed="")
    try:
        state = read_state(message, device.name, device.key)
    except NoteError as err:
        return replace(before, unproven=f"a message whose checkpoint does not hold: {err}"[:200])
    except UsageError as err:
        return replace(before, malformed=f"a message that is no state: {err}"[:200])
    return replace(before, state=state, unproven="", malformed="")


def _link(before: Heard, message: bytes) -> Heard:
    if not message:
        return replace(before, link=None)
    try:
        return replace(before, link=read_link(message))
    except UsageError as err:
        return replace(before, malformed=f"a message that is no link: {err}"[:200])
