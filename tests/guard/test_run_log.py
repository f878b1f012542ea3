"""A run of days keeps minutes in memory: decisions go to disk as they are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.audit.schema import Context
from edge.decision.monitor import Account
from edge.evidence.readings import Reading, Source
from edge.frames.messages import Resolved
from edge.guard.recorder import Recorder
from edge.guard.run_log import BATCH, RunLog
from edge.reasons import Reason
from edge.report.record import Outcome, decisions_in, summarise

F = 33_000_000  # a frame's time, ns


def played(frames: int, log: RunLog | None) -> Recorder:
    """A recorder that heard of so many frames; each third one is blocked."""
    recorder = Recorder()
    recorder._accounts[1] = Account(1, Context.UNCONTROLLED, (Reason.MOTION,), ("FA-03",))
    for i in range(frames):
        reason = Reason.NO_LEASE if i % 3 == 0 else None
        recorder.readings.append(Reading(Source.VIEW, 7 * F + i * F))
        recorder.resolved([Resolved(i, 7 * F + i * F, reason, 1, 1000)])
        if log is not None:
            log.keep_up(recorder)
    return recorder


def whole(recorder: Recorder, log: RunLog) -> tuple[object, list[object]]:
    decisions, _, _ = recorder.finish()
    summary = log.finish(decisions, summarise(decisions, dwell_s=1.0))
    return summary, decisions_in((log._out / "decisions.jsonl").read_bytes(), "decisions.jsonl")


def test_a_long_run_counts_and_writes_what_a_short_memory_would(tmp_path: Path) -> None:
    log, once = RunLog(tmp_path / "long", keep=100), RunLog(tmp_path / "once")

    kept, lines = whole(played(1000, log), log)
    summary, all_lines = whole(played(1000, None), once)

    assert lines == all_lines
    assert log.frames > 700
    assert (kept.frames, kept.passed, kept.blocked) == (
        summary.frames,
        summary.passed,
        summary.blocked,
    )
    assert kept.blocked_by_reason == summary.blocked_by_reason
    assert kept.first_pass_s == summary.first_pass_s


def test_memory_is_bounded_however_long_it_runs(tmp_path: Path) -> None:
    log = RunLog(tmp_path, keep=100)

    recorder = played(5000, log)

    assert recorder.held < 200
    assert len(recorder.readings) < 300
    assert len(recorder.gate_ns) < 300
    assert len(recorder.decisions) < 300


def test_the_file_is_bounded_and_the_newest_lines_are_kept(tmp_path: Path) -> None:
    log = RunLog(tmp_path, keep=100, max_bytes=20_000)

    summary, lines = whole(played(3000, log), log)

    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["decisions.1.jsonl", "decisions.jsonl"]
    assert all(path.stat().st_size < 60_000 for path in tmp_path.iterdir())
    assert lines[-1].frame == 2999
    assert summary.frames == 3000


def test_a_short_run_leaves_one_file_and_nothing_beside_it(tmp_path: Path) -> None:
    log = RunLog(tmp_path)

    summary, lines = whole(played(30, log), log)

    assert [path.name for path in tmp_path.iterdir()] == ["decisions.jsonl"]
    assert len(lines) == 30
    assert sum(d.verdict is Outcome.PASS for d in lines) == summary.passed == 20
    assert lines[0].captured_ns == 0


@pytest.mark.parametrize("frames", [0, 1])
def test_a_run_that_saw_hardly_anything_still_leaves_its_file(tmp_path: Path, frames: int) -> None:
    log = RunLog(tmp_path)

    summary, lines = whole(played(frames, log), log)

    assert (summary.frames, len(lines)) == (frames, frames)


def test_no_settling_takes_long_enough_to_miss_a_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RunLog(tmp_path, keep=1000)
    batches: list[int] = []
    write = log._write
    monkeypatch.setattr(log, "_write", lambda found: (batches.append(len(found)), write(found)))

    played(3000, log)

    assert len(batches) > 5
    assert max(batches) <= BATCH


@pytest.mark.parametrize("passing", [Context.CONTROLLED, Context.UNCONTROLLED])
def test_a_released_frame_is_in_the_context_in_which_its_lane_passes(passing: Context) -> None:
    recorder = Recorder(passing)
    recorder.resolved([Resolved(0, F, None, 1, 1000)])

    decisions, _, _ = recorder.finish()

    assert [d.context for d in decisions] == [passing]
