"""`framegate fleet page`: the fleet in a browser on this machine."""

from __future__ import annotations

import argparse
import logging
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge.commands._fleet._broker import broker_of
from edge.commands._fleet._common import listen_address, listening, read_policy, until_stopped
from edge.commands._fleet._status import add_sources, check_sources
from edge.commands._fleet._store import has_store, open_store
from edge.commands._options import Actions
from edge.commands._output import saying
from edge.errors import UsageError
from edge.files import read_given
from edge.status.web import loopback

if TYPE_CHECKING:
    from edge.fleet.state.fleet import Fleet
    from edge.fleet.state.watcher import Watcher
    from edge.fleet.witness_store import WitnessStore
    from edge.status.fleet.web import Look

_LOOK_S = 2.0
_MAX_PAGES = 1024 * 1024

_say = saying("page")
EXAMPLES = """\
examples:
  framegate fleet page --policy POLICY --state w1.db --broker mqtts://broker.example \\
    --ca ca.pem --cert fleet-watch.pem --key fleet-watch.key --listen 127.0.0.1:8331
  framegate fleet page --policy POLICY --state w1.db --pages pages

`pages` names the devices' own status pages for links, a line each: DEVICE URL.
"""


def register(actions: Actions) -> None:
    parser = actions.add(
        "page",
        "show the fleet in a browser on this machine",
        run,
        description="Serve a page of every device on loopback: a table with a filter, states over "
        "the last hour, and of each device what is wrong and the proofs.",
        epilog=EXAMPLES,
    )
    add_sources(parser)
    parser.text("--listen HOST:PORT", "default 127.0.0.1:8331", default="127.0.0.1:8331")
    parser.path("--pages FILE", "lines `DEVICE URL` for links")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    from edge.fleet.state.fleet import Fleet, devices_of
    from edge.fleet.state.watcher import Watcher
    from edge.status.fleet.web import FleetSite
    from edge.status.http import serve

    check_sources(args)
    policy = read_policy(args.policy)
    fleet = Fleet(devices_of(policy.logs))
    pages = {} if args.pages is None else _pages(args.pages)
    store = open_store(args, policy.logs) if has_store(args) else None
    watcher = None
    if args.broker is not None:
        watcher = Watcher(broker_of(args), fleet, _say)
    listener = _listener(args.listen)
    looker = _Looker(fleet, store, watcher, args.silent_after)
    over = threading.Event()
    until_stopped(over.set)
    if watcher is not None:
        watcher.start()
    logging.getLogger("waitress").setLevel(logging.CRITICAL)  # a flood must not fill the journal
    site = FleetSite(looker.newest, time.time, pages)
    threading.Thread(target=serve, args=(site, listener), daemon=True).start()
    _say(f"http://{args.listen.rpartition(':')[0]}:{listener.getsockname()[1]}/")
    while not over.is_set():
        looker.look()
        over.wait(_LOOK_S)
    if watcher is not None:
        watcher.close()
    return 0


class _Looker:
    """Compares broker and witness every two seconds, for however many readers."""

    def __init__(
        self, fleet: Fleet, store: WitnessStore | None, watcher: Watcher | None, silent_s: int
    ) -> None:
        self._fleet, self._store, self._watcher = fleet, store, watcher
        self._silent_s = silent_s
        self._newest: Look | None = None

    def newest(self) -> Look | None:
        return self._newest

    def look(self) -> None:
        from edge.fleet.state.fleet import witnessed_by
        from edge.status.fleet.page import Shown
        from edge.status.fleet.web import Look

        now_s = time.time()
        witnessed = None if self._store is None else witnessed_by(self._store)
        read = self._watcher is not None
        rows = self._fleet.rows(witnessed, now_s, self._silent_s, broker=read)
        shown = tuple(Shown(row, self._fleet.changes(row.device.name)) for row in rows)
        trouble = "" if self._watcher is None else self._watcher.trouble
        self._newest = Look(int(now_s), shown, trouble)


def _listener(text: str) -> socket.socket:
    host, port = listen_address(text)
    if not loopback(host):
        raise UsageError(f"--listen: expected a loopback HOST:PORT, got {text!r}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with listening(text):
        return socket.create_server((host, port), family=family)


def _pages(path: Path) -> dict[str, str]:
    lines = read_given(path, _MAX_PAGES).decode(errors="replace").splitlines()
    found = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or urlsplit(words[1]).scheme not in ("http", "https"):
            raise UsageError(f"{path}: line {number}: expected DEVICE and an http or https URL")
        found[words[0]] = words[1].rstrip("/")
    return found
