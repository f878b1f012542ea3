"""What a board refuses on its serial line: old, repeated, damaged and unknown packets."""

from __future__ import annotations

import pytest

from firmware_bridge import packets
from firmware_bridge.packets import Kind, Refusal
from tests.support.boards import BOOT_ID, KEYS, MS, STILL, Host


@pytest.fixture
def host(make):
    return Host(make()).ready()


def test_a_repeated_lease_is_refused_and_renews_nothing(host):
    wire = host.lease(life_ms=50)
    host.pass_ms(40)

    host.raw(wire)
    host.pass_ms(10)

    assert not host.board.line
    assert host.refused[-1].refusal is Refusal.SEQUENCE


def test_a_lease_recorded_before_a_reset_is_refused_after_it(host, make):
    wire = host.lease()
    again = Host(make(boot_id=BOOT_ID + 1), boot_id=BOOT_ID + 1).ready()

    again.raw(wire)

    assert not again.board.line
    assert again.refused[-1].refusal is Refusal.BOOT


@pytest.mark.parametrize("tick_ms", [1, 2, 10])
def test_time_sends_one_packet_at_a_tick_and_keeps_none_back(host, tick_ms):
    sent: list[int] = []
    for _ in range(2000 // tick_ms):
        host.now_us += tick_ms * MS
        host.board.sense(STILL, host.now_us)
        host.listen()
        before = len(host.heard)
        host.board.tick(host.now_us)
        host.listen()
        kinds = [packet.kind for packet in host.heard[before:]]
        assert len(kinds) <= 1
        sent += kinds

    assert 38 <= sent.count(Kind.STATUS.value) <= 42  # each 50 ms, in two seconds
    assert 80 <= sent.count(Kind.EVIDENCE.value) <= 102  # each 20 ms, a tick later at times


def test_the_challenge_rolls_each_second_and_the_one_before_is_good_once_more(host):
    first = host.challenge
    host.pass_ms(1050)
    assert host.challenge != first

    host.lease(challenge=first)
    assert host.board.line
    host.pass_ms(1000)
    host.lease(challenge=first)

    assert not host.board.line
    assert host.refused[-1].refusal is Refusal.CHALLENGE


def test_a_board_that_slept_over_a_roll_forgets_the_old_challenge(host):
    first = host.challenge

    host.now_us += 2000 * MS
    host.board.tick(host.now_us)
    host.sense(STILL)
    host.lease(challenge=first)

    assert not host.board.line


@pytest.mark.parametrize(("age_ms", "permits"), [(0, True), (250, True), (251, False), (-1, False)])
def test_a_lease_held_back_too_long_or_from_the_future_is_refused(host, age_ms, permits):
    host.pass_ms(400)

    host.lease(echo_ms=host.now_us // MS - age_ms)

    assert host.board.line is permits
    if not permits:
        assert host.refused[-1].refusal is Refusal.STALE


def test_board_time_may_pass_the_end_of_its_32_bits(make):
    start_us = ((1 << 32) - 100) * MS
    host = Host(make(now_us=start_us), now_us=start_us).ready()

    host.lease(life_ms=500)
    host.pass_ms(300)
    host.lease(releasing=True, echo_ms=host.now_us // MS - 250)

    assert host.board.line


def test_every_single_bit_flip_of_a_valid_lease_is_refused(host):
    host.sequence += 1
    wire = host.wire(Kind.LEASE.value, host.lease_payload())

    for bit in range(len(wire) * 8):
        changed = bytearray(wire)
        changed[bit // 8] ^= 1 << bit % 8
        host.raw(bytes(changed) + b"\0")
        assert not host.board.line
    host.raw(wire)

    assert host.board.line, "the unharmed lease still permits"


def test_every_command_outside_the_allow_list_is_refused_and_reported(host):
    allowed = {Kind.HELLO.value, Kind.LEASE.value, Kind.PING.value}
    allowed |= {Kind.LOG_FLOOR.value, Kind.POLICY_FLOOR.value}

    for kind in set(range(256)) - allowed:
        for size in (0, 8, 19, 46):
            before = host.status.refused
            host.send(kind, bytes(size))
            assert host.refused[-1].kind == kind
            assert host.refused[-1].refusal is Refusal.KIND
            assert host.refused[-1].sequence == host.sequence
            host.send(Kind.PING.value, b"")
            assert host.status.refused == before + 1
            assert not host.board.line


@pytest.mark.parametrize("kind", [k for k in Kind if k.value < 0x80], ids=lambda k: k.name)
def test_an_allowed_command_of_any_other_length_is_refused(host, kind):
    right = {Kind.HELLO: 10, Kind.LEASE: 19, Kind.PING: 0}.get(kind, 8)

    for size in set(range(47)) - {right}:
        host.refused.clear()
        host.send(kind.value, bytes(size))
        assert [r.refusal for r in host.refused] == [Refusal.LENGTH], size


@pytest.mark.parametrize("claim", [2, 128, 255])
def test_a_claim_that_is_neither_yes_nor_no_is_refused(host, claim):
    host.send(Kind.LEASE.value, host.lease_payload()[:-1] + bytes([claim]))

    assert not host.board.line
    assert host.refused[-1].refusal is Refusal.FIELD


def test_packets_that_do_not_authenticate_are_reported_but_not_too_often(host):
    payload = host.lease_payload()
    host.refused.clear()

    for _ in range(50):
        host.send(Kind.LEASE.value, payload, key=bytes(32))
        host.pass_ms(1)
    assert [r.refusal for r in host.refused] == [Refusal.TAG]
    host.pass_ms(100)
    host.send(Kind.LEASE.value, payload, key_id=5)

    assert [r.refusal for r in host.refused] == [Refusal.TAG, Refusal.KEY_ID]
    assert not host.board.line


def test_our_own_words_sent_back_to_us_are_refused_without_an_answer(host):
    host.refused.clear()

    host.send(Kind.STATUS.value, b"", key=KEYS.from_board, from_board=True)
    host.pass_ms(60)

    assert host.refused == []
    assert host.status.refusal is Refusal.DIRECTION


def test_a_packet_whose_length_byte_lies_is_refused_without_an_answer(host):
    from firmware_bridge.framing import Deframer, frame

    (content,) = Deframer().feed(host.wire(Kind.PING.value, b""))
    host.refused.clear()

    for wrong in (content[:20], content[:3] + b"\x01" + content[4:], content + b"\0"):
        host.raw(frame(wrong))
    host.pass_ms(60)

    assert host.refused == []
    assert host.status.refusal is Refusal.LAYOUT
    assert host.status.refused == 3


def test_a_packet_of_another_version_is_refused_and_reported(host):
    from firmware_bridge.framing import Deframer, frame

    (content,) = Deframer().feed(host.wire(Kind.PING.value, b""))

    host.raw(frame(b"\x02" + content[1:]))

    assert host.refused[-1].refusal is Refusal.VERSION


@pytest.mark.parametrize(("low", "high", "speaks"), [(1, 1, True), (0, 9, True), (2, 9, False)])
def test_only_a_host_that_shares_a_version_makes_the_board_speak(make, low, high, speaks):
    host = Host(make())

    host.hello(low, high)
    host.pass_ms(200)

    assert host.greeting.min_version == host.greeting.max_version == packets.VERSION
    assert (host.status is not None) is speaks


def test_a_host_older_than_the_board_is_told_so(make):
    host = Host(make())

    host.hello(0, 0)

    assert host.refused[-1].refusal is Refusal.VERSION


def test_the_greeting_echoes_the_nonce_and_says_where_to_go_on(host):
    host.lease()

    host.hello(nonce=424242)

    assert host.greeting.nonce == 424242
    assert host.greeting.host_sequence == 1
    assert host.board.line, "a hello changes nothing"


def test_the_wrong_key_permits_nothing(make):
    host = Host(make(root=bytes(32)), keys=KEYS)
    host.pass_ms(10)

    host.board.receive(host.wire(Kind.HELLO.value, bytes(10), boot_id=0, sequence=0), host.now_us)

    assert not host.board.line
    assert not host.board.streaming
