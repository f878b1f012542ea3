"""Damaged input ends no process: each channel in part, and whole processes for the rest.

`python -m tests.fuzz` goes on for longer.
"""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

import pytest

from edge.clock import S
from edge.consent.consent import Consent
from edge.consent.inbox import LOOK_NS, ConsentInbox
from edge.lease import Lane
from edge.status.server import StatusServer
from tests.fuzz.channels import Channel, channels
from tests.fuzz.mutate import bytes_of
from tests.support.daemons import until

ROUNDS = 150
_REQUESTS = [
    b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
    b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
]


@pytest.mark.slow
def test_no_channel_lets_damage_escape_and_each_takes_what_is_sound(tmp_path: Path) -> None:
    made = channels(tmp_path)

    for channel in made:
        assert channel.sound(), channel.name
        for seed in range(ROUNDS):
            channel.feed(random.Random(seed))  # whatever is raised here would end a process

    assert len(made) >= 15


def test_an_error_that_escapes_is_found(tmp_path: Path) -> None:
    def feed(draw: random.Random) -> object:
        return {b"": 1}[bytes_of(draw, [b"seed"])]

    broken = Channel("broken", "anybody", lambda: True, feed)

    with pytest.raises(KeyError):
        for seed in range(ROUNDS):
            broken.feed(random.Random(seed))


def test_a_file_that_is_named_by_its_ending_alone_is_taken_like_any_other(tmp_path: Path) -> None:
    consent = Consent(Lane.VERIFY, "till-2")
    inbox = ConsentInbox(tmp_path, consent, receipt_keys=(), authorities=())
    for name in (".token", ".withdrawn", ".optout"):
        (tmp_path / name).write_text("a" * 64)

    handed = inbox.look(S)

    assert sorted(one.handing.value for one in handed) == ["opt_out", "refused", "withdrawal"]
    assert inbox.look(S + LOOK_NS) == () and inbox.readable


@pytest.mark.slow
def test_the_status_process_outlives_hostile_requests(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = StatusServer(listener, tmp_path / "status.json", tmp_path / "audit")
    server.start()
    address = listener.getsockname()

    def answers(request: bytes = b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n") -> bytes:
        with socket.create_connection(address, timeout=20) as visitor:
            visitor.sendall(request)
            visitor.shutdown(socket.SHUT_WR)
            return visitor.recv(4096)

    try:
        until(lambda: answers().startswith(b"HTTP/1.0 503"), "the first answer")
        child = server._child
        assert child is not None
        draw = random.Random(7)
        for _ in range(200):
            try:
                answers(bytes_of(draw, _REQUESTS))
            except OSError:
                continue  # it hung up on us
        assert child.process.poll() is None
        assert answers().startswith(b"HTTP/1.0 503")
        assert os.path.exists(f"/proc/{child.process.pid}")
    finally:
        server.close()
        listener.close()
