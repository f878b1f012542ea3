"""Availability: every blocked moment after the dwell has one cause, and nothing is lost."""

from __future__ import annotations

import pytest

from edge.audit.schema import Context
from edge.clock import MS, S
from edge.errors import RecordError
from edge.evaluation.availability import account, as_json, by_cause, summary, table
from edge.evaluation.manifest import read_manifest
from edge.reasons import Reason
from edge.report.record import FrameDecision, Outcome

STEP_NS = 100 * MS


def _decisions(*spans: tuple[float, tuple[Reason, ...]]) -> list[FrameDecision]:
    """Ten frames a second; each span is how long and why blocked, or () where it passed."""
    found: list[FrameDecision] = []
    for seconds, reasons in spans:
        for _ in range(round(seconds * 10)):
            verdict = Outcome.BLOCK if reasons else Outcome.PASS
            at_ns = len(found) * STEP_NS
            found.append(FrameDecision(len(found), at_ns, verdict, Context.CONTROLLED, reasons))
    return found


def test_a_recording_that_passes_after_the_dwell_is_wholly_available():
    found = account(_decisions((3, (Reason.DWELL,)), (7, ())), 3 * S)

    assert found.due_ns == found.passed_ns == 7 * S
    assert found.share == 1.0
    assert found.lost == ()
    assert table([found]) == ["nothing was blocked"]


def test_the_dwell_after_a_failure_is_charged_to_what_failed():
    found = account(
        _decisions((3, (Reason.DWELL,)), (2, ()), (0.5, (Reason.PEOPLE_SMALL,)),
                   (1, (Reason.DWELL,)), (3.5, ())),
        3 * S,
    )  # fmt: skip

    (row,) = by_cause([found])
    assert row.cause is Reason.PEOPLE_SMALL
    assert row.blocked_ns == 1500 * MS
    assert row.waiting_ns == 1 * S
    assert [lost.second for lost in found.lost] == [5, 6]
    assert found.passed_ns + sum(lost.blocked_ns for lost in found.lost) == found.due_ns


def test_what_broke_the_first_dwell_is_charged_though_it_was_over_before():
    found = account(_decisions((1, (Reason.CAM_MOVING,)), (4, (Reason.DWELL,)), (5, ())), 3 * S)

    assert [(lost.cause, lost.blocked_ns) for lost in found.lost] == [
        (Reason.CAM_MOVING, 1 * S),
        (Reason.CAM_MOVING, 1 * S),
    ]


def test_a_failure_that_was_over_is_not_blamed_for_waiting_after_frames_passed():
    found = account(_decisions((1, (Reason.CAM_MOVING,)), (3, ()), (1, (Reason.BRACKET,))), 0)

    assert {lost.cause for lost in found.lost} == {Reason.CAM_MOVING, Reason.BRACKET}


def test_of_several_causes_the_worst_is_charged_and_the_others_are_named():
    both = (Reason.VIEW_COVERED, Reason.PEOPLE_CROWD)
    found = account(_decisions((2, both), (1, (Reason.PEOPLE_CROWD,))), 0)

    assert [(lost.cause, lost.also) for lost in found.lost] == [
        (Reason.VIEW_COVERED, (Reason.PEOPLE_CROWD,)),
        (Reason.VIEW_COVERED, (Reason.PEOPLE_CROWD,)),
        (Reason.PEOPLE_CROWD, ()),
    ]


def test_a_recording_over_before_the_dwell_says_so_and_counts_for_nothing():
    found = account(_decisions((2, (Reason.DWELL,))), 3 * S)

    assert found.share is None
    assert "over before a dwell of 3 s" in summary("short", found, 3.0)


def test_the_causes_of_all_recordings_add_up_to_what_was_blocked():
    one = account(_decisions((1, (Reason.VIEW_COVERED,)), (1, ())), 0)
    two = account(_decisions((1, (Reason.VIEW_COVERED,)), (1, (Reason.CAM_MOVING,))), 0)

    fields = as_json([("a", "a", one), ("b", "a", two)], 3.0)

    causes = {row["cause"]: row for row in fields["causes"]}
    assert causes["VIEW_COVERED"]["blocked_s"] == pytest.approx(2.0)
    assert causes["VIEW_COVERED"]["recordings"] == 2
    assert sum(row["blocked_s"] for row in causes.values()) == pytest.approx(3.0)
    assert sum(r["due_s"] - r["passed_s"] for r in fields["recordings"]) == pytest.approx(3.0)
    assert "VIEW_COVERED" in "\n".join(table([one, two]))


def test_what_a_true_cause_blocks_is_counted_apart():
    """Two people where one may be: rightly blocked, also where a worse cause is named beside it."""
    both = (Reason.VIEW_FOREIGN, Reason.PEOPLE_CROWD)
    frames = _decisions((1, both), (1, (Reason.DWELL,)), (1, (Reason.CAM_MOVING,)), (2, ()))
    crowd = frozenset({Reason.PEOPLE_CROWD})

    sorted_out, taken_together = account(frames, 0, crowd), account(frames, 0)

    assert (sorted_out.rightly_ns, sorted_out.falsely_ns) == (2 * S, 1 * S)
    assert [(lost.cause, lost.true) for lost in sorted_out.lost] == [
        (Reason.PEOPLE_CROWD, True),
        (Reason.PEOPLE_CROWD, True),
        (Reason.CAM_MOVING, False),
    ]
    assert (taken_together.rightly_ns, taken_together.falsely_ns) == (0, 3 * S)
    assert [row.true_ns for row in by_cause([sorted_out])] == [2 * S, 0]
    (recording,) = as_json([("a", "a", sorted_out)], 3.0)["recordings"]
    assert (recording["rightly_blocked_s"], recording["falsely_blocked_s"]) == (2.0, 1.0)


def test_the_manifest_names_what_rightly_blocks_a_recording(tmp_path):
    head = "file,kind,camera,setting,true_causes\n"
    manifest = tmp_path / "MANIFEST.csv"
    manifest.write_text(head + "two.mp4,video,stationary,controlled,PEOPLE_CROWD; PEOPLE_SMALL\n")
    assert read_manifest(tmp_path)[0].true_causes == {Reason.PEOPLE_CROWD, Reason.PEOPLE_SMALL}

    manifest.write_text(head + "one.mp4,video,stationary,controlled,\n")
    assert read_manifest(tmp_path)[0].true_causes == frozenset()

    manifest.write_text(head + "two.mp4,video,stationary,controlled,CROWD\n")
    with pytest.raises(RecordError, match="'CROWD', expected codes such as PEOPLE_CROWD"):
        read_manifest(tmp_path)


def test_a_cause_that_is_true_for_some_seconds_is_rightly_charged_in_those():
    """With the dwell that follows; the twin, a second later, is charged as false."""
    covered, waits = (Reason.VIEW_COVERED,), (Reason.DWELL,)
    spans = _decisions(
        (3, waits), (1, ()), (1, covered), (2, waits), (1, ()), (1, covered), (1, ())
    )

    found = account(spans, 3 * S, true_at={4: frozenset(covered)})

    assert [(lost.second, lost.true) for lost in found.lost] == [
        (4, True), (5, True), (6, True), (8, False),
    ]  # fmt: skip
    assert (found.rightly_ns, found.falsely_ns) == (3 * S, 1 * S)
