"""The status site: five addresses, read only, for a browser or scraper on this machine.

    /             the page          /status.json  the snapshot
    /metrics      for Prometheus    /healthz      200 while decisions and board are fresh
    /proof/N      that entry N is in the log, for whoever has the public key

A WSGI application; it knows nothing of sockets. A request whose Host is not a
loopback name is refused, so that no page from elsewhere can read this one.
"""

from __future__ import annotations

import ipaddress
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from edge.audit.proofs.tiled import size_of
from edge.audit.segment import is_count
from edge.errors import AuditError
from edge.status import page
from edge.status.alive import FRESH_S, STALE_S, as_of

TEXT, HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"
Read = Callable[[], tuple[float, dict[str, Any]] | None]
Prove = Callable[[str, int], str]
Answer = tuple[str, str, bytes]  # status, content type, body
Start = Callable[[str, list[tuple[str, str]]], object]


class ReadOnlySite(ABC):
    """An application that is only read, under a name of this machine."""

    content_policy: str  # of every answer

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        status, kind, body = self._checked(environ)
        headers = [
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", self.content_policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
        ]
        start(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _checked(self, environ: dict[str, Any]) -> Answer:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return "405 Method Not Allowed", TEXT, b"this site is only read\n"
        if not loopback(environ.get("HTTP_HOST", "")):
            return "421 Misdirected Request", TEXT, b"expected a loopback name as Host\n"
        return self.answer(environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", ""))

    @abstractmethod
    def answer(self, path: str, query: str) -> Answer:
        """Status, content type and body."""


class Site(ReadOnlySite):
    """The application of one device."""

    content_policy = page.CONTENT_POLICY

    def __init__(self, read: Read, prove: Prove) -> None:
        """`read` gives (age in seconds, newest snapshot), `prove` a checkpoint's entry's proof."""
        self._read = read
        self._prove = prove

    def answer(self, path: str, query: str) -> Answer:
        found = self._read()
        number = path.removeprefix("/proof/") if path.startswith("/proof/") else None
        if number is None and path not in ("/", "/status.json", "/metrics", "/healthz"):
            expected = b"expected /, /status.json, /metrics, /healthz or /proof/N\n"
            return "404 Not Found", TEXT, expected
        if found is None:
            return "503 Service Unavailable", TEXT, b"the guard has reported nothing yet\n"
        age_s, snapshot = found[0], as_of(found[1], found[0])
        if number is not None:
            return self._proof(number, snapshot["checkpoint"])
        if path == "/status.json":
            return "200 OK", "application/json", json.dumps(snapshot).encode()
        if path == "/metrics":
            from edge.status import metrics  # its library is large, and not everybody scrapes

            return "200 OK", metrics.CONTENT_TYPE, metrics.metrics(snapshot, age_s)
        if path == "/healthz":
            return _health(age_s, snapshot)
        html = page.render(snapshot, age_s=age_s, stale=age_s > FRESH_S)
        return "200 OK", HTML, html.encode()

    def _proof(self, number: str, checkpoint: str) -> Answer:
        size = size_of(checkpoint)
        if not is_count(number) or not int(number) < size:
            upto = f"N from 0 to {size - 1}" if size else "N once the log has an entry"
            return "404 Not Found", TEXT, f"expected /proof/N, {upto}\n".encode()
        try:
            proof = self._prove(checkpoint, int(number))
        except AuditError as err:
            return "503 Service Unavailable", TEXT, f"{err}\n".encode()
        return "200 OK", TEXT, proof.encode()


def _health(age_s: float, snapshot: dict[str, Any]) -> Answer:
    """Healthy is not the same as permitted: a guard that blocks for a reason is well."""
    if age_s > STALE_S:
        return "503 Service Unavailable", TEXT, f"no word for {age_s:.0f} s\n".encode()
    if not snapshot["verified"]:
        return "503 Service Unavailable", TEXT, f"{snapshot['phase']}: not verified\n".encode()
    return "200 OK", TEXT, b"ok\n"


def loopback(host: str) -> bool:
    """Whether a Host header names this machine itself."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
