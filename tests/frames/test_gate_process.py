"""A good frame reaches the matcher, and what it can do with it."""

from __future__ import annotations

import os
import time

import pytest

from edge import ipc
from edge.clock import MS
from edge.frames.messages import (
    End,
    SourceEnd,
    encode,
)
from edge.lease import Revocation
from edge.lease import encode as encode_lease
from edge.reasons import Reason
from tests.support.gate_harness import PICTURE


def test_a_good_frame_under_a_lease_reaches_the_matcher(harness):
    matcher = harness.connect()
    harness.grant()

    words = harness.deliver()

    assert [word.reason for word in words] == [None]
    assert (matcher.read(timeout_s=0) == PICTURE).all()


def test_a_closed_connection_reads_nothing_more_and_closes_no_stranger(harness):
    matcher = harness.connect()
    wake = matcher._wake
    matcher.close()
    stranger = os.eventfd(1)
    os.dup2(stranger, wake)  # somebody else's, under the same number

    matcher.close()

    assert matcher.read() is None
    assert matcher.ended
    assert os.eventfd_read(wake) == 1
    os.close(stranger)
    os.close(wake)


def test_a_frame_read_where_it_lies_is_gone_after_a_revocation(harness):
    matcher = harness.connect()
    harness.grant()
    harness.deliver()

    frame = matcher.read(timeout_s=0, copy=False)
    assert (frame == PICTURE).all()
    assert not frame.flags.writeable
    assert matcher.intact(frame)

    ipc.send(harness.decider, encode_lease(Revocation(1, (Reason.NO_LEASE,))))
    harness.gate.turn()

    assert not matcher.intact(frame)
    assert not frame.any()


@pytest.mark.slow
def test_a_frame_read_where_it_lies_tells_when_it_was_overwritten(harness):
    matcher = harness.connect()
    harness.grant(to_ns=harness.clock.now_ns() + 10_000 * MS, expires_ns=1 << 62)
    harness.deliver()
    frame = matcher.read(timeout_s=0, copy=False)

    for _ in range(harness.ring.slots - 1):
        harness.give_back()
        harness.deliver()
    assert matcher.intact(frame)

    harness.give_back()
    harness.deliver()
    assert not matcher.intact(frame)


@pytest.mark.slow
def test_a_matcher_that_never_waits_hears_of_the_end(harness):
    """`VideoCapture(on_block="return")`: nothing there yet is not the end, and the end is told."""
    matcher = harness.connect()
    harness.grant()
    assert matcher.read(timeout_s=0.0) is None
    assert not matcher.ended

    harness.deliver()
    harness.gate.turn()
    assert matcher.read(timeout_s=0.0) is not None
    ipc.send(harness.capture, encode(SourceEnd(End.EOF, harness.sequence)))
    harness.go_on(1200)

    assert matcher.read(timeout_s=0.0) is None
    assert matcher.ended


@pytest.mark.slow
@pytest.mark.parametrize(("stood", "passes"), [("machine", True), ("clock", False)])
def test_a_slow_machine_changes_no_verdict_and_a_clock_that_leaps_does(harness, stood, passes):
    harness.connect()
    harness.grant()

    if stood == "machine":
        time.sleep(0.2)  # longer than the gate's own longest pause
    else:
        harness.clock.advance(ms=200)

    assert [word.reason is None for word in harness.deliver()] == [passes]
