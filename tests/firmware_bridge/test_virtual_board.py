"""The interlock rule, asked of the Python board and of the firmware's C alike."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from edge.evidence.board_link import Fault
from firmware_bridge import packets
from firmware_bridge.images.build import FIRMWARE
from firmware_bridge.packets import Keys, Kind, Refusal
from firmware_bridge.payloads import FloorPayload, FloorsPayload
from firmware_bridge.virtual.board import MAX_LIFE_MS, TX_ROOM
from firmware_bridge.virtual.sensors import Sensors, Veto, unpack
from tests.support.boards import KEYS, MS, ROOT, STILL, Host
from tests.support.c_board import CBoard


@pytest.fixture
def host(make):
    return Host(make()).ready()


def test_a_board_boots_silent_and_inhibits(make):
    host = Host(make())

    host.pass_ms(3000)

    assert not host.board.line
    assert host.heard == []


def test_a_fresh_lease_on_a_still_docked_board_permits(host):
    host.lease(decision=7)

    assert host.board.line
    assert host.status.permitted and host.status.decision == 7
    assert host.status.life_left_ms == 200


def test_a_lease_before_any_hello_is_refused_for_want_of_the_challenge(make):
    host = Host(make())
    host.pass_ms(10)

    host.lease()

    assert not host.board.line
    assert host.refused[-1].refusal is Refusal.CHALLENGE


@pytest.mark.parametrize("life_ms", [1, 20, 200, 499, 500])
def test_the_line_drops_when_the_lease_ends_and_not_before(host, life_ms):
    host.lease(life_ms=life_ms)

    host.pass_ms(life_ms - 1)
    assert host.board.line
    host.pass_ms(1)

    assert not host.board.line
    assert host.status.fault is Fault.NONE


@pytest.mark.parametrize("life_ms", [501, 1000, 65535])
def test_no_lease_lives_longer_than_the_boards_own_limit(host, life_ms):
    host.lease(life_ms=life_ms)

    host.pass_ms(MAX_LIFE_MS - 1)
    assert host.board.line
    host.pass_ms(1)

    assert not host.board.line


def test_renewal_keeps_the_line_up_and_its_end_lets_it_drop(host):
    host.lease()
    for _ in range(40):
        host.pass_ms(50)
        host.lease(releasing=True)
        assert host.board.line

    host.pass_ms(200)

    assert not host.board.line


def test_a_lease_that_ended_cannot_be_renewed_even_before_the_board_looks(host):
    host.lease(life_ms=10)

    host.now_us += 10 * MS  # bytes come in the very turn in which the lease ends
    host.lease(releasing=True)

    assert not host.board.line
    assert host.status.mismatches == 1


def test_the_newest_lease_decides_even_if_shorter(host):
    host.lease(life_ms=500)
    host.lease(life_ms=20)

    host.pass_ms(20)

    assert not host.board.line


def test_a_revocation_drops_the_line_at_once(host):
    host.lease()

    host.revoke()

    assert not host.board.line
    assert not host.status.permitted


def test_after_a_revocation_a_lease_permits_again(host):
    host.lease()
    host.revoke()

    host.lease(decision=2)

    assert host.board.line


def test_a_lease_for_no_decision_is_refused(host):
    host.lease(decision=0)

    assert not host.board.line
    assert host.refused[-1].refusal is Refusal.FIELD


VETOES = {
    "undocked": (replace(STILL, docked=False), Veto.NOT_DOCKED),
    "turning": (replace(STILL, gyro=(0, 751, 0)), Veto.MOTION),
    "falling": (replace(STILL, accel=(0, 0, 4154)), Veto.MOTION),
    "pushed": (replace(STILL, accel=(0, 0, 5656)), Veto.MOTION),
    "driving": (replace(STILL, speed=201), Veto.SPEED),
    "no dock contact": (replace(STILL, docked=None), Veto.SILENT),
    "no dock id": (replace(STILL, dock_id=None), Veto.SILENT),
    "no tamper switch": (replace(STILL, tampered=None), Veto.SILENT),
    "no gyro": (replace(STILL, gyro=None), Veto.SILENT),
    "no accelerometer": (replace(STILL, accel=None), Veto.SILENT),
}
HARMLESS = {
    "gyro at the limit": replace(STILL, gyro=(0, 750, 0)),
    "light at the low limit": replace(STILL, accel=(0, 0, 4155)),
    "heavy at the high limit": replace(STILL, accel=(0, 0, -5655)),
    "drifting fix": replace(STILL, speed=200, position=(1, 2)),
    "dark": replace(STILL, lux=None),
}


@pytest.mark.parametrize("name", VETOES)
def test_the_boards_own_sensors_drop_the_line_at_once_and_latch(host, name):
    reading, veto = VETOES[name]
    host.lease(decision=5)

    host.sense(reading)

    assert not host.board.line
    assert host.status.fault is Fault.VETO
    assert host.status.veto == veto


@pytest.mark.parametrize("name", HARMLESS)
def test_readings_within_the_limits_leave_the_line_up(host, name):
    host.lease()

    host.sense(HARMLESS[name])

    assert host.board.line


@pytest.mark.parametrize("name", VETOES)
def test_no_lease_permits_while_the_boards_sensors_object(host, name):
    host.sense(VETOES[name][0])

    host.lease()

    assert not host.board.line
    assert host.status.fault is Fault.NONE, "nothing was permitted, so nothing is latched"


def test_a_latched_veto_ends_only_with_a_new_decision(host):
    host.lease(decision=5)
    host.sense(replace(STILL, docked=False))
    host.sense(STILL)

    for _ in range(5):
        host.pass_ms(50)
        host.lease(decision=5)
        assert not host.board.line
    host.lease(decision=6)

    assert host.board.line
    assert host.status.fault is Fault.NONE


def test_an_older_decision_does_not_end_a_latched_veto(host):
    host.lease(decision=5)
    host.sense(replace(STILL, docked=False))
    host.sense(STILL)

    for decision in (4, 5, 4, 5):
        host.lease(decision=decision)
        assert not host.board.line
        assert host.status.fault is Fault.VETO
    host.lease(decision=6)

    assert host.board.line


def test_a_new_decision_does_not_help_while_the_veto_lasts(host):
    host.lease(decision=5)
    host.sense(replace(STILL, docked=False))

    host.lease(decision=6)
    host.sense(STILL)
    host.lease(decision=6)

    assert host.board.line, "decision 6 is new since the veto and the board is docked again"


def test_tamper_latches_without_a_permit_and_outranks_a_veto(host):
    host.lease(decision=5)
    host.sense(replace(STILL, docked=False))
    host.sense(replace(STILL, tampered=True))
    host.sense(STILL)

    host.lease(decision=5)

    assert not host.board.line
    assert host.status.fault is Fault.TAMPER
    host.lease(decision=6)
    assert host.board.line


def test_a_veto_after_a_tamper_does_not_hide_it(host):
    host.sense(replace(STILL, tampered=True))
    host.sense(STILL)
    host.lease(decision=5)
    assert host.board.line
    host.sense(replace(STILL, tampered=True))

    host.sense(replace(STILL, docked=False))

    assert host.status.fault is Fault.TAMPER


def test_sensors_that_fall_silent_drop_the_line(host):
    host.lease(life_ms=500)

    host.pass_ms(100, sense=False)
    assert host.board.line
    host.pass_ms(1, sense=False)

    assert not host.board.line
    assert host.status.veto == Veto.SILENT
    assert host.status.fault is Fault.VETO


def test_three_claims_of_a_release_the_line_does_not_permit_latch_it_off(host):
    for expected in (1, 2, 3):
        host.lease(decision=5, releasing=True)
        assert not host.board.line
        assert host.status.mismatches == expected

    assert host.status.fault is Fault.CLAIM
    host.lease(decision=5)
    assert not host.board.line
    host.lease(decision=6)
    assert host.board.line


def test_two_false_claims_are_forgiven_by_a_permit(host):
    host.lease(decision=5, releasing=True)
    host.lease(decision=5, releasing=True)

    host.lease(decision=5)

    assert host.board.line
    assert host.status.mismatches == 0


def test_a_revocation_forgives_false_claims(host):
    host.lease(releasing=True)
    host.lease(releasing=True)
    host.revoke()

    host.lease(releasing=True)

    assert host.status.mismatches == 1
    assert host.status.fault is Fault.NONE


def test_more_false_claims_than_three_change_nothing_more(host):
    for _ in range(300):
        host.lease(decision=5, releasing=True)

    assert host.status.mismatches == 3


def test_claiming_to_release_under_another_decision_drops_the_line(host):
    host.lease(decision=5)

    host.lease(decision=6, releasing=True)

    assert not host.board.line
    assert host.status.mismatches == 1


def test_a_new_decision_may_replace_the_one_in_force(host):
    host.lease(decision=5)

    host.lease(decision=6)

    assert host.board.line
    assert host.status.decision == 6


@pytest.mark.parametrize("kind", [Kind.LOG_FLOOR, Kind.POLICY_FLOOR], ids=lambda k: k.name)
def test_floors_only_rise_and_zero_only_asks(host, kind):
    reported = []
    for value in (5, 3, 0, 1 << 63):
        host.send(kind.value, FloorPayload(value).pack())
        packet = [p for p in host.heard if p.kind == Kind.FLOORS.value][-1]
        floors = FloorsPayload.unpack(packet.payload)
        reported.append(floors.log_size if kind is Kind.LOG_FLOOR else floors.policy_version)

    assert reported == [5, 5, 5, 1 << 63]
    assert max(host.board.floors) == 1 << 63
    assert min(host.board.floors) == 0


def test_evidence_and_status_come_at_their_rates_after_a_hello(host):
    host.heard.clear()
    host.reading = replace(STILL, position=(525000000, -134000000), speed=12)

    host.pass_ms(1000)

    evidence = [p for p in host.heard if p.kind == Kind.EVIDENCE.value]
    assert 45 <= len(evidence) <= 51
    assert 19 <= len(host.heard) - len(evidence) <= 22
    assert unpack(evidence[-1].payload)[1] == host.reading
    assert [p.sequence for p in host.heard] == sorted({p.sequence for p in host.heard})


def test_no_evidence_is_sent_that_was_not_sensed(host):
    host.pass_ms(200, sense=False)
    host.heard.clear()

    host.pass_ms(200, sense=False)

    assert {p.kind for p in host.heard} == {Kind.STATUS.value}


def test_what_nobody_takes_is_bounded(host):
    for _ in range(1000):
        host.now_us += 20 * MS
        host.board.sense(STILL, host.now_us)
        host.board.tick(host.now_us)

    assert 0 < len(host.board.take()) <= TX_ROOM


def test_a_million_fuzzed_bytes_change_no_state(host):
    rng = random.Random(3)
    good = host.wire(Kind.LEASE.value, host.lease_payload(), sequence=1)
    before = host.board.floors

    for _ in range(250):
        host.raw(rng.randbytes(2000))
        for _ in range(40):
            piece = bytearray(good)
            piece[rng.randrange(len(piece) - 1)] ^= rng.randrange(1, 256)
            host.raw(bytes(piece))
        assert not host.board.line

    host.pass_ms(60)
    assert host.board.floors == before
    assert host.status.fault is Fault.NONE
    assert host.status.host_sequence == 0
    assert host.status.noise > 0


def test_sequence_numbers_that_are_used_up_end_the_link_not_the_rule(host):
    host.sequence = packets.MAX_SEQUENCE - 1
    host.lease()
    assert host.board.line

    host.send(Kind.LEASE.value, host.lease_payload(), sequence=0)
    host.pass_ms(200)

    assert host.refused[-1].refusal is Refusal.SEQUENCE
    assert not host.board.line


def _use_up_sequence(board, left: int) -> None:
    if isinstance(board, CBoard):
        board.state.tx_sequence = packets.MAX_SEQUENCE - left
    else:
        board._tx_sequence = packets.MAX_SEQUENCE - left


def test_a_board_with_no_sequence_number_left_inhibits_until_reset(host):
    host.lease()
    _use_up_sequence(host.board, left=2)

    host.pass_ms(100)

    assert not host.board.line
    assert host.board.fault is Fault.SEQUENCE
    host.heard.clear()
    host.lease(decision=77)
    assert not host.board.line
    assert host.heard == []


def test_a_silent_hour_is_told_without_overflow(host):
    host.now_us += (1 << 33) * 1000
    host.pass_ms(60)

    assert host.status.host_age_us == 0xFFFF_FFFF


def test_the_keys_of_both_sides_are_the_same(library):
    ffi, lib = library
    key, digest = ffi.new("fg_key *"), ffi.new("uint8_t[32]")
    for info, ours in ((b"host to board", KEYS.to_board), (b"board to host", KEYS.from_board)):
        lib.fg_derive(ROOT, info, key)
        lib.fg_hmac(key, b"text", 4, digest)
        assert bytes(digest)[:16] == packets.tag(ours, b"text")
    assert Keys.derive(ROOT) == KEYS


@pytest.mark.parametrize(
    ("source", "raising"),
    [
        (FIRMWARE / "interlock.c", "permitted = true"),
        (FIRMWARE.parent / "virtual" / "board.py", "self.line = True"),
    ],
    ids=["C", "twin"],
)
def test_one_function_alone_raises_the_line(source, raising):
    assert source.read_text().count(raising) == 1


def test_a_reading_of_nothing_is_every_required_sensor_silent(host):
    host.sense(Sensors())

    assert host.status.veto == Veto.SILENT
