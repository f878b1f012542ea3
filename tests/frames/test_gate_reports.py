"""What the gate tells the decider: reports of leases that ended, notes and frames as evidence."""

from __future__ import annotations

import numpy as np
import pytest

from edge import ipc
from edge.clock import MS
from edge.frames.messages import (
    Ended,
    Noted,
    Offered,
    decode,
)
from edge.lease import Revocation
from edge.lease import encode as encode_lease
from edge.reasons import Reason
from tests.support.gate_harness import PICTURE, Harness


def reports(harness: Harness) -> list[Ended]:
    """What the gate told the decider of leases that are no longer held."""
    reported = [decode(data) for data in ipc.drain(harness.decider)]
    return [message for message in reported if isinstance(message, Ended)]


def test_the_report_of_a_lapse_is_not_final_and_that_of_a_revoke_counts_all(harness):
    harness.connect()
    now_ns = harness.clock.now_ns()
    harness.grant(expires_ns=now_ns + 60 * MS)
    harness.deliver()  # and 80 ms pass
    lapsed = reports(harness)

    harness.grant()
    harness.deliver()
    ipc.send(harness.decider, encode_lease(Revocation(1, ())))
    harness.gate.turn()
    revoked = reports(harness)

    assert [(r.epoch, r.released, r.final) for r in lapsed] == [(1, 1, False)]
    assert [(r.epoch, r.released, r.final) for r in revoked] == [(1, 2, True)]


@pytest.mark.slow
@pytest.mark.parametrize(("stood_ms", "trusted"), [(200, False), (20, True)])
def test_a_gate_that_stood_still_gives_up_a_lease_that_still_runs(harness, stood_ms, trusted):
    clock = harness.clock
    matcher = harness.connect()
    harness.grant(expires_ns=clock.now_ns() + 10_000 * MS)
    harness.deliver()
    frame = matcher.read(timeout_s=0, copy=False)
    reports(harness)

    clock.advance(ms=stood_ms)
    harness.gate.turn()

    assert matcher.intact(frame) is trusted
    assert [r.reason for r in reports(harness)] == ([] if trusted else [Reason.TIME_GAP])
    assert harness.passes()


@pytest.mark.parametrize("end", ["parent", "decider", "capture"])
def test_a_gate_whose_guard_is_gone_wipes_the_ring_and_says_what_it_released(harness, end):
    matcher = harness.connect()
    harness.grant()
    harness.deliver()
    held = bool(matcher.ring.pixels.any())

    getattr(harness, end).close()
    harness.gate.run()

    assert held
    assert not matcher.ring.pixels.any()
    if end != "decider":
        assert [(r.epoch, r.released, r.final) for r in reports(harness)] == [(1, 1, True)]


def test_leases_that_the_gate_refuses_in_a_row_are_reported_but_not_the_first_ones(harness):
    harness.connect()
    harness.grant()
    harness.deliver(np.zeros_like(PICTURE))  # a foreign view: nothing up to it may be leased
    reported = []

    for _ in range(5):
        reports(harness)
        harness.grant(from_ns=0)
        reported.append([r.reason for r in reports(harness)])

    assert reported == [[], [], [], [Reason.FRAME_STALE], [Reason.FRAME_STALE]]
    assert harness.passes()
    assert reports(harness) == []


def evidence(harness: Harness) -> tuple[list[Noted], list[Offered]]:
    """What the gate told and lent the decider."""
    reported = [decode(data) for data in ipc.drain(harness.decider)]
    notes = [message for message in reported if isinstance(message, Noted)]
    return notes, [message for message in reported if isinstance(message, Offered)]


@pytest.mark.parametrize("shift_ms", [-10_000, 10_000], ids=["backwards", "future"])
def test_a_frame_of_an_impossible_time_is_told_as_malformed_and_is_no_evidence(harness, shift_ms):
    harness.deliver()
    evidence(harness)
    before_ns = harness.clock.now_ns()

    harness.deliver(captured_ns=before_ns + shift_ms * MS)
    notes, offers = evidence(harness)

    assert [note.look.malformed for note in notes] == [True]
    assert before_ns <= notes[0].captured_ns <= harness.clock.now_ns()
    assert offers == []


def test_a_good_frame_is_told_and_lent_as_of_its_capture(harness):
    captured_ns = harness.clock.now_ns()

    harness.deliver(captured_ns=captured_ns)
    notes, offers = evidence(harness)

    assert [(note.look.malformed, note.captured_ns) for note in notes] == [(False, captured_ns)]
    assert [offer.captured_ns for offer in offers] == [captured_ns]
