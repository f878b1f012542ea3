"""The lease messages: what is written is read back, and nothing else is taken."""

from __future__ import annotations

import dataclasses
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import MS
from edge.errors import LeaseError
from edge.lease import (
    LIFE_NS,
    MIN_VIEW_SCORE,
    RENEW_NS,
    Lane,
    Lease,
    Revocation,
    decode,
    encode,
)
from edge.reasons import Reason

LEASE = Lease(
    epoch=7,
    camera=bytes(range(16)),
    boot=bytes(range(16, 32)),
    policy=bytes(range(32, 64)),
    lane=Lane.IDENTIFY,
    from_ns=-5,
    to_ns=1_000,
    expires_ns=2_000,
    min_view_score=0.8,
    seen_blocks=0x0000_FFFF_0000_0001,
    decision=41,
)
REVOCATION = Revocation(9, (Reason.NOT_DOCKED, Reason.MOTION), ("MS-02", "GD-01"))
# as another program would write the same lease: little endian, no padding
BYTES = (
    b"FGL1"
    + struct.pack("<Q", 7)
    + bytes(range(64))
    + b"\x01"
    + struct.pack("<qqq", -5, 1_000, 2_000)
    + struct.pack("<dQQ", 0.8, 0x0000_FFFF_0000_0001, 41)
)


def test_a_lease_is_written_as_the_protocol_says():
    assert encode(LEASE) == BYTES
    assert decode(BYTES) == LEASE


def test_a_revocation_is_written_as_the_protocol_says():
    written = b"FGR1" + struct.pack("<Q", 9) + b"NOT_DOCKED,MOTION|MS-02,GD-01"

    assert encode(REVOCATION) == written
    assert decode(written) == REVOCATION


@pytest.mark.parametrize(
    "message",
    [
        Revocation(0, ()),
        Revocation(2**64 - 1, (Reason.NO_LEASE,)),
        Revocation(1, (), ("GD-02",)),
        *(dataclasses.replace(LEASE, lane=lane) for lane in Lane),
        dataclasses.replace(LEASE, min_view_score=0.0),
        dataclasses.replace(LEASE, min_view_score=1.0),
        dataclasses.replace(LEASE, from_ns=999),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_sane_message_is_read_back_as_it_was(message):
    assert decode(encode(message)) == message


@pytest.mark.parametrize("size", range(len(BYTES)))
def test_a_lease_cut_short_is_refused(size):
    with pytest.raises(LeaseError, match=f"expected a lease or revocation, got {size} bytes"):
        decode(BYTES[:size])


@pytest.mark.parametrize("data", [BYTES + b"\0", BYTES * 2, b"FGL2" + BYTES[4:]])
def test_a_lease_too_long_or_of_another_protocol_is_refused(data):
    with pytest.raises(LeaseError, match=f"expected a lease or revocation, got {len(data)} bytes"):
        decode(data)


@pytest.mark.parametrize("size", range(12))
def test_a_revocation_cut_in_its_number_is_refused(size):
    with pytest.raises(LeaseError, match="expected a lease or revocation"):
        decode(encode(REVOCATION)[:size])


def test_a_revocation_of_nothing_but_a_number_is_one():
    assert decode(encode(REVOCATION)[:12]) == Revocation(9, ())


@pytest.mark.parametrize("tail", [b"\xff\xfe|", b"NOT_A_REASON|", b"NOT_DOCKED,nor this"])
def test_a_revocation_with_unreadable_reasons_is_refused(tail):
    with pytest.raises(LeaseError, match=r"^revocation with unreadable reasons: .+"):
        decode(encode(REVOCATION)[:12] + tail)


def test_a_lane_that_does_not_exist_is_refused():
    data = bytearray(BYTES)
    data[76] = len(Lane)

    with pytest.raises(LeaseError, match=rf"^lease names lane {len(Lane)}, expected 0 to 14$"):
        decode(bytes(data))


@pytest.mark.parametrize("score", [-0.001, 1.001, float("nan"), float("inf"), float("-inf")])
def test_a_view_score_that_is_no_share_is_refused(score):
    data = encode(dataclasses.replace(LEASE, min_view_score=score))

    with pytest.raises(LeaseError, match=rf"^lease asks for view score {score}, expected 0 to 1$"):
        decode(data)


@pytest.mark.parametrize("to_ns", [-5, -6])
def test_a_lease_that_covers_no_moment_is_refused(to_ns):
    with pytest.raises(LeaseError, match=r"^lease covers no capture time$"):
        decode(encode(dataclasses.replace(LEASE, to_ns=to_ns)))


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_a_lease_error(data):
    try:
        message = decode(data)
    except LeaseError:
        return
    assert decode(encode(message)) == message


@given(st.integers(0, len(BYTES) * 8 - 1))
def test_a_flipped_bit_never_leaves_the_same_lease(bit):
    data = bytearray(BYTES)
    data[bit // 8] ^= 1 << bit % 8

    try:
        message = decode(bytes(data))
    except LeaseError:
        return
    assert message != LEASE


@pytest.mark.parametrize("lane", Lane, ids=lambda lane: lane.value)
def test_four_lanes_identify_people_and_the_others_do_not(lane):
    names = {"verify_1_1", "identify_1_n", "reidentify", "redact_selective"}

    assert lane.identifying is (lane.value in names)


def test_lease_times_and_bar_are_those_of_the_design():
    assert (LIFE_NS, RENEW_NS, MIN_VIEW_SCORE) == (200 * MS, 50 * MS, 0.80)


def test_messages_cannot_be_changed_once_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LEASE.expires_ns = 0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        REVOCATION.epoch = 0  # type: ignore[misc]
