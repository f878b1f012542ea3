"""A witness over HTTP: the protocol's answers, bounded in size and in waiting."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.audit.cosignature import cosignatures, witness_of
from edge.audit.note import Signer
from edge.audit.proofs.consistency import MAX_REQUEST_BYTES
from edge.fleet import http_post, witness_server
from edge.fleet.witness_server import WitnessServer
from edge.fleet.witness_store import SqliteStore
from tests.fleet.histories import forked, honest

LOG, EYE = Signer.generate("framegate-0001/log"), Signer.generate("witness.example/w1")
HISTORY = honest(LOG, 20)


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def server(tmp_path: Path, heard: list[str]) -> Iterator[WitnessServer]:
    SqliteStore.create(tmp_path / "w.db")
    store = SqliteStore(tmp_path / "w.db", [LOG.verifier])
    found = WitnessServer(("127.0.0.1", 0), store, EYE, heard.append, lambda: 1_790_000_000.7)
    thread = threading.Thread(target=found.serve_forever, args=(0.02,))
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.fixture
def client(server: WitnessServer) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    yield connection
    connection.close()


def post(
    client: http.client.HTTPConnection, body: bytes, path: str = "/add-checkpoint"
) -> tuple[int, str, bytes]:
    client.request("POST", path, body)
    found = client.getresponse()
    return found.status, found.getheader("Content-Type", ""), found.read()


def test_one_connection_carries_many_requests_and_each_gets_its_answer(
    client: http.client.HTTPConnection, heard: list[str]
) -> None:
    status, _, line = post(client, HISTORY.request(0, 5))
    assert status == 200
    (found,) = cosignatures(HISTORY.note(5) + line, (witness_of(EYE),))
    assert found.time_s == 1_790_000_000
    assert post(client, HISTORY.request(0, 9)) == (409, "text/x.tlog.size", b"5\n")
    assert post(client, HISTORY.request(5, 9))[0] == 200
    assert heard == []
    assert post(client, forked(LOG, 12, 3).request(9, 12))[0] == 422
    client.close()
    assert heard == [
        "LOG_FORKED framegate-0001/log: it signed two histories; `framegate fleet evidence` "
        "shows both"
    ]


def test_another_path_another_method_and_another_size_are_refused(
    server: WitnessServer, client: http.client.HTTPConnection
) -> None:
    assert post(client, b"x", "/add-entries")[0] == 404
    client.request("GET", "/add-checkpoint")
    assert client.getresponse().status == 404
    client.close()
    head = b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n"
    lengths = (b"", b"-1", b"%d" % (MAX_REQUEST_BYTES + 1), b"9" * 40, b"1e3", b"x")
    for length in lengths:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as raw:
            field = b"Content-Length: " + length + b"\r\n" if length else b""
            raw.sendall(head + field + b"\r\n")  # and no body: none of it is waited for
            assert raw.recv(100).startswith(b"HTTP/1.1 400 "), length
    assert post(client, HISTORY.request(0, 5))[0] == 200


def test_a_client_that_is_silent_or_cuts_off_holds_nobody_up(
    server: WitnessServer, client: http.client.HTTPConnection
) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(8)]
    for raw in silent:
        raw.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 500\r\n\r\nold 0\n")

    assert post(client, HISTORY.request(0, 5))[0] == 200

    for raw in silent:
        raw.close()
    assert post(client, HISTORY.request(5, 9))[0] == 200
    assert server.store.head(LOG.name).size == 9


def test_a_memory_that_cannot_be_written_cosigns_nothing(
    server: WitnessServer, client: http.client.HTTPConnection, tmp_path: Path
) -> None:
    server.store._db().execute("drop table heads")

    status, _, body = post(client, HISTORY.request(0, 5))

    assert status == 503
    assert b"memory" in body


def test_a_fault_of_the_witness_itself_is_said_and_the_next_client_is_served(
    server: WitnessServer,
    client: http.client.HTTPConnection,
    heard: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as spoilt:
        spoilt.setattr(server, "now_s", lambda: "noon")
        with pytest.raises(http.client.RemoteDisconnected):
            post(client, HISTORY.request(0, 5))
    client.close()

    assert post(client, HISTORY.request(0, 5))[0] == 200
    assert heard == [
        "a request was not answered: ValueError: invalid literal for int() with base 10: 'noon'"
    ]


def test_a_device_that_floods_is_answered_each_time_and_leaves_nothing_that_grows(
    server: WitnessServer, client: http.client.HTTPConnection, heard: list[str]
) -> None:
    """Replays, forks, made-up proofs, unknown logs, large bodies; then the honest log goes on."""
    assert post(client, HISTORY.request(0, 5))[0] == 200
    strangers = [Signer.generate(f"framegate-{n:04}/log") for n in range(1000, 1005)]
    flood = [
        (HISTORY.request(0, 5), 409),
        (HISTORY.request(5, 5), 200),
        (forked(LOG, 9, 2).request(5, 9), 422),
        (b"old 5\n\n" + HISTORY.note(9), 422),
        (b"old 5\n" + (b"A" * 43 + b"=\n") * 64 + b"\n" + HISTORY.note(9), 400),
        (b"old 0\n\n" + b"x" * (MAX_REQUEST_BYTES - 10), 400),
        *((honest(one, 3).request(0, 3), 404) for one in strangers),
    ]

    def kept() -> tuple[int, int, int, int]:
        rows = server.store.evidence()
        return len(rows), sum(len(r.request) for r in rows), len(server.store.heads()), len(heard)

    grown = []
    for _ in range(20):
        assert [post(client, body)[0] for body, _ in flood] == [status for _, status in flood]
        grown.append(kept())
    assert grown[-1] == grown[15]  # once so much evidence of a log is kept, no more is
    assert grown[-1][0] == 16
    assert grown[-1][2:] == (1, 2)  # one head; a line of the fork and one of the made-up proof
    assert post(client, HISTORY.request(5, 9))[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("drips", [True, False])
def test_clients_that_drip_do_not_keep_their_places(
    server: WitnessServer, monkeypatch: pytest.MonkeyPatch, drips: bool
) -> None:
    """Each byte comes in time, the request never; the twin has free places from the start."""
    monkeypatch.setattr(witness_server, "_CONNECTED_S", 0.3)
    server._room = threading.BoundedSemaphore(2)
    over = threading.Event()
    address = ("127.0.0.1", server.server_port)
    visitors = [socket.create_connection(address) for _ in range(2 if drips else 0)]

    def drip() -> None:
        while not over.wait(0.02):
            for visitor in visitors:
                with contextlib.suppress(OSError):
                    visitor.send(b"P")

    thread = threading.Thread(target=drip)
    thread.start()
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=30)) as honest_one:
        status = post(honest_one, HISTORY.request(0, 5))[0]
    over.set()
    thread.join()
    for visitor in visitors:
        visitor.close()

    assert status == 200


@pytest.mark.parametrize("drips", [True, False])
def test_a_witness_that_drips_is_let_go_and_one_that_answers_is_heard(
    monkeypatch: pytest.MonkeyPatch, drips: bool
) -> None:
    monkeypatch.setattr(http_post, "_WHOLE_S", 0.3 if drips else 30.0)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while drips:
                connection.sendall(b"X: y\r\n")
                time.sleep(0.1)
            connection.sendall(b"Content-Length: 2\r\n\r\nok")

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/add-checkpoint"
    if drips:
        with pytest.raises(OSError):
            http_post.post(url, b"x")
    else:
        assert http_post.post(url, b"x") == (200, b"ok")
    thread.join(30)
    listening.close()
