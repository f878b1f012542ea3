"""A bad decider: broken messages, leases for others, revocations, slots that were never lent."""

from __future__ import annotations

import pytest

from edge import ipc
from edge.frames.messages import (
    Returned,
    encode,
)
from edge.lease import Lane, Revocation
from edge.lease import encode as encode_lease
from edge.reasons import Reason
from tests.support.gate_harness import LEASE


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[:-1],
        lambda whole: whole + b"\0",
        lambda whole: b"FGL9" + whole[4:],
        lambda whole: b"\x06\0\0",
        lambda whole: b"\xee" * 30,
    ],
    ids=["cut", "long", "foreign", "cut return", "unknown"],
)
def test_a_broken_message_from_the_decider_ends_the_lease_and_wipes_the_ring(harness, spoil):
    matcher = harness.connect()
    harness.grant()
    harness.deliver()
    assert matcher.ring.pixels.any()

    ipc.send(harness.decider, spoil(encode_lease(LEASE)))
    harness.gate.turn()

    assert harness.gate.lease is None
    assert not matcher.ring.pixels.any()
    assert harness.passes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [{"camera": b"x" * 16}, {"boot": b"x" * 16}, {"policy": b"x" * 32}, {"lane": Lane.DETECT}],
    ids=lambda change: next(iter(change)),
)
def test_a_lease_for_another_guard_grants_nothing(harness, change):
    harness.connect()

    harness.grant(**change)

    assert [word.reason for word in harness.deliver()] == [Reason.NO_LEASE]
    assert harness.passes()


def test_a_lease_sent_twice_is_one_lease(harness):
    harness.connect()
    harness.grant()
    harness.grant()

    assert [word.reason for word in harness.deliver()] == [None]


def test_a_revocation_that_came_with_the_frame_is_heard_before_its_release(harness):
    matcher = harness.connect()
    harness.grant()

    ipc.send(harness.decider, encode_lease(Revocation(1, (Reason.NOT_DOCKED,))))
    words = harness.deliver()

    assert [word.reason for word in words] == [Reason.NO_LEASE]
    assert matcher.read(timeout_s=0) is None


def test_what_comes_with_a_returned_slot_is_compared_until_a_lease_says_otherwise(harness):
    ipc.send(harness.decider, encode(Returned(3, seen_blocks=0b101)))
    ipc.send(harness.decider, encode(Returned(3)))
    harness.gate.turn()

    assert harness.gate._inspector.anchor == 0b101


def test_a_slot_returned_that_was_never_lent_changes_nothing(harness):
    ipc.send(harness.decider, encode(Returned(3)))
    ipc.send(harness.decider, encode(Returned(60_000)))
    harness.gate.turn()

    assert harness.passes()
