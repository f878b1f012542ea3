"""The bridge: session, rule and process, against a virtual board in virtual time."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge import ipc
from edge.clock import MS, BootClock
from edge.errors import BridgeError
from edge.evidence import board_link as messages
from edge.evidence.board_link import BoardStatus, Claim, Fault, Floors, Link
from edge.evidence.readings import BoardSample
from edge.heartbeat import LEASED, NEVER_NS, Beats, Role
from edge.reasons import Reason
from firmware_bridge import packets
from firmware_bridge.bridge import Bridge
from firmware_bridge.checks import faults
from firmware_bridge.packets import Keys
from firmware_bridge.port import MAX_READ, Port
from firmware_bridge.session import LINK_LIFE_NS, Session, Trouble
from firmware_bridge.virtual.board import VirtualBoard
from firmware_bridge.virtual.sensors import Sensors
from tests.support.boards import KEYS, ROOT, STILL


class Wire:
    """Bridge and board on one clock, a millisecond at a time, with faults on the line."""

    def __init__(
        self,
        *,
        keys: Keys = KEYS,
        versions: tuple[int, int] = (1, 1),
        board: int = 1,
        simulated: bool = True,
    ) -> None:
        self.now_ns = 1000 * MS
        self.board = VirtualBoard(ROOT, 77, self.now_ns // 1000, board=board)
        self.session = Session(keys, versions=versions, simulated=simulated)
        self.bridge = Bridge(self.session)
        self.bridge.port_came()
        self.reading: Sensors | None = STILL
        self.oldest_age_ns = 0
        self.to_board: faults.LineFault = faults.none()
        self.to_host: faults.LineFault = faults.none()
        self.messages_up: list[messages.Message] = []
        self.sent: list[bytes] = []

    def run(self, ms: int) -> Wire:
        for _ in range(ms):
            self.now_ns += MS
            now_us = self.now_ns // 1000
            if self.reading is not None:
                self.board.sense(self.reading, now_us)
            self.board.tick(now_us)
            for piece in self._through(self.to_host, self.board.take()):
                self.messages_up += self.bridge.hear_board(piece, self.now_ns)
            out = self.bridge.to_board(self.oldest_age_ns, self.now_ns)
            if out:
                self.sent.append(out)
                for piece in self._through(self.to_board, out):
                    self.board.receive(piece, now_us)
            status = self.bridge.to_decider(self.now_ns)
            if status is not None:
                self.messages_up.append(status)
        return self

    @staticmethod
    def _through(fault: faults.LineFault, data: bytes) -> Iterator[bytes]:
        for packet in data.split(b"\0")[:-1]:
            yield from fault(packet + b"\0")

    def claim(self, decision: int, releasing: bool = True) -> None:
        self.bridge.hear_decider(Claim(decision, releasing), self.now_ns)

    def reset_board(self, boot_id: int = 78) -> None:
        self.board = VirtualBoard(ROOT, boot_id, self.now_ns // 1000)

    @property
    def status(self) -> BoardStatus:
        return next(m for m in reversed(self.messages_up) if isinstance(m, BoardStatus))

    @property
    def samples(self) -> list[BoardSample]:
        return [m for m in self.messages_up if isinstance(m, BoardSample)]


@pytest.fixture
def wire() -> Wire:
    return Wire().run(50)


def test_the_link_comes_up_by_itself_and_evidence_flows(wire):
    assert wire.status.link is Link.UP
    assert wire.status.reasons == ()

    wire.messages_up.clear()
    wire.run(1000)

    assert 45 <= len(wire.samples) <= 51
    assert wire.samples[-1].dock_id == "D-0017"
    assert wire.samples[-1].captured_ns <= wire.now_ns


@pytest.mark.parametrize("slower_ms", [0, 60, 100, 140])
def test_evidence_is_never_dated_later_than_it_was_measured(slower_ms):
    """A line that is made slower, little by little, cannot make old evidence look new."""
    wire = Wire()
    line: list[tuple[int, bytes]] = []

    def later(chunk: bytes) -> list[bytes]:
        sent_ms = wire.now_ns // MS - 1000
        lag_ms = min(slower_ms, max(0, sent_ms - 500) // 8)
        line.append((wire.now_ns + lag_ms * MS, chunk))
        return []

    wire.to_host = later
    undocked_ns = 4000 * MS
    for _ in range(4000):
        if wire.now_ns >= undocked_ns:
            wire.reading = replace(STILL, docked=False)
        wire.run(1)
        while line and line[0][0] <= wire.now_ns:
            wire.messages_up += wire.bridge.hear_board(line.pop(0)[1], wire.now_ns)

    docked = [s.captured_ns for s in wire.samples if s.dock]
    assert len(docked) > 100
    assert max(docked) <= undocked_ns
    assert undocked_ns - max(docked) <= 50 * MS, "nor much earlier, where the line is quick to us"


def test_the_decider_hears_a_status_at_least_every_50_ms_and_at_each_change(wire):
    wire.messages_up.clear()
    wire.run(1000)
    times = [m.captured_ns for m in wire.messages_up if isinstance(m, BoardStatus)]
    assert max(b - a for a, b in itertools.pairwise(times)) <= 50 * MS

    wire.claim(5)
    wire.messages_up.clear()
    wire.run(5)

    assert wire.status.permitted and wire.status.decision == 5


def test_a_claim_permits_until_it_is_withdrawn(wire):
    wire.claim(5)
    wire.run(2000)
    assert wire.board.line

    wire.claim(5, releasing=False)
    wire.run(3)

    assert not wire.board.line
    assert not wire.status.permitted


@pytest.mark.parametrize(("age_ms", "life_ms"), [(0, 200), (50, 150), (120, 80)])
def test_a_lease_is_shortened_by_the_age_of_the_oldest_heartbeat(wire, age_ms, life_ms):
    wire.oldest_age_ns = age_ms * MS
    wire.claim(5)
    wire.run(2)
    assert wire.board.line

    wire.to_board = faults.drop()
    wire.run(life_ms - 2)
    assert wire.board.line
    wire.run(3)

    assert not wire.board.line


@pytest.mark.parametrize("age_ns", [200 * MS, 10**10, NEVER_NS])
def test_no_lease_is_sent_while_a_process_has_been_silent_too_long(wire, age_ns):
    wire.oldest_age_ns = age_ns
    wire.claim(5)

    wire.run(500)

    assert not wire.board.line
    assert Reason.PROCESS_SILENT in wire.status.reasons


def test_a_heartbeat_that_stops_lets_the_line_drop_in_time(wire):
    wire.claim(5)
    wire.run(500)

    for ms in range(202):
        wire.oldest_age_ns = ms * MS
        wire.run(1)

    assert not wire.board.line


def test_a_cut_line_is_lost_on_both_sides(wire):
    wire.claim(5)
    wire.run(300)
    wire.to_board = wire.to_host = faults.drop()

    wire.run(LINK_LIFE_NS // MS + 60)

    assert not wire.board.line
    assert wire.status.link is Link.HELLO
    assert Reason.LINK_LOST in wire.status.reasons


def test_after_a_lost_link_the_decider_must_claim_again(wire):
    wire.claim(5)
    wire.run(300)
    wire.to_board = wire.to_host = faults.drop()
    wire.run(500)
    wire.to_board = wire.to_host = faults.none()

    wire.run(500)
    assert wire.status.link is Link.UP
    assert not wire.board.line
    wire.claim(6)
    wire.run(10)

    assert wire.board.line


@pytest.mark.parametrize("fault", faults.DEADLY, ids=lambda f: f.__name__)
def test_a_line_that_only_the_board_cannot_hear_is_no_link(wire, fault):
    wire.claim(5)
    wire.run(100)
    wire.to_board = fault()

    wire.run(500)

    assert not wire.board.line
    assert wire.status.link is not Link.UP, "the board's own words alone prove nothing"


@pytest.mark.parametrize("fault", faults.DEADLY, ids=lambda f: f.__name__)
def test_a_line_that_only_the_host_cannot_hear_is_no_link(wire, fault):
    wire.claim(5)
    wire.run(100)
    wire.to_host = fault()

    wire.run(500)

    assert not wire.status.permitted
    assert Reason.LINK_LOST in wire.status.reasons


@pytest.mark.parametrize("fault", (*faults.HARMLESS, faults.line_noise), ids=lambda f: f.__name__)
def test_a_line_on_which_whole_packets_come_permits(fault):
    wire = Wire()
    wire.to_board = fault()

    wire.run(100)
    wire.claim(5)
    wire.run(500)

    assert wire.board.line


def test_evidence_held_back_longer_than_a_lease_lives_is_never_taken_for_fresh(wire):
    held: list[tuple[int, bytes]] = []

    def hold(chunk: bytes) -> list[bytes]:
        held.append((wire.now_ns, chunk))
        return []

    wire.to_host = hold
    wire.run(600)
    late = [chunk for at_ns, chunk in held if wire.now_ns - at_ns > LINK_LIFE_NS]
    assert len(late) > 20

    assert wire.bridge.hear_board(b"".join(late), wire.now_ns) == []


def test_replayed_packets_are_no_evidence_and_are_told(wire):
    recorded: list[bytes] = []

    def record(chunk: bytes) -> list[bytes]:
        recorded.append(chunk)
        return [chunk]

    wire.to_host = record
    wire.run(100)
    wire.messages_up.clear()

    heard = wire.bridge.hear_board(b"".join(recorded), wire.now_ns)
    wire.run(5)

    assert heard == []
    assert Reason.LINK_REPLAY in wire.status.reasons


def test_packets_recorded_in_another_boot_are_replays(wire):
    recorded: list[bytes] = []
    wire.to_host = lambda chunk: (recorded.append(chunk), [chunk])[1]
    wire.run(100)
    wire.to_host = faults.none()
    wire.reset_board()
    wire.run(500)
    assert wire.status.link is Link.UP

    assert wire.bridge.hear_board(b"".join(recorded), wire.now_ns) == []

    assert Trouble.REPLAY in wire.session.troubles(wire.now_ns)


def test_a_board_that_resets_is_greeted_again_and_inhibits(wire):
    wire.claim(5)
    wire.run(200)
    wire.reset_board()

    wire.run(50)
    assert not wire.board.line
    wire.run(300)
    assert wire.status.link is Link.UP
    assert not wire.board.line, "the old claim does not carry over"
    wire.claim(6)
    wire.run(10)

    assert wire.board.line


def test_a_wrong_key_is_told_as_such():
    wire = Wire(keys=Keys.derive(bytes(32))).run(300)

    assert wire.status.link is Link.HELLO
    assert wire.status.reasons[0] is Reason.LINK_KEY


def test_another_version_is_told_as_such():
    wire = Wire(versions=(2, 3)).run(300)

    assert wire.status.link is Link.HELLO
    assert wire.status.reasons[0] is Reason.LINK_VERSION


@pytest.mark.parametrize("board", [0, 1, 2, 3, 5, 255])
def test_a_board_with_made_up_sensors_is_not_greeted_where_only_a_real_one_counts(board):
    wire = Wire(board=board, simulated=False)
    wire.claim(5)
    wire.run(2000)

    assert wire.status.link is Link.HELLO
    assert Reason.BOARD_VIRTUAL in wire.status.reasons
    assert not any(isinstance(message, BoardSample) for message in wire.messages_up)
    assert not wire.board.line


@pytest.mark.parametrize(("board", "simulated"), [(4, False), (1, True), (3, True)])
def test_a_real_board_always_counts_and_any_where_that_is_allowed(board, simulated):
    wire = Wire(board=board, simulated=simulated).run(200)
    wire.claim(5)
    wire.run(100)

    assert wire.status.link is Link.UP
    assert wire.status.reasons == ()
    assert wire.board.line


def test_a_pause_of_the_bridge_ends_claim_and_link(wire):
    wire.claim(5)
    wire.run(200)

    wire.now_ns += 150 * MS
    wire.bridge.paused(wire.now_ns)
    wire.run(1)
    assert {Reason.TIME_GAP, Reason.LINK_LOST} <= set(wire.status.reasons)
    wire.run(400)

    assert not wire.board.line
    assert not wire.status.permitted


def test_a_veto_of_the_board_reaches_the_decider_with_its_reasons(wire):
    wire.claim(5)
    wire.run(100)

    wire.reading = Sensors(
        docked=False, dock_id=b"D", tampered=True, gyro=(999, 0, 0), accel=(0, 0, 0), speed=999
    )
    wire.run(5)

    assert not wire.status.permitted
    assert wire.status.fault is Fault.TAMPER
    assert set(wire.status.reasons) == {
        Reason.NOT_DOCKED,
        Reason.TAMPER,
        Reason.MOTION,
        Reason.SPEED,
    }


def test_a_board_that_does_not_follow_a_claim_is_told_after_patience(wire):
    wire.claim(5)
    wire.run(100)
    wire.reading = Sensors(
        docked=False, dock_id=b"D", tampered=False, gyro=(0, 0, 0), accel=STILL.accel
    )
    wire.run(10)
    wire.reading = STILL

    wire.run(600)
    assert Reason.INTERLOCK_FAULT in wire.status.reasons
    wire.claim(6)
    wire.run(10)

    assert wire.status.reasons == ()
    assert wire.board.line


def test_a_claim_made_before_the_link_is_up_permits_once_it_is():
    wire = Wire()
    wire.claim(5)

    wire.run(100)

    assert wire.board.line


def test_a_claim_for_no_decision_is_a_revocation(wire):
    wire.claim(5)
    wire.run(50)

    wire.claim(0)
    wire.run(5)

    assert not wire.board.line


def test_a_lost_revocation_is_sent_again(wire):
    wire.claim(5)
    wire.run(50)
    wire.to_board = faults.drop()
    wire.claim(5, releasing=False)
    wire.run(10)
    assert wire.board.line
    wire.to_board = faults.none()

    wire.run(60)

    assert not wire.board.line


def test_floors_are_raised_and_told(wire):
    wire.bridge.hear_decider(Floors(42, 7), wire.now_ns)

    wire.run(5)

    assert [m for m in wire.messages_up if isinstance(m, Floors)][-1] == Floors(42, 7)


def test_the_first_lease_asks_and_later_ones_say_it_is_in_use(wire):
    wire.claim(5)
    wire.run(200)
    assert wire.session.status.mismatches == 0

    wire.board._inhibit()  # the line drops for a cause the host cannot know
    wire.run(250)

    assert wire.board.fault is Fault.CLAIM


def test_used_up_sequence_numbers_end_the_link_without_a_word_too_many(wire):
    wire.session._tx_sequence = packets.MAX_SEQUENCE - 1

    wire.run(200)

    assert wire.session.exhausted
    assert wire.status.link is not Link.UP


def test_nothing_that_arrives_makes_the_session_raise_or_grow(wire):
    import random

    rng = random.Random(5)
    for _ in range(300):
        wire.bridge.hear_board(rng.randbytes(MAX_READ), wire.now_ns)

    wire.run(300)

    assert wire.status.link is Link.UP
    assert len(wire.session._deframer._held) <= 81


def test_authentic_packets_with_nonsense_inside_are_counted_and_dropped(wire):
    sequence = 1_000_000
    for kind in (0x82, 0x83, 0x84, 0x85, 0x99):
        for payload in (b"", b"\xff" * 39, b"\xff" * 44, b"\xff" * 6):
            sequence += 1
            packet = packets.Packet(kind, 77, sequence, payload)
            content = packets.seal(packet, KEYS.from_board, from_board=True)
            from firmware_bridge.framing import frame

            assert wire.bridge.hear_board(frame(content), wire.now_ns) == []

    assert wire.session.counters.malformed >= 10


# the processes


class Guard:
    """A bridge process and a virtual board process, with this test as decider."""

    def __init__(self, *board_options: str) -> None:
        self.clock = BootClock()
        self.beats = Beats.create()
        self.line_read, line_write = os.pipe()
        os.set_blocking(self.line_read, False)
        self.board = self._start(
            "virtual.process", [*board_options, "--line-fd", str(line_write)], [line_write]
        )
        os.close(line_write)
        self.port = self.board.stdout.readline().decode().strip()
        self.decider, theirs = ipc.pair()
        fds = [self.beats.fd, theirs.fileno()]
        options = ["--port", self.port, "--beats-fd", str(fds[0]), "--decider-fd", str(fds[1])]
        self.bridge = self._start("process", [*options, "--simulated"], fds)
        theirs.close()
        self.messages_up: list[messages.Message] = []

    def _start(self, name: str, options: list[str], fds: list[int]) -> subprocess.Popen[bytes]:
        read, write = os.pipe()
        os.write(write, ROOT)
        os.close(write)
        command = [sys.executable, "-m", f"firmware_bridge.{name}", "--key-fd", str(read)]
        process = subprocess.Popen(
            command + options, pass_fds=[read, *fds], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        os.close(read)
        return process

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
    read, write = os.pipe()
    os.write(write, ROOT)
    os.close(write)
    beats, (ours, theirs) = Beats.create(), ipc.pair()
    command = [sys.executable, "-m", "firmware_bridge.process", "--port", make_port(tmp_path)]
    for name, fd in (("key", read), ("beats", beats.fd), ("decider", theirs.fileno())):
        command += [f"--{name}-fd", str(fd)]

    done = subprocess.run(
        command, pass_fds=(read, beats.fd, theirs.fileno()), capture_output=True, text=True
    )

    os.close(read)
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
