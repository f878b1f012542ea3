"""The serial port: held by one program, never waited for, and lost in one clear line."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from edge import ipc
from edge.errors import BridgeError
from edge.heartbeat import Beats
from edge.wire import to_json
from firmware_bridge.port import Port
from firmware_bridge.settings import BridgeSettings
from tests.support.boards import ROOT


@pytest.mark.parametrize(
    ("make_port", "says"),
    [
        (lambda path: str(path / "none"), "no port"),
        (lambda path: str(path), "cannot use port"),
        (lambda path: _file(path), "not a serial port"),
    ],
    ids=["missing", "a folder", "a file"],
)
def test_a_port_that_cannot_be_used_is_one_line_and_exit_code_2(tmp_path, make_port, says):
    beats, (ours, theirs) = Beats.create(), ipc.pair()
    settings = BridgeSettings(make_port(tmp_path), ROOT, beats.fd, theirs.fileno())
    command = [sys.executable, "-m", "firmware_bridge.process"]
    fds = (settings.beats_fd, settings.decider_fd)

    done = subprocess.run(
        command, input=to_json(settings), pass_fds=fds, capture_output=True, text=True
    )

    ours.close()
    theirs.close()
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def _file(folder) -> str:
    path = folder / "file"
    path.write_text("x")
    return str(path)


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    for fd in (master, slave):
        os.close(fd)


def test_a_port_is_held_by_one_program_alone(terminal):
    port = Port(terminal[1])

    with pytest.raises(BridgeError, match="another program holds it"):
        Port(terminal[1])

    port.close()
    Port(terminal[1]).close()


def test_a_port_never_waits_and_holds_back_at_most_one_packet(terminal):
    port = Port(terminal[1])

    taken = [port.write(b"x" * 60) for _ in range(2000)]

    assert port.read() == b""
    assert not taken[-1]
    assert port.refused > 0
    assert len(port._unsent) <= 60
    os.set_blocking(terminal[0], False)
    end = time.monotonic() + 5
    while not port.write(b"y") and time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            os.read(terminal[0], 1 << 16)
    assert time.monotonic() < end, "a line that is read again takes packets again"
    port.close()


def test_flushing_a_port_forgets_what_had_arrived(terminal):
    port = Port(terminal[1])
    os.write(terminal[0], b"old")

    port.flush_input()

    os.write(terminal[0], b"new")
    assert port.read() == b"new"
    port.close()


def test_a_port_that_goes_away_is_a_bridge_error():
    master, slave = os.openpty()
    port = Port(os.ttyname(slave))
    os.close(slave)
    os.close(master)

    with pytest.raises(BridgeError, match="went away"):
        port.read()
    with pytest.raises(BridgeError, match="went away"):
        port.write(b"x")
    port.close()
