"""What a run leaves behind: strict, repeatable, never half-written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.audit.schema import Context
from edge.errors import RecordError, UsageError
from edge.reasons import Reason, worst_first
from edge.report.record import (
    ContextChange,
    FrameDecision,
    GateTimes,
    Outcome,
    decision_line,
    decisions_in,
    summarise,
    write_atomic,
    write_decisions,
    write_summary,
)

PERIOD_NS = 40_000_000


def blocked(frame: int, *reasons: Reason, rules: tuple[str, ...] = ()) -> FrameDecision:
    return FrameDecision(
        frame, frame * PERIOD_NS, Outcome.BLOCK, Context.UNCONTROLLED, reasons, rules
    )


def passed(frame: int) -> FrameDecision:
    return FrameDecision(frame, frame * PERIOD_NS, Outcome.PASS, Context.CONTROLLED)


@st.composite
def decisions(draw: st.DrawFn) -> FrameDecision:
    reasons = worst_first(draw(st.sets(st.sampled_from(Reason), max_size=4)))
    return FrameDecision(
        draw(st.integers(0, 10**9)),
        draw(st.integers(-(2**62), 2**62)),
        Outcome.BLOCK if reasons else Outcome.PASS,
        draw(st.sampled_from(Context)),
        reasons,
        tuple(draw(st.lists(st.sampled_from(["MS-01", "é\u2028", '"']), max_size=3))),
    )


def test_a_decision_is_stored_with_its_keys_in_the_published_order():
    line = decision_line(blocked(12, Reason.VIEW_FOREIGN, rules=("MS-02",)))

    assert line == (
        '{"frame": 12, "captured_ns": 480000000, "verdict": "block", "context": "uncontrolled", '
        '"reasons": ["VIEW_FOREIGN"], "rules": ["MS-02"]}'
    )


@pytest.mark.slow
@given(st.lists(decisions(), max_size=5))
def test_what_was_written_is_what_is_read(tmp_path_factory, written):
    path = tmp_path_factory.getbasetemp() / "round" / "decisions.jsonl"

    write_decisions(path, written)

    assert decisions_in(path.read_bytes(), "decisions.jsonl") == written


@pytest.mark.parametrize("reasons", [(), (Reason.DWELL,)])
def test_a_frame_passes_exactly_when_no_reason_is_given(reasons):
    wrong, right = Outcome.PASS, Outcome.BLOCK
    if not reasons:
        wrong, right = right, wrong

    assert FrameDecision(0, 0, right, Context.CONTROLLED, reasons).reasons == reasons
    with pytest.raises(ValueError, match="passes or has reasons"):
        FrameDecision(0, 0, wrong, Context.CONTROLLED, reasons)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "not json",
        '{"frame": 1}',
        '{"captured_ns": 0, "frame": 0, "verdict": "pass", "context": "controlled", '
        '"reasons": [], "rules": []}',
        decision_line(passed(1)).replace('"pass"', '"PASS"'),
        decision_line(passed(1)).replace("40000000", "4e7"),
        decision_line(passed(1)).replace('"frame": 1', '"frame": true'),
        decision_line(blocked(1, Reason.DWELL)).replace("DWELL", "BECAUSE"),
        decision_line(blocked(1, Reason.DWELL)).replace('"block"', '"pass"'),
        decision_line(passed(1)) + " ",
    ],
)
def test_a_line_that_is_no_decision_is_named_and_refused(tmp_path, line):
    path = tmp_path / "decisions.jsonl"
    path.write_text(decision_line(passed(0)) + "\n" + line + "\n")

    with pytest.raises(RecordError, match=r"decisions\.jsonl, line 2: not a decision"):
        decisions_in(path.read_bytes(), "decisions.jsonl")


def test_the_summary_counts_every_cause_of_every_frame():
    run = [
        blocked(0, Reason.DWELL),
        passed(1),
        passed(2),
        blocked(3, Reason.VIEW_FOREIGN, Reason.CAM_MOVING),
        blocked(4, Reason.VIEW_FOREIGN),
    ]

    summary = summarise(run, dwell_s=1.0)

    assert (summary.frames, summary.passed, summary.blocked) == (5, 2, 3)
    assert dict(summary.blocked_by_reason) == {
        Reason.VIEW_FOREIGN: 2,
        Reason.CAM_MOVING: 1,
        Reason.DWELL: 1,
    }
    assert list(summary.blocked_by_reason) == [
        Reason.VIEW_FOREIGN,
        Reason.CAM_MOVING,
        Reason.DWELL,
    ]  # worst first
    assert summary.first_pass_s == 0.04
    assert summary.context_changes == (
        ContextChange(0.0, Context.UNCONTROLLED, (Reason.DWELL,)),
        ContextChange(0.04, Context.CONTROLLED),
        ContextChange(0.12, Context.UNCONTROLLED, (Reason.VIEW_FOREIGN, Reason.CAM_MOVING)),
    )


def test_a_run_in_which_nothing_passed_says_so():
    assert summarise([blocked(0, Reason.NO_VIEW)], dwell_s=3).first_pass_s is None
    assert summarise([], dwell_s=3).frames == 0


def test_the_summary_file_has_the_published_keys(tmp_path):
    path = tmp_path / "out" / "summary.json"

    write_summary(path, summarise([passed(0)], dwell_s=1, gate_us=GateTimes(30, 60, 90)))

    found = json.loads(path.read_text())
    assert list(found) == [
        "frames",
        "passed",
        "blocked",
        "blocked_by_reason",
        "context_changes",
        "first_pass_s",
        "dwell_s",
        "gate_us",
        "evidence_hz",
        "audit_verified",
        "release",
        "enrolment",
        "board",
        "not_judged",
        "recording",
    ]
    assert found["gate_us"] == {"p50": 30, "p99": 60, "p999": 90}


def test_a_write_that_fails_leaves_the_old_file_and_no_scratch(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    path.write_text("old")

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)

    with pytest.raises(UsageError, match="No space left on device"):
        write_atomic(path, "new")

    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="cannot write"):
        write_atomic(Path(tmp_path / "file" / "report.html"), "text")
