"""The fleet page, as an application and in a real browser, with a real witness's memory."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.web.browser import Browser, chromium
from edge.audit.proofs.consistency import check_consistency, read_request
from edge.fleet.state.fleet import Fleet, devices_of, witnessed_by
from edge.fleet.state.message import state_topic, written
from edge.fleet.witness import Head
from edge.fleet.witness_store import SqliteStore
from edge.status.fleet.page import Shown
from edge.status.fleet.web import FleetSite, Look
from edge.status.http import serve
from tests.fleet.devices import NOW_S, SILENT_S, reported, signer
from tests.fleet.histories import forked, honest
from tests.support.daemons import until

KEYS = [signer(number) for number in range(3)]
LOGS = [honest(key, 60) for key in KEYS]


class Rig:
    """A fleet of three, cosigned at 40, that is looked at when a test says so."""

    def __init__(self, folder: Path) -> None:
        SqliteStore.create(folder / "w.db")
        keys = [key.verifier for key in KEYS]
        self.store = SqliteStore(folder / "w.db", keys)
        self.fleet = Fleet(devices_of(keys))
        for log in LOGS:
            head = Head(40, log.root(40), log.note(40))
            assert self.store.advance(log.signer.name, Head(), head, NOW_S - 60)
            name = log.signer.name.removesuffix("/log")
            self.fleet.take(state_topic(name), written(reported(log, 50, 40)))
        self.newest: Look | None = None
        self.look()
        pages = {"framegate-0001": "http://127.0.0.1:8321"}
        self.site = FleetSite(lambda: self.newest, lambda: float(NOW_S), pages)

    def look(self) -> None:
        rows = self.fleet.rows(witnessed_by(self.store), NOW_S, SILENT_S)
        shown = tuple(Shown(row, self.fleet.changes(row.device.name)) for row in rows)
        self.newest = Look(NOW_S, shown, "")

    def fork(self) -> None:
        message = written(reported(forked(KEYS[1], 60, 10), 40))
        self.fleet.take(state_topic("framegate-0001"), message)
        self.look()

    def get(self, path: str, *, host: str = "localhost", method: str = "GET") -> tuple[str, str]:
        statuses: list[str] = []
        place, _, query = path.partition("?")
        asked = {"REQUEST_METHOD": method, "PATH_INFO": place, "QUERY_STRING": query}
        body = self.site({**asked, "HTTP_HOST": host}, lambda status, _: statuses.append(status))
        return statuses[0][:3], b"".join(body).decode()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    found = Rig(tmp_path)
    yield found
    found.store.close()


def test_a_fork_is_the_first_thing_said_and_an_honest_fleet_is_in_order(rig: Rig) -> None:
    assert "Every device is in order" in rig.get("/")[1]

    rig.fork()
    status, page = rig.get("/")

    assert status == "200"
    assert "1 of 3 need attention, 1 with a forked or rolled back log" in page
    assert "signed another tree of 40 entries than the witness cosigned" in page
    assert [row["shown"] for row in json.loads(rig.get("/fleet.json")[1])] == [
        "blocked",
        "LOG_FORKED",
        "blocked",
    ]


@pytest.mark.parametrize(
    ("query", "listed"),
    [
        ("", 3),
        ("?state=alarm", 1),
        ("?state=LOG_FORKED", 1),
        ("?state=blocked", 2),
        ("?q=0002", 1),
        ("?q=0002&state=alarm", 0),
        ("?first=2", 1),
        ("?first=-1&q=FRAMEGATE", 3),
        ("?" + "&".join("a" * 20), 3),
    ],
)
def test_the_filter_lists_what_it_says(rig: Rig, query: str, listed: int) -> None:
    rig.fork()

    assert rig.get(f"/{query}")[1].count('data-head="device">') == listed


def test_a_device_gives_its_proofs_and_they_hold(rig: Rig) -> None:
    page = rig.get("/device/framegate-0001")[1]
    request = read_request(rig.get("/device/framegate-0001/proof")[1].encode())

    check_consistency(40, LOGS[1].root(40), 50, LOGS[1].root(50), request.path)
    assert rig.get("/device/framegate-0001/checkpoint")[1] == LOGS[1].note(50).decode()
    assert rig.get("/device/framegate-0001/cosigned")[1] == LOGS[1].note(40).decode()
    assert 'href="http://127.0.0.1:8321/proof/49"' in page
    assert "8321" not in rig.get("/device/framegate-0002")[1]


def test_nothing_else_is_answered_and_nothing_is_echoed_as_html(rig: Rig) -> None:
    assert rig.get("/", host="evil.example")[0] == "421"
    assert rig.get("/", method="POST")[0] == "405"
    for path in ("/x", "/device/", "/device/nobody", "/device/framegate-0001/key"):
        assert rig.get(path)[0] == "404"
    assert "<script>alert" not in rig.get("/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")[1]

    rig.newest = Look(NOW_S - 31, (), "")
    assert rig.get("/")[0] == rig.get("/healthz")[0] == "503"


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")
def test_in_a_browser_an_alarm_appears_by_itself_and_can_be_followed_to_its_device(
    rig: Rig,
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(rig.site, listener), daemon=True).start()
    with Browser() as browser:
        browser.look(width=390)
        browser.go(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert browser.value("word.textContent") == "Every device is in order"
        assert browser.value("document.documentElement.scrollWidth") <= 390
        assert browser.value("document.querySelectorAll('tbody svg').length") == 3
        rig.fork()
        until(lambda: "1 of 3" in browser.value("word.textContent"), "the alarm")
        browser.value("document.querySelector('select').value = 'alarm'")
        browser.value("document.querySelector('form').submit()")
        listed = "[...document.querySelectorAll('tbody a')].map(a => a.textContent).join()"
        until(lambda: browser.value(listed) == "framegate-0001", "the filter")
        browser.value("document.querySelector('tbody a').click()")
        until(lambda: "/device/framegate-0001" in browser.value("location.href"), "the device")
        until(lambda: browser.value("word.textContent") == "LOG_FORKED", "its page")
