"""The bridge: session and rule, against a virtual board in virtual time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge.clock import MS
from edge.evidence import board_link as messages
from edge.evidence.board_link import BoardStatus, Claim, Fault, Floors, Link
from edge.evidence.readings import BoardSample
from edge.heartbeat import NEVER_NS
from edge.reasons import Reason
from firmware_bridge import packets
from firmware_bridge.bridge import Bridge
from firmware_bridge.checks import faults
from firmware_bridge.packets import Keys
from firmware_bridge.port import MAX_READ
from firmware_bridge.session import LINK_LIFE_NS, Session
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
        self.bridge.port(there=True)
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


@pytest.mark.slow
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

    assert Reason.LINK_REPLAY in wire.session.troubles(wire.now_ns)


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
    wire.session.sent_sequence = packets.MAX_SEQUENCE - 1

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
