"""The fleet site: read only, for a browser on this machine.

    /                     every device; ?q=NAME&state=WORD&first=N filters
    /device/NAME          one device; /checkpoint, /cosigned and /proof below it are its files
    /fleet.json           the rows as data
    /healthz              200 while the fleet is looked at

A WSGI application; it knows nothing of sockets. A request whose Host is not a loopback
name is refused, so that no page from elsewhere can read this one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from edge.audit.proofs.consistency import Request, written
from edge.fleet.state.message import DeviceState
from edge.status.fleet.page import CONTENT_POLICY, Filter, Shown, device_page, overview
from edge.status.web import HTML, TEXT, Answer, ReadOnlySite

STALE_S = 30


@dataclass(frozen=True, slots=True)
class Look:
    """What was found when the fleet was looked at last."""

    at_s: int  # POSIX
    fleet: tuple[Shown, ...]
    trouble: str  # why the broker is not read, or nothing


class FleetSite(ReadOnlySite):
    """The application."""

    content_policy = CONTENT_POLICY

    def __init__(
        self,
        newest: Callable[[], Look | None],
        now_s: Callable[[], float],
        pages: Mapping[str, str],
    ) -> None:
        """`pages`: URLs of the devices' own pages, as the operator gave them."""
        self._newest, self._now_s, self._pages = newest, now_s, pages

    def answer(self, path: str, query: str) -> Answer:
        look = self._newest()
        if look is None or self._now_s() - look.at_s > STALE_S:
            return "503 Service Unavailable", TEXT, b"the fleet is not being looked at\n"
        if path == "/":
            only = _filter(query)
            return _html(overview(look.fleet, only, look.at_s, look.trouble))
        if path == "/healthz":
            return "200 OK", TEXT, b"ok\n"
        if path == "/fleet.json":
            rows = [one.row.data() for one in look.fleet]
            return "200 OK", "application/json", json.dumps(rows).encode()
        if path.startswith("/device/"):
            return self._device(look, *path.removeprefix("/device/").partition("/")[::2])
        return _missing()

    def _device(self, look: Look, name: str, what: str) -> Answer:
        one = next((one for one in look.fleet if one.row.device.name == name), None)
        if one is None:
            return _missing()
        if not what:
            return _html(device_page(one, look.at_s, self._pages.get(name, "")))
        state = None if one.row.heard is None else one.row.heard.state
        text = b"" if state is None else _file(state, what)
        return ("200 OK", TEXT, text) if text else _missing()


def _file(state: DeviceState, what: str) -> bytes:
    if what == "checkpoint":
        return state.checkpoint.encode()
    if what == "cosigned":
        return state.cosigned.encode()
    if what == "proof" and state.old:
        return written(Request(state.old, state.path, state.checkpoint.encode()))
    return b""


def _filter(query: str) -> Filter:
    try:
        found = parse_qs(query, max_num_fields=8)
    except ValueError:
        return Filter()
    first = found.get("first", ["0"])[0]
    good = first.isascii() and first.isdecimal() and len(first) < 8
    return Filter(
        found.get("q", [""])[0][:64], found.get("state", [""])[0][:32], int(first) if good else 0
    )


def _html(text: str) -> Answer:
    return "200 OK", HTML, text.encode()


def _missing() -> Answer:
    return "404 Not Found", TEXT, b"expected /, /device/NAME, /fleet.json or /healthz\n"
