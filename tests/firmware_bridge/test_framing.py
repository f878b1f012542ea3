"""Bytes become whole packets again, whatever the line did to them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.checks import faults
from firmware_bridge.framing import MAX_BODY, MAX_CODED, Deframer, crc16, frame


def test_the_crc_is_the_published_one():
    assert crc16(b"123456789") == 0x29B1


@pytest.mark.slow
@given(
    st.lists(st.binary(min_size=1, max_size=MAX_BODY - 2), max_size=8),
    st.randoms(use_true_random=False),
)
def test_whole_packets_arrive_however_the_bytes_are_cut(contents, rng):
    wire = b"".join(frame(content) for content in contents)
    deframer, found = Deframer(), []

    while wire:
        cut = rng.randint(1, 20)
        found += deframer.feed(wire[:cut])
        wire = wire[cut:]

    assert found == contents
    assert deframer.noise == 0


def test_a_body_too_long_for_the_wire_is_a_mistake_of_the_caller():
    frame(bytes(MAX_BODY - 2))
    with pytest.raises(ValueError, match="at most 80"):
        frame(bytes(MAX_BODY - 1))


def test_after_garbage_the_next_packet_arrives():
    deframer = Deframer()
    rng = random.Random(1)

    heard = list(deframer.feed(rng.randbytes(5000).replace(b"\0", b"x") + b"\0" + frame(b"hello")))

    assert heard == [b"hello"]
    assert deframer.noise == 1


def test_an_endless_packet_holds_no_more_than_one_packets_bytes():
    deframer = Deframer()

    for _ in range(1000):
        assert list(deframer.feed(b"\x01" * 100)) == []

    assert len(deframer._held) <= MAX_CODED


def test_no_single_flipped_bit_gets_through():
    wire = frame(b"sixteen bytes ok")
    for bit in range((len(wire) - 1) * 8):
        changed = bytearray(wire)
        changed[bit // 8] ^= 1 << bit % 8
        assert b"sixteen bytes ok" not in list(Deframer().feed(bytes(changed)))


def test_idle_zero_bytes_are_not_noise():
    deframer = Deframer()

    assert list(deframer.feed(b"\0" * 50)) == []

    assert deframer.noise == 0


@pytest.mark.parametrize("fault", faults.DEADLY, ids=lambda f: f.__name__)
def test_a_deadly_fault_lets_no_packet_through(fault):
    deframer, inject, content = Deframer(), fault(), b"a whole packet"

    for _ in range(50):
        for chunk in inject(frame(content)):
            assert list(deframer.feed(chunk)) == []


@pytest.mark.parametrize("fault", faults.HARMLESS, ids=lambda f: f.__name__)
def test_a_harmless_fault_lets_every_packet_through(fault):
    deframer, inject, content = Deframer(), fault(), b"a whole packet"

    heard = [c for chunk in inject(frame(content)) for c in deframer.feed(chunk)]

    assert content in heard
