"""Packets are believed only with the right key, direction, version and length."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import BridgeError, GuardError
from edge.evidence import board_link as messages
from edge.evidence.board_link import BoardStatus, Claim, Fault, Floors, Link
from edge.evidence.readings import BoardSample
from edge.reasons import Reason
from firmware_bridge import packets, payloads
from firmware_bridge.packets import Keys, Packet, Refusal, seal, unseal
from firmware_bridge.virtual import sensors

KEY = bytes(range(32))
PACKET = Packet(2, 0x1122334455667788, 7, b"payload")


def test_a_sealed_packet_is_read_back_with_its_key():
    assert unseal(seal(PACKET, KEY, from_board=False), KEY, from_board=False) == PACKET


def test_no_single_flipped_bit_is_believed():
    content = seal(PACKET, KEY, from_board=False)

    for bit in range(len(content) * 8):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        assert isinstance(unseal(bytes(changed), KEY, from_board=False), Refusal)


def test_each_thing_wrong_with_a_packet_has_its_own_refusal():
    good = seal(PACKET, KEY, from_board=False)

    assert unseal(good[:31], KEY, from_board=False) is Refusal.LAYOUT
    assert unseal(good + b"x", KEY, from_board=False) is Refusal.LAYOUT
    assert unseal(good, KEY, from_board=True) is Refusal.DIRECTION
    assert unseal(b"\x02" + good[1:], KEY, from_board=False) is Refusal.VERSION
    assert unseal(good, KEY, from_board=False, key_id=3) is Refusal.KEY_ID
    assert unseal(good, KEY[::-1], from_board=False) is Refusal.TAG


def test_the_two_directions_never_share_a_key():
    keys = Keys.derive(KEY)

    assert keys.to_board != keys.from_board
    assert keys == Keys.derive(KEY)
    assert keys != Keys.derive(KEY[::-1])


def test_the_keys_are_those_of_a_library_that_knows_hkdf():
    def derived(info):
        return HKDF(algorithm=SHA256(), length=32, salt=packets._SALT, info=info).derive(KEY)

    keys = Keys.derive(KEY)

    assert keys.to_board == derived(b"host to board")
    assert keys.from_board == derived(b"board to host")


def test_a_root_key_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes, got 31"):
        Keys.derive(KEY[:31])


STATUS = payloads.Status(True, Fault.CLAIM, 5, 2, 9, 1 << 63, 77, 3, 4, 150, 1, 2, Refusal.STALE)
PAYLOADS = [
    payloads.Hello(1, 3, 1 << 60),
    payloads.Greeting(1, 1, 3, b"firmware", 4, 5, 6, 7),
    payloads.LeaseRequest(1 << 61, 5, 6, 200, True),
    STATUS,
    payloads.FloorPayload(1 << 50),
    payloads.FloorsPayload(3, 4),
    payloads.Refused(0x44, Refusal.KIND, 12),
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda p: type(p).__name__)
def test_every_payload_survives_the_wire_and_fits_it(payload):
    packed = payload.pack()

    assert type(payload).unpack(packed) == payload
    assert len(packed) <= packets.MAX_PAYLOAD


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda p: type(p).__name__)
def test_a_payload_of_another_length_is_refused(payload):
    with pytest.raises(BridgeError, match="bytes, got"):
        type(payload).unpack(payload.pack() + b"\0")


@pytest.mark.parametrize(("offset", "value"), [(0, 2), (1, 9), (38, 99)])
def test_a_status_with_a_code_nobody_knows_is_refused(offset, value):
    packed = bytearray(STATUS.pack())
    packed[offset] = value

    with pytest.raises(BridgeError):
        payloads.Status.unpack(bytes(packed))


def test_a_claim_that_is_neither_yes_nor_no_is_refused():
    packed = payloads.LeaseRequest(1, 2, 3, 4, True).pack()[:-1] + b"\x02"

    with pytest.raises(BridgeError, match="0 or 1, got 2"):
        payloads.LeaseRequest.unpack(packed)


FULL = BoardSample(
    0, True, "D-0017", False, (0.002, -0.004, 0.5), (0.02, -9.81, 0.4), 320.0, 1.25, 52.5, -13.4
)


@pytest.mark.parametrize(
    "sample",
    [FULL, BoardSample(0), BoardSample(0, dock=False, tampered=True), BoardSample(0, lux=0.0)],
)
def test_evidence_survives_the_wire_within_its_resolution(sample):
    t_ms, reading = sensors.unpack(sensors.quantise(sample).pack(123))
    back = sensors.sample(reading, 0)

    assert t_ms == 123
    for field in dataclasses.fields(sample):
        sent, came = getattr(sample, field.name), getattr(back, field.name)
        assert (sent is None) == (came is None)
        assert came == pytest.approx(sent, abs=0.005) if isinstance(sent, float | tuple) else True
    assert (back.dock, back.dock_id, back.tampered) == (
        sample.dock,
        sample.dock_id,
        sample.tampered,
    )


def test_a_reading_beyond_its_range_is_held_at_the_end_not_wrapped():
    wild = BoardSample(0, gyro_rad_s=(99.0, -99.0, 0.0), speed_m_s=1e9)

    reading = sensors.quantise(wild)

    assert reading.gyro == (32767, -32768, 0)
    assert reading.speed == 65535


@pytest.mark.parametrize("flags", [1024, 2, 8])
def test_evidence_flags_that_contradict_each_other_are_refused(flags):
    packed = flags.to_bytes(2, "little") + sensors.Sensors().pack(0)[2:]

    with pytest.raises(BridgeError, match="flags"):
        sensors.unpack(packed)


MESSAGES = [
    Claim(7, True),
    Claim(7, False),
    Floors(1 << 40, 12),
    BoardStatus(5, Link.UP, True, 7, Fault.NONE, ()),
    BoardStatus(5, Link.HELLO, False, 0, Fault.VETO, (Reason.LINK_LOST, Reason.TIME_GAP)),
    FULL,
    BoardSample(9),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_between_bridge_and_decider_is_read_back(message):
    assert messages.decode(messages.encode(message)) == message


@given(st.binary(max_size=120))
def test_nothing_but_a_guard_error_comes_out_of_a_bad_message(data):
    try:
        message = messages.decode(data)
    except GuardError:
        return
    assert isinstance(message, Claim | Floors | BoardStatus | BoardSample)
