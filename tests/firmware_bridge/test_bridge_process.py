"""The bridge and a virtual board as processes, with the test as decider."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from edge import ipc
from edge.clock import BootClock
from edge.evidence import board_link as messages
from edge.evidence.board_link import BoardStatus, Claim, Link
from edge.evidence.readings import BoardSample
from edge.guard.processes import key_pipe
from edge.heartbeat import LEASED, Beats, Role
from edge.reasons import Reason
from edge.wire import to_json
from firmware_bridge.settings import BridgeSettings
from tests.support.boards import ROOT


class Guard:
    """A bridge process and a virtual board process, with this test as decider."""

    def __init__(self, *board_options: str) -> None:
        self.clock = BootClock()
        self.beats = Beats.create()
        self.line_read, line_write = os.pipe()
        os.set_blocking(self.line_read, False)
        key_fd = key_pipe(ROOT)
        options = [*board_options, "--line-fd", str(line_write), "--key-fd", str(key_fd)]
        self.board = self._start("virtual.process", options, [line_write, key_fd])
        os.close(line_write)
        os.close(key_fd)
        self.port = self.board.stdout.readline().decode().strip()
        self.decider, theirs = ipc.pair()
        fds = [self.beats.fd, theirs.fileno()]
        settings = BridgeSettings(self.port, ROOT, *fds, simulated=True)
        self.bridge = self._start("process", [], fds)
        self.bridge.stdin.write(to_json(settings).encode())
        self.bridge.stdin.close()
        self.bridge.stdin = None
        theirs.close()
        self.messages_up: list[messages.Message] = []

    def _start(self, name: str, options: list[str], fds: list[int]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"firmware_bridge.{name}", *options]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, pass_fds=fds, stdin=pipe, stdout=pipe, stderr=pipe)

    def pump(self, until, timeout_s: float = 10.0, beating: tuple[Role, ...] = LEASED) -> bool:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for role in beating:
                self.beats.beat(role, self.clock.now_ns())
            self.messages_up += [messages.decode(data) for data in ipc.drain(self.decider)]
            if until():
                return True
            time.sleep(0.005)
        return False

    def claim(self, decision: int, releasing: bool = True) -> None:
        ipc.send(self.decider, messages.encode(Claim(decision, releasing)))

    @property
    def status(self) -> BoardStatus | None:
        return next((m for m in reversed(self.messages_up) if isinstance(m, BoardStatus)), None)

    def up(self) -> bool:
        return self.status is not None and self.status.link is Link.UP

    def permitted(self) -> bool:
        return self.status is not None and self.status.permitted

    def line(self) -> list[bool]:
        try:
            text = os.read(self.line_read, 65536).decode()
        except BlockingIOError:
            return []
        return ['"permit": true' in row for row in text.splitlines()]

    def close(self) -> None:
        for process in (self.bridge, self.board):
            process.kill()
            process.communicate()
        self.decider.close()
        os.close(self.line_read)


@pytest.fixture
def guard() -> Iterator[Guard]:
    made = Guard("--still")
    yield made
    made.close()


@pytest.mark.slow
def test_bridge_and_board_processes_permit_and_revoke(guard):
    assert guard.pump(guard.up)
    guard.claim(5)
    assert guard.pump(guard.permitted)

    guard.claim(5, releasing=False)

    assert guard.pump(lambda: not guard.permitted())
    assert guard.line() == [True, False]

    def samples() -> list[BoardSample]:
        return [m for m in guard.messages_up if isinstance(m, BoardSample)]

    assert guard.pump(lambda: bool(samples()))
    assert all(s.dock and s.dock_id == "D-0017" for s in samples())


@pytest.mark.slow
def test_the_bridge_revokes_and_ends_when_the_decider_is_gone(guard):
    guard.pump(guard.up)
    guard.claim(5)
    guard.pump(guard.permitted)

    guard.decider.close()

    assert guard.bridge.wait(timeout=5) == 0
    shown: list[bool] = []
    end = time.monotonic() + 5
    while time.monotonic() < end and False not in shown:
        shown += guard.line()
        time.sleep(0.01)
    assert shown == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("silent", LEASED, ids=lambda r: r.name)
def test_one_silent_process_lets_the_line_drop(guard, silent):
    guard.pump(guard.up)
    guard.claim(5)
    assert guard.pump(guard.permitted)

    others = tuple(role for role in LEASED if role is not silent)

    assert guard.pump(lambda: Reason.PROCESS_SILENT in guard.status.reasons, beating=others)
    assert guard.pump(lambda: not guard.permitted(), beating=others)
    shown = guard.line()
    assert shown[0] is True and shown[-1] is False


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_a_dead_or_stopped_bridge_lets_the_line_drop(guard, name):
    guard.pump(guard.up)
    guard.claim(5)
    assert guard.pump(guard.permitted)

    guard.bridge.send_signal(getattr(signal, name))
    shown: list[bool] = []
    end = time.monotonic() + 5
    while time.monotonic() < end and False not in shown:
        shown += guard.line()
        time.sleep(0.01)

    assert shown == [True, False]


@pytest.mark.slow
def test_a_bridge_that_stood_still_tells_and_does_not_permit_by_itself(guard):
    guard.pump(guard.up)
    guard.claim(5)
    assert guard.pump(guard.permitted)
    guard.bridge.send_signal(signal.SIGSTOP)
    guard.pump(lambda: False, timeout_s=0.6)
    guard.messages_up.clear()

    guard.bridge.send_signal(signal.SIGCONT)

    def gap() -> bool:
        return any(
            isinstance(m, BoardStatus) and Reason.TIME_GAP in m.reasons for m in guard.messages_up
        )

    assert guard.pump(gap)
    assert guard.pump(guard.up)
    guard.pump(lambda: False, timeout_s=0.3)
    assert guard.line() == [True, False]


@pytest.mark.slow
def test_a_board_that_vanishes_is_a_lost_link_and_the_bridge_lives_on(guard):
    guard.pump(guard.up)
    guard.claim(5)
    assert guard.pump(guard.permitted)

    guard.board.kill()

    assert guard.pump(lambda: guard.status.link is Link.DOWN)
    assert not guard.permitted()
    assert guard.bridge.poll() is None


def test_a_walking_board_says_so_and_inhibits():
    guard = Guard("--walking")
    try:
        guard.pump(guard.up)
        guard.claim(5)
        assert guard.pump(lambda: guard.up() and Reason.MOTION in guard.status.reasons)
        assert Reason.NOT_DOCKED in guard.status.reasons
        assert guard.line() == []
    finally:
        guard.close()


@pytest.mark.slow
def test_a_recording_is_played_from_the_first_hello(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"{i / 100},{int(i < 100)},D-0001,0,0,0,0,0,0,9.81" for i in range(200)]
    header = "t_s,dock,dock_id,tamper," + ",".join(
        [f"gyro_{a}_rad_s" for a in "xyz"] + [f"accel_{a}_m_s2" for a in "xyz"]
    )
    path.write_text("\n".join([header, *rows]) + "\n")
    guard = Guard("--telemetry", str(path))
    try:
        assert guard.pump(
            lambda: any(isinstance(m, BoardSample) and m.dock for m in guard.messages_up)
        )
        assert guard.pump(
            lambda: any(isinstance(m, BoardSample) and m.dock is False for m in guard.messages_up)
        )
    finally:
        guard.close()
