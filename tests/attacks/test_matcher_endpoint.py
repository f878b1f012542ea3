"""Strangers at the matcher's endpoint (attacks D20, D21), and the socket a matcher is handed."""

from __future__ import annotations

import array
import json
import os
import random
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.layout import Layout
from edge.frames.matcher_endpoint import (
    HELLO_NS,
    MAX_HELLO,
    MAX_STRANGERS,
    VERSIONS,
    MatcherEndpoint,
)
from edge.frames.output_format import OutputFormat
from edge.frames.ring import Ring
from edge.frames.shaper import Shaper
from edge.lease import Lane
from edge.masking.mask import nothing
from edge.sandbox.spec import Layer
from tests.support.sandboxes import in_sandbox, let_others_in, report_of, root

HELLO = {"v": VERSIONS[0], "token": "secret", "lane": "verify_1_1"}


class LocalEndpoint:
    """A matcher endpoint in this process."""

    def __init__(self, path: Path, uid: int) -> None:
        self.path = path
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(path))
        listener.listen(MAX_STRANGERS + 1)
        self.ring = Ring.create(48)
        self.ring.seal()
        self.endpoint = MatcherEndpoint(
            listener,
            self.ring,
            token="secret",
            lane=Lane.VERIFY,
            uid=uid,
            shaper=Shaper(OutputFormat(), Layout.BGR, 4, 4),
        )

    def knock(self, hello: bytes, fds: tuple[int, ...] = ()) -> socket.socket:
        """Connect, send a hello and let the endpoint answer."""
        stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stranger.settimeout(5)
        stranger.connect(str(self.path))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        stranger.sendmsg([hello], rights)
        self.endpoint.serve(0)
        return stranger

    def ask(self, **changes: object) -> dict[str, object]:
        with self.knock(json.dumps({**HELLO, **changes}).encode()) as stranger:
            answer: dict[str, object] = json.loads(stranger.recv(512))
        self.endpoint.serve(0)
        return answer


@pytest.fixture
def local(tmp_path: Path) -> LocalEndpoint:
    return LocalEndpoint(tmp_path / "socket", os.getuid())


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_guards_own_matcher_is_admitted(local: LocalEndpoint) -> None:
    assert local.ask()["ok"] is True


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token": "guess"}, "PEER_UNKNOWN"),
        ({"token": ""}, "PEER_UNKNOWN"),
        ({"token": 7}, "MATCHER_PROTOCOL"),
        ({"v": 3}, "MATCHER_PROTOCOL"),
        ({"v": True}, "MATCHER_PROTOCOL"),
        ({"lane": "detect"}, "LANE_MISMATCH"),
        ({"lane": None}, "MATCHER_PROTOCOL"),
        ({"token": "\ud800"}, "MATCHER_PROTOCOL"),
        ({"lane": "\udfff"}, "LANE_MISMATCH"),
        ({"token": ["secret"]}, "MATCHER_PROTOCOL"),
        ({"token": None}, "MATCHER_PROTOCOL"),
    ],
)
def test_a_stranger_is_told_why_it_stays_outside(
    local: LocalEndpoint, changes: dict[str, object], code: str
) -> None:
    assert local.ask(**changes) == {"ok": False, "code": code}


PIECES = ['{"v"', ":1,", '"token":', '"\\ud83d"', '"lane":"verify"', "}", "[" * 300, "NaN", "1e999"]


def test_the_endpoint_survives_any_bytes_sent_to_it(local: LocalEndpoint) -> None:
    """Seeded noise: damaged hellos, pieces of JSON and bytes at random, then a good one."""
    dice = random.Random(14)
    good = json.dumps(HELLO).encode()
    for _ in range(400):
        damaged = bytearray(good)
        for _ in range(dice.randrange(1, 5)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        pieces = "".join(dice.choices(PIECES, k=dice.randrange(1, 8))).encode()
        noise = dice.randbytes(dice.randrange(1, 200))
        local.knock(dice.choice([bytes(damaged), pieces, noise])).close()
        local.endpoint.serve(0)

    local.endpoint.renew("secret")  # damage may leave a hello whole, which spends the token
    assert local.ask()["ok"] is True


def test_another_user_stays_outside_although_it_knows_the_token(tmp_path: Path) -> None:
    assert LocalEndpoint(tmp_path / "socket", os.getuid() + 1).ask() == {
        "ok": False,
        "code": "PEER_UNKNOWN",
    }


def test_a_second_matcher_stays_outside_until_the_first_is_gone(local: LocalEndpoint) -> None:
    first = local.knock(json.dumps(HELLO).encode())

    assert local.ask()["code"] == "PEER_UNKNOWN"
    first.close()
    local.endpoint.serve(0)
    local.endpoint.renew("secret")
    assert local.ask()["ok"] is True


def test_a_token_admits_once_and_the_next_one_again(local: LocalEndpoint) -> None:
    """The matcher is gone, and somebody read its token where it was kept."""
    local.ask(token="guess")  # what is refused spends nothing
    local.ask(lane="detect")
    assert local.ask()["ok"] is True

    assert local.ask() == {"ok": False, "code": "PEER_UNKNOWN"}
    assert local.ask(token="") == {"ok": False, "code": "PEER_UNKNOWN"}

    local.endpoint.renew("another")
    assert local.ask() == {"ok": False, "code": "PEER_UNKNOWN"}
    assert local.ask(token="another")["ok"] is True


@pytest.mark.parametrize(
    "hello",
    [b"{", b"[]", b"null", b"\xff" * 40, b"{}", b"[" * MAX_HELLO, b"1" * (MAX_HELLO + 1)],
    ids=["cut", "list", "null", "bytes", "empty", "deep", "huge"],
)
def test_nonsense_ends_the_connection_and_nothing_else(local: LocalEndpoint, hello: bytes) -> None:
    before = descriptors()

    with local.knock(hello) as stranger:
        answer = stranger.recv(512)
        assert answer == b"" or b"MATCHER_PROTOCOL" in answer

    assert local.ask()["ok"] is True
    assert descriptors() <= before + 1  # the admitted matcher's wake, until it is seen gone


def test_descriptors_sent_along_are_closed_and_end_the_connection(local: LocalEndpoint) -> None:
    before = descriptors()

    for _ in range(20):
        with local.knock(json.dumps(HELLO).encode(), fds=(0,) * 12) as stranger:
            assert stranger.recv(512) == b""

    assert descriptors() == before
    assert not local.endpoint.listening


def test_an_admitted_matcher_that_speaks_is_shown_out(local: LocalEndpoint) -> None:
    with local.knock(json.dumps(HELLO).encode()) as matcher:
        frame = np.full((4, 4, 3), 7, np.uint8)
        local.endpoint.publish(local.endpoint.stage(frame, nothing(4, 4)), frame, 1, 1)
        assert local.endpoint.listening
        matcher.send(b"more")
        local.endpoint.serve(0)

    assert not local.endpoint.listening
    assert local.ring.stage(np.zeros((4, 4, 3), np.uint8)) is not None  # the guard goes on


CONNECT = """
def connect():
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(sys.argv[1])
tell({'connect': tried(connect)})
"""


@pytest.mark.skipif(not root(), reason="another user takes root")
def test_another_program_of_the_matchers_user_does_not_find_the_socket(tmp_path: Path) -> None:
    closed = tmp_path / "run"
    closed.mkdir(mode=0o700)
    let_others_in(tmp_path)
    local = LocalEndpoint(closed / "socket", 0)
    local.path.chmod(0o777)

    assert report_of(in_sandbox(CONNECT, (Layer.OWN_UID,), str(local.path)))["connect"] == "EACCES"
    closed.chmod(0o755)
    assert report_of(in_sandbox(CONNECT, (Layer.OWN_UID,), str(local.path)))["connect"] == "done"


CLIENT = """
import ctypes, os, sys
from framegate_client.connection import connect
before = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
connection = connect()
after = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
print(connection.height, "FRAMEGATE_FD" in os.environ, before, after, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def handed(local: LocalEndpoint) -> Iterator[subprocess.Popen[str]]:
    """A matcher that was handed a connected socket instead of a path."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.connect(str(local.path))
    given = {"FRAMEGATE_TOKEN": "secret", "FRAMEGATE_LANE": "verify_1_1"}
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        env={**os.environ, **given, "FRAMEGATE_FD": str(channel.fileno())},
        pass_fds=(channel.fileno(),),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    channel.close()
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_handed_socket_admits_once_and_closes_the_matchers_memory(
    local: LocalEndpoint, handed: subprocess.Popen[str]
) -> None:
    while not local.endpoint.listening and handed.poll() is None:
        local.endpoint.serve(0)

    assert handed.stdout is not None
    height, again, before, after = handed.stdout.readline().split()
    assert (height, again) == ("4", "False")
    assert (before, after) == ("1", "0")  # readable to its own user before, not after


def test_silent_strangers_hold_a_place_for_a_second_and_no_work_is_made_of_them(
    local: LocalEndpoint,
) -> None:
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(MAX_STRANGERS)]
    for stranger in silent:
        stranger.connect(str(local.path))
    local.endpoint.serve(0)

    with local.knock(json.dumps(HELLO).encode()) as matcher:
        full = select.select(local.endpoint.fds(), [], [], 0)[0]
        held = local.endpoint.listening
        early = local.endpoint.overdue(HELLO_NS - 1)
        due = local.endpoint.overdue(HELLO_NS)
        local.endpoint.serve(HELLO_NS)
        local.endpoint.serve(HELLO_NS)

        assert (full, held, early, due) == ([], False, False, True)
        assert local.endpoint.listening
        assert json.loads(matcher.recv(512))["ok"]
    assert [stranger.recv(1) for stranger in silent] == [b""] * MAX_STRANGERS
    for stranger in silent:
        stranger.close()


def test_a_connection_that_the_guard_made_may_take_its_time(tmp_path: Path) -> None:
    local = LocalEndpoint(tmp_path / "socket", os.getuid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        channel.connect(str(local.path))
        child = os.fork()
        if child == 0:  # as the gate: the guard is its parent
            local.endpoint.serve(0)
            local.endpoint.serve(3600 * HELLO_NS)
            channel.send(json.dumps(HELLO).encode())
            local.endpoint.serve(3600 * HELLO_NS)
            os._exit(0 if local.endpoint.listening else 1)
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
