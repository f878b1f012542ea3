"""The status page in a real browser."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.web.browser import Browser, chromium
from edge.audit.proofs.proof import ProvenEntry, verify_proof
from edge.errors import AuditError
from edge.status.server import StatusServer
from tests.support.daemons import until
from tests.support.parts import long
from tests.support.status_pages import LOG_KEY, sample, signed

pytestmark = pytest.mark.slow


needs_browser = pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")


@contextlib.contextmanager
def telling(server: StatusServer, snapshot_: dict[str, Any]) -> Iterator[None]:
    """A daemon that goes on telling, as a real one does."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(0.2):
            server.tell(snapshot_)

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


@needs_browser
def test_the_script_keeps_the_page_fresh_and_leaves_alone_what_did_not_change(
    served: tuple[int, StatusServer],
) -> None:
    port, server = served
    with Browser() as browser:
        browser.look(width=1280)
        with telling(server, sample(permitted=True)):
            browser.go(f"http://127.0.0.1:{port}/")
            assert browser.value("document.getElementById('pause').hidden") is False
            until(lambda: browser.value("word.textContent") == "Frames pass", "the first news")
            browser.value("window.kept = document.querySelector('[role=status]')")
            browser.value("document.getElementById('evidence').focus()")
        with telling(server, sample()):
            until(lambda: browser.value("word.textContent") == "Everything is blocked", "the news")

        assert browser.value("document.title") == "framegate: blocked"
        assert browser.value("kept.isConnected") is True  # or a screen reader would not tell
        assert browser.value("document.activeElement.id") == "evidence"


@needs_browser
def test_a_change_leads_to_a_proof_that_the_public_key_confirms(
    served: tuple[int, StatusServer], tmp_path: Path
) -> None:
    port, server = served
    with telling(server, signed(tmp_path / "audit")), Browser() as browser:
        browser.look(width=1280)
        browser.go(f"http://127.0.0.1:{port}/")
        until(lambda: browser.value("!!document.querySelector('a[download]')"), "the link")
        proof = browser.value(
            "(() => {const ask = new XMLHttpRequest();"
            "ask.open('GET', document.querySelector('a[download]').href, false);"
            "ask.send(); return ask.responseText})()"
        )

    found = verify_proof(proof, LOG_KEY.verifier)
    assert isinstance(found, ProvenEntry)
    assert (found.index, found.fields["kind"]) == (1, "permit")
    with pytest.raises(AuditError):
        verify_proof(proof.replace("index 1", "index 0"), LOG_KEY.verifier)


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, *long(True)], ids=["light", "dark"])
def test_it_fits_the_screen_and_can_be_read_without_scripts(
    served: tuple[int, StatusServer], width: int, dark: bool
) -> None:
    port, server = served
    with telling(server, sample()), Browser() as browser:
        browser.look(width=width, dark=dark, scripts=False)
        browser.go(f"http://127.0.0.1:{port}/")
        wide = browser.value("document.documentElement.scrollWidth")
        ground = browser.value("getComputedStyle(document.body).backgroundColor")
        body = browser.value("document.body.innerText")

    assert wide <= width
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) is dark
    assert "Everything is blocked" in body and "VIEW_FOREIGN" in body
    assert "Pause" not in body  # what needs a script is not offered


@needs_browser
def test_keyboard_and_screen_reader_find_their_way(served: tuple[int, StatusServer]) -> None:
    port, server = served
    with telling(server, sample()), Browser() as browser:
        browser.look(width=1280)
        browser.go(f"http://127.0.0.1:{port}/")
        nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
        order = []
        for _ in range(5):
            for kind in ("keyDown", "keyUp"):
                browser.ask("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)
            order.append(browser.value("document.activeElement.textContent"))

    named = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes]
    roles = {role for role, _ in named}
    assert {"banner", "main", "contentinfo", "status"} <= roles
    headings = [name for role, name in named if role == "heading"]
    assert headings[0] == "framegate"
    assert {"Evidence", "Changes", "Health"} <= set(headings)
    assert order == ["Skip to the evidence", "Pause refreshing", "JSON", "metrics", "health"]
