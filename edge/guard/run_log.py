"""The decisions of a long run: on disk as they are made, in memory only the newest.

A guard in the foreground may run for days. Of every frame one line goes to
`decisions.jsonl` and its counts into the totals; the report shows the newest
`KEEP` frames. The file is bounded too: past `MAX_BYTES` it becomes
`decisions.1.jsonl`, in place of an older one, and a new one begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.files import move_over, named_by_user, open_append
from edge.guard.recorder import Recorder
from edge.reasons import Reason
from edge.report.record import FrameDecision, Summary, decision_line

KEEP = 18_000  # frames in memory: ten minutes of 30 a second
BATCH = 300  # settled at once: a few milliseconds, for the parent must beat meanwhile
MAX_BYTES = 256 * 1024 * 1024  # of one file; about two weeks at 30 frames a second fill ten


class RunLog:
    """Takes from a recorder what is old enough, and gives the whole back as counts."""

    def __init__(self, out: Path, *, keep: int = KEEP, max_bytes: int = MAX_BYTES) -> None:
        """Nothing is written before the first `keep` frames are too many."""
        self._out = out
        self._keep = keep
        self._max_bytes = max_bytes
        self._written = 0  # bytes of the file that grows
        self.frames = 0  # settled: counted and on disk
        self._passed = 0
        self._blocked: Counter[Reason] = Counter()
        self._first_pass_s: float | None = None

    @property
    def path(self) -> Path:
        """Where the lines go; renamed to `decisions.jsonl` when the run is over."""
        return self._out / "decisions.jsonl.part"

    def keep_up(self, recorder: Recorder) -> None:
        """Settle the oldest frames once the recorder holds a batch more than it should keep."""
        if recorder.held >= self._keep + min(BATCH, self._keep):
            self._settle(recorder.settle(self._keep))

    def finish(self, rest: Sequence[FrameDecision], summary: Summary) -> Summary:
        """Write the rest; returns the summary of the whole run.

        Args:
            rest: what the recorder still held, timed from the run's first frame.
            summary: of `rest`.
        """
        self._write(rest)
        self._rename(self.path, self._out / "decisions.jsonl")
        blocked = self._blocked + Counter(summary.blocked_by_reason)
        first_s = summary.first_pass_s if self._first_pass_s is None else self._first_pass_s
        return replace(
            summary,
            frames=self.frames + summary.frames,
            passed=self._passed + summary.passed,
            blocked=self.frames - self._passed + summary.blocked,
            blocked_by_reason={r: blocked[r] for r in sorted(blocked, key=lambda r: r.rank)},
            first_pass_s=first_s,
        )

    def _settle(self, decisions: Sequence[FrameDecision]) -> None:
        self._write(decisions)
        for decision in decisions:
            self.frames += 1
            self._blocked.update(decision.reasons)
            if not decision.reasons:
                self._passed += 1
                if self._first_pass_s is None:
                    self._first_pass_s = round(decision.captured_ns / 1e9, 6)

    def _write(self, decisions: Sequence[FrameDecision]) -> None:
        text = "".join(decision_line(decision) + "\n" for decision in decisions)
        if self._written >= self._max_bytes:
            self._rename(self.path, self._out / "decisions.1.jsonl")
            self._written = 0
        with named_by_user("write", self.path):
            self._out.mkdir(parents=True, exist_ok=True)
            if self._written == 0:
                self.path.unlink(missing_ok=True)  # of a run that was killed
            with open_append(self.path) as file:
                file.write(text.encode())
        self._written += len(text)

    def _rename(self, path: Path, new: Path) -> None:
        with named_by_user("write", new):
            move_over(path, new)
