"""The commands that run inside a device, and their expected results. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

ASSETS = "/root/.cache/framegate"
PORT = "/dev/ttyS0"
SHORT_CLIPS = ("single_face.mp4",)
TESTS = {  # the longest first: two run side by side
    "audit": (
        *("tests/audit/test_audit.py", "tests/audit/test_note.py", "tests/audit/test_merkle.py"),
        *("tests/audit/test_cosignature.py", "tests/audit/test_proof.py"),
        *("tests/audit/test_consistency.py", "tests/audit/test_faults.py"),
    ),
    "gate": (
        *("tests/frames/test_gate.py", "tests/frames/test_gate_camera.py"),
        *("tests/frames/test_gate_decider.py", "tests/frames/test_gate_formats.py"),
        *("tests/frames/test_gate_machine.py", "tests/frames/test_gate_reports.py"),
        "tests/frames/test_output_format.py",
    ),
    "seals": ("tests/attacks/test_matcher_escape.py", "tests/attacks/test_matcher_calls.py"),
    "sandbox": (
        *("tests/sandbox/test_paths.py", "tests/sandbox/test_probe.py"),
        *("tests/sandbox/test_decoder.py", "tests/attacks/test_matcher_sandbox.py"),
    ),
    "lease and links": (
        *("tests/test_lease.py", "tests/test_ipc.py", "tests/test_isolation.py"),
        *("tests/firmware_bridge/test_framing.py", "tests/firmware_bridge/test_packets.py"),
    ),
}
LATER = (  # with `--all` alone: proofs of the log, and formats of pictures
    *("tests/audit/test_proof.py", "tests/audit/test_consistency.py"),
    *("tests/frames/test_gate_formats.py", "tests/frames/test_output_format.py"),
)
# what reads the product's source, shows that a test notices, or counts at length
NOT_INSIDE = (
    *("exactly_one_place", "every_program_is_started", "broken_gate_is_told"),
    *("whole_log[255]", "whole_log[256]", "whole_log[600]", "standards_own_recursion"),
)
# fewer than on the host: steps of the gate beside its reference, failed calls of the log's disk
FEW = ("FRAMEGATE_STEPS=1000", "FRAMEGATE_FAULTS_EVERY=8")
MORE = ("FRAMEGATE_STEPS=2000", "FRAMEGATE_FAULTS_EVERY=4")  # with `--all`
_RECORDS = ("--device", "examples/device.toml", "--session", "examples/session.toml")
_LAST_CHARACTERS = 100
_SKIPPED = re.compile(r"(\d+) (passed|failed|skipped|errors?|cannot be run)")


class Kind(Enum):
    """The kind of a row."""

    DOCTOR = "doctor"
    REPLAY = "replay"
    TESTS = "tests"
    BOARD = "board"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Decisions:
    """The host's own: SHA-256 of its `decisions.jsonl`, how many frames there are, and passed."""

    sha256: str
    frames: int
    passed: int


@dataclass(frozen=True, slots=True)
class Row:
    """One command in the device; `keeps` is the file that the host compares with its own.

    A row that is `beside` may run at the same time as others of this kind.
    """

    kind: Kind
    name: str
    command: tuple[str, ...]
    keeps: str | None = None
    beside: bool = False

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"name": self.name, "command": list(self.command)}
        found |= {"beside": True} if self.beside else {}
        return found if self.keeps is None else {**found, "keeps": self.keeps}


def replay_arguments(clip: str, out: str, opening_s: float | None) -> tuple[str, ...]:
    """The same replay on host and device: `framegate` and these.

    Args:
        opening_s: the view is enrolled from so much of the clip's beginning, so that frames may
            pass; None: it has no view.
    """
    own = () if opening_s is None else ("--enroll-view", f"{clip}:{opening_s:g}")
    return ("replay", clip, *_RECORDS, "--telemetry", "examples/still.csv", *own, "--out", out)


def suite(
    clips: Sequence[str],
    *,
    tests: bool,
    board: bool,
    every: bool = False,
    copied: Mapping[str, tuple[str, ...]] | None = None,
    views: Mapping[str, float] = MappingProxyType({}),
) -> list[Row]:
    """The rows: doctor, one replay a clip, the pure tests, the board's duties.

    Args:
        every: all tests for a device, not only the quick part.
        copied: of a clip that is a lossless copy, the name of its original and the SHA-256 of its
            pictures on the host, and of the pictures made smaller.
        views: of a clip that shows a view to enrol, the seconds that do.
    """
    rows = [Row(Kind.DOCTOR, "doctor", ("framegate", "doctor", "--quick"), beside=True)]
    if board:
        rows.append(Row(Kind.BOARD, "board duties", ("framegate", "board", "test", "--port", PORT)))
    for clip in clips:
        if copied and clip in copied:
            original, *sums = copied[clip]
            words = (f"{ASSETS}/{original}", f"{ASSETS}/{clip}", *sums)
            looks = ("python", "-m", "bench.device.within.pictures", *words)
            rows.append(Row(Kind.COMMAND, f"pictures {original}", looks, beside=True))
        out = f"/srv/replay/{clip}"
        arguments = replay_arguments(f"{ASSETS}/{clip}", out, views.get(clip))
        command = ("framegate", *arguments)
        kept = f"{out}/decisions.jsonl"
        rows.append(Row(Kind.REPLAY, f"replay {clip}", command, kept, beside=True))
    if tests:
        depth = MORE if every else FEW
        pytest = ("env", *depth, "python", "-m", "pytest", "-p", "no:cacheprovider", "-n", "0")
        shown = ("--tb=short", "--durations=9")
        chosen = ("-k", " and ".join(f"not {name}" for name in NOT_INSIDE))
        marks = ("-m", "not guard and not long", "-o", "timeout=1800", *chosen)
        rows += [
            Row(Kind.TESTS, f"tests: {name}", (*pytest, *shown, *marks, *own, *now), beside=True)
            for name, files in TESTS.items()
            for now in [[file for file in files if every or file not in LATER]]
            # two rows at a time: pytest closes the folder that all of its runs share
            for own in [("--basetemp", f"/tmp/{name.replace(' ', '-')}")]
        ]
    return rows


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    name: str
    holds: bool
    found: str
    took_s: float | None


def judge(
    rows: Sequence[Row],
    report: Mapping[str, Any],
    logs: Mapping[str, str],
    host: Mapping[str, Decisions],
) -> list[Line]:
    """Compare the results with the expected ones: all rows present, exit code 0, equal digests.

    Args:
        report: what the device wrote.
        logs: the text of each row's log by the log's name.
        host: the host's own decisions by the row's name.
    """
    came = {row["name"]: row for row in report["rows"]}
    return [_line(row, came.get(row.name), logs, host) for row in rows]


def _line(
    row: Row, came: Mapping[str, Any] | None, logs: Mapping[str, str], host: Mapping[str, Decisions]
) -> Line:
    if came is None:
        return Line(row.name, False, "the device ended before this", None)
    took_s = came["took_s"]
    text = logs.get(came["log"], "")
    if came["code"] != 0:
        words = [line.strip() for line in text.splitlines() if line.strip()]
        last = f": {words[-1][:_LAST_CHARACTERS]}" if words else ""
        return Line(row.name, False, f"exit code {came['code']}{last}; see {came['log']}", took_s)
    if row.kind is Kind.REPLAY:
        holds, found = _same(came.get("kept"), host.get(row.name))
        return Line(row.name, holds, found, took_s)
    if row.kind in (Kind.TESTS, Kind.BOARD):
        counts = {what: int(number) for number, what in _SKIPPED.findall(text)}
        found = ", ".join(f"{number} {what}" for what, number in counts.items())
        return Line(row.name, counts.get("passed", 0) > 0, found or "no test was run", took_s)
    lines = [line for line in text.splitlines() if line.strip()]
    return Line(row.name, True, lines[-1] if lines else "", took_s)


def _same(kept: Mapping[str, str] | None, ours: Decisions | None) -> tuple[bool, str]:
    if kept is None or ours is None:
        return False, f"no decisions on the {'device' if kept is None else 'host'}"
    theirs, counts = kept["sha256"], f"{ours.passed} of {ours.frames} frames pass"
    if theirs == ours.sha256:
        return True, f"byte-identical with the host: {theirs[:16]}, {counts}"
    return False, f"device {theirs[:16]}, host {ours.sha256[:16]}, where {counts}"


def table(title: str, lines: Sequence[Line]) -> str:
    """The lines as text."""
    width = max((len(line.name) for line in lines), default=0)
    rows = [title]
    for line in lines:
        took = "" if line.took_s is None else f"{line.took_s:7.0f} s"
        state = "ok    " if line.holds else "FAILED"
        rows.append(f"  {state}  {line.name:<{width}}  {took:>9}  {line.found}")
    return "\n".join(rows)


def plan(rows: Sequence[Row]) -> str:
    """What the device reads."""
    return json.dumps({"rows": [row.to_json() for row in rows]}, indent=1)
