"""What an archive costs here: plain replay, extraction and judging of the same recordings.

All in one process, so that they may be compared; a first recording warms up what is loaded
once. Judging takes so little that all of it is done five times, between the replays of a fifth
of the recordings each; the median counts. Replay and judging both write `decisions.jsonl` to the
disk, and the two must be equal. Costs of a large archive follow by proportion.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.archive.manifest import Recording
from edge.archive.tasks import Done, Extract, Failed, Judge, Task, work
from edge.errors import RecordError
from edge.files import read_named
from edge.replay.files import Job, replay

ROUNDS = 5
MOST_BYTES = 1 << 31  # of the decisions on one recording

ARCHIVE_BYTES = 40e12
ARCHIVE_BITS_S = 4.5e6  # of a recording at 640 to 1280 pixels
_HOUR_S = 3600


@dataclass(slots=True)
class Spent:
    """Seconds on the clock and of processor time."""

    wall_s: float = 0.0
    processor_s: float = 0.0

    @contextmanager
    def more(self) -> Iterator[None]:
        """Count what is done inside."""
        wall_s, processor_s = time.perf_counter(), time.process_time()
        yield
        self.wall_s += time.perf_counter() - wall_s
        self.processor_s += time.process_time() - processor_s


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured."""

    recordings: int
    frames: int
    footage_s: float
    replay: Spent
    extract: Spent
    judge: Spent  # the median of the rounds
    rounds_s: tuple[float, ...]  # processor time of judging in each
    tape_bytes: int
    decision_bytes: int

    @property
    def faster(self) -> float:
        """How many times faster judging is than replay, in processor time."""
        return self.replay.processor_s / self.judge.processor_s

    @property
    def spread(self) -> tuple[float, float]:
        """The same by the slowest and the fastest round."""
        replay_s = self.replay.processor_s
        return replay_s / max(self.rounds_s), replay_s / min(self.rounds_s)

    def of_archive(self) -> dict[str, float]:
        """The same of 40 TB: hours of one processor, and terabytes of tapes."""
        hours = ARCHIVE_BYTES * 8 / ARCHIVE_BITS_S / _HOUR_S
        share = hours * _HOUR_S / self.footage_s
        return {
            "footage_h": hours,
            "replay_h": self.replay.processor_s * share / _HOUR_S,
            "extract_h": self.extract.processor_s * share / _HOUR_S,
            "judge_h": self.judge.processor_s * share / _HOUR_S,
            "tapes_tb": self.tape_bytes * share / 1e12,
        }

    def as_json(self) -> dict[str, Any]:
        ratios = {"faster": self.faster, "spread": self.spread}
        return {**asdict(self), **ratios, "archive": self.of_archive()}


def measure(recordings: Sequence[Recording], pack: str, scratch: Path) -> Costs:
    """Extract and replay every recording once, and judge it five times.

    Args:
        scratch: an empty folder for the results.

    Raises:
        GuardError: a recording cannot be replayed or judged.
        RecordError: judging decided otherwise than replay.
    """
    _once(recordings[:1], pack, scratch / "warm")
    return _once(recordings, pack, scratch / "measured")


def _once(recordings: Sequence[Recording], pack: str, folder: Path) -> Costs:
    replayed, extracted, rounds = Spent(), Spent(), []
    store, outs = str(folder / "store"), [folder / f"replay-{i}" for i in range(len(recordings))]
    with extracted.more():
        tapes = _all([Extract(one, store) for one in recordings])
    pairs = list(zip(recordings, outs, strict=True))
    for part in range(ROUNDS):
        for recording, out in pairs[part::ROUNDS]:
            with replayed.more():
                _replay(recording, pack, out)
        if part:
            shutil.rmtree(folder / "store" / "decisions")  # to be made again
        judged = Spent()
        with judged.more():
            decisions = _all([Judge(one, store, pack) for one in recordings])
        rounds.append(judged)
    footage_s, frames = 0.0, 0
    for recording, out, done in zip(recordings, outs, decisions, strict=True):
        lines = read_named(Path(done.place), MOST_BYTES)
        if lines != read_named(out / "decisions.jsonl", MOST_BYTES):
            raise RecordError(f"{recording.clip}: judging its tape decided otherwise than replay")
        footage_s += _length_s(lines)
        frames += done.frames
    return Costs(
        len(recordings),
        frames,
        footage_s,
        replayed,
        extracted,
        Spent(
            statistics.median(one.wall_s for one in rounds),
            statistics.median(one.processor_s for one in rounds),
        ),
        tuple(one.processor_s for one in rounds),
        sum(tape.bytes for tape in tapes),
        sum(done.bytes for done in decisions),
    )


def _replay(recording: Recording, pack: str, out: Path) -> None:
    job = Job(
        recording.clip, recording.device, recording.session, recording.telemetry, pack, out=out
    )
    replay(job, lambda _: None)


def _all(tasks: Sequence[Task]) -> list[Done]:
    found = []
    for task, done in zip(tasks, work(tasks), strict=True):
        if isinstance(done, Failed):
            raise RecordError(f"{task.recording.clip}: {done.why}")
        found.append(done)
    return found


def _length_s(lines: bytes) -> float:
    """From the first decision to the last, and one frame more."""
    first, last = (json.loads(lines.splitlines()[i]) for i in (0, -1))
    span_ns, frames = int(last["captured_ns"]) - int(first["captured_ns"]), int(last["frame"])
    return span_ns / 1e9 * (frames + 1) / max(1, frames)
