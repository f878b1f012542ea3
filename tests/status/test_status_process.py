"""The status process: nonsense, floods and slow visitors do not reach the gate."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import time
from pathlib import Path

import pytest

from edge.commands.live import status
from edge.status.server import StatusServer
from tests.support.daemons import until
from tests.support.status_pages import sample, status_code

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00\xff\xfe\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["bytes", "long", "body", "chunks"],
)
def test_nonsense_is_answered_or_dropped_and_the_page_goes_on(
    served: tuple[int, StatusServer], nonsense: bytes
) -> None:
    port, _ = served
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as visitor,
        contextlib.suppress(OSError),  # it may have been dropped already
    ):
        visitor.sendall(nonsense)
        visitor.shutdown(socket.SHUT_WR)
        assert b"200 OK" not in visitor.recv(100)

    assert status_code(port, "/") == 200


def test_the_page_can_write_nothing_but_its_file(
    served: tuple[int, StatusServer], tmp_path: Path
) -> None:
    _, server = served
    until((tmp_path / "run" / "status.json").exists, "the file")
    assert server._child is not None
    limits = Path(f"/proc/{server._child.pid}/status").read_text()

    assert "NoNewPrivs:\t1" in limits
    assert re.search(r"CapEff:\t0+\n", limits)


def test_a_flood_of_slow_visitors_does_not_reach_the_gate(
    served: tuple[int, StatusServer],
) -> None:
    port, server = served
    quiet = gate_step_us()
    with contextlib.ExitStack() as visitors:
        for number in range(500):
            visitor = visitors.enter_context(socket.socket())
            visitor.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                visitor.connect(("127.0.0.1", port))
            request = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"\r\n" * (number % 2)
            with contextlib.suppress(OSError):
                visitor.send(request)  # half never finish, the others never read
        flooded = gate_step_us()
        for _ in range(20):
            server.tell(sample())
    memory_kb = int(
        re.search(
            r"VmRSS:\s+(\d+)",
            Path(f"/proc/{server._child.pid}/status").read_text(),  # type: ignore[union-attr]
        )[1]  # type: ignore[index]
    )

    assert flooded <= 4 * quiet
    assert memory_kb < 200_000
    until(lambda: status_code(port, "/") == 200, "the page after the flood")


def gate_step_us() -> float:
    """The median of a gate step while all else goes on; best of three."""
    import numpy as np

    from edge.frames.sentinel import Sentinel

    sentinel = Sentinel(None)
    frame = np.zeros((480, 640, 3), np.uint8)
    found = []
    for _ in range(3):
        times = []
        for _ in range(300):
            began_ns = time.perf_counter_ns()
            sentinel.look(frame, 0)
            times.append(time.perf_counter_ns() - began_ns)
            time.sleep(0.0005)
        found.append(sorted(times)[len(times) // 2] / 1000)
    return min(found)


def test_visitors_who_drip_do_not_starve_a_health_check(served: tuple[int, StatusServer]) -> None:
    port, server = served
    with contextlib.ExitStack() as visitors:
        dripping = []
        for _ in range(300):
            visitor = visitors.enter_context(socket.socket())
            visitor.connect(("127.0.0.1", port))
            dripping.append(visitor)
        answers = []
        for _ in range(5):
            for visitor in dripping:
                with contextlib.suppress(OSError):
                    visitor.send(b"G")
            server.tell(sample())
            with contextlib.closing(
                http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            ) as client:
                client.request("GET", "/healthz", headers={"Host": "localhost"})
                answers.append(client.getresponse().status)

    assert answers == [200] * 5


def test_a_daemon_that_was_killed_is_not_running_at_once(
    served: tuple[int, StatusServer], tmp_path: Path
) -> None:
    _, server = served
    file = tmp_path / "run" / "status.json"
    until(file.exists, "the file")
    at_s = json.loads(file.read_text())["at_s"]
    alive = status.read(file, at_s)
    assert server._child is not None
    server._child.process.kill()  # as the kernel does when the daemon is killed
    server._child.process.wait(10)

    assert alive is not None
    assert file.exists()
    assert status.read(file, at_s) is None
