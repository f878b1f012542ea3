"""`POST /add-checkpoint` and `GET /head/DIGEST`: a witness over HTTP, with bounded sizes and waits.

A request that says no length, or one above the protocol's, is refused before any
of it is read. At most so many clients are served at once; the next one waits.
"""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from edge.audit.note import Signer
from edge.audit.proofs.consistency import MAX_REQUEST_BYTES
from edge.fleet.witness import Answer, NotKept, Status, answer, shown
from edge.fleet.witness_store import WitnessStore
from edge.reasons import Reason

_CLIENTS = 64  # at once
_SILENCE_S = 10.0  # of a client, after which it is let go
_SAY_S = 60.0  # the same of one log is said at most so often, however often it is sent
_CONNECTED_S = 60.0  # and whatever it says: one that drips would keep its place for ever
PATH = "/add-checkpoint"
_HEAD = "/head/"


class WitnessServer(ThreadingHTTPServer):
    """Answers for one store and one key."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(
        self,
        address: tuple[str, int],
        store: WitnessStore,
        signer: Signer,
        say: Callable[[str], None] = lambda line: None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.signer, self.say, self.now_s = store, signer, say, now_s
        self._room = threading.BoundedSemaphore(_CLIENTS)
        self._until: dict[socket.socket, float] = {}  # of each connection, by the monotonic clock
        self._quiet: dict[tuple[str, str], float] = {}  # what was said of a log, and until when
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def warn(self, word: str, origin: str, what: str) -> None:
        """Say what a known log did, unless it was said a moment ago."""
        now_s = time.monotonic()
        if now_s >= self._quiet.get((word, origin), now_s):
            self._quiet[word, origin] = now_s + _SAY_S
            self.say(f"{word} {origin}: {what}")

    def process_request(self, request: object, client_address: object) -> None:
        while not self._room.acquire(timeout=1.0):
            self.service_actions()
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def service_actions(self) -> None:
        """Let go of who has been connected for too long; called about twice a second."""
        now_s = time.monotonic()
        for connection, until_s in list(self._until.items()):
            if now_s > until_s:
                with contextlib.suppress(OSError):  # it went by itself
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request_thread(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self._until[request] = time.monotonic() + _CONNECTED_S
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._until[request]
            self.store.close()
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news; anything else is a fault of this program."""
        fault = sys.exc_info()[1]
        if not isinstance(fault, OSError):
            self.say(f"a request was not answered: {type(fault).__name__}: {fault}")


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    server_version = "framegate-witness"
    sys_version = ""
    timeout = _SILENCE_S

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_POST(self) -> None:
        if self.path != PATH:
            self._give(Answer(Status.UNKNOWN_LOG, b"expected POST /add-checkpoint\n"), close=True)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > MAX_REQUEST_BYTES:
            why = f"expected a body of at most {MAX_REQUEST_BYTES} bytes, with its length\n"
            self._give(Answer(Status.MALFORMED, why.encode()), close=True)
            return
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            self.close_connection = True
            return
        store, signer = self.server.store, self.server.signer
        found = _asked(lambda: answer(body, store, signer, int(self.server.now_s())))
        if found.forked:
            what = "it signed two histories; `framegate fleet evidence` shows both"
            self.server.warn(Reason.LOG_FORKED.value, found.forked, what)
        if found.unproven:
            what = "a tree that it signed came without a proof that it continues the one cosigned"
            self.server.warn("UNPROVEN", found.unproven, what)
        self._give(found)

    def do_GET(self) -> None:
        if not self.path.startswith(_HEAD):
            self._give(Answer(Status.UNKNOWN_LOG, b"expected GET /head/DIGEST\n"), close=True)
            return
        self._give(_asked(lambda: shown(self.path.removeprefix(_HEAD), self.server.store)))

    def _give(self, found: Answer, *, close: bool = False) -> None:
        self.send_response(found.status)
        self.send_header("Content-Type", found.content_type)
        self.send_header("Content-Length", str(len(found.body)))
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(found.body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged one by one."""


def _asked(what: Callable[[], Answer]) -> Answer:
    try:
        return what()
    except (sqlite3.Error, NotKept) as err:
        return Answer(Status.NOT_KEPT, f"the memory cannot be used: {err}\n".encode())
