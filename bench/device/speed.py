"""How fast a device must be: the whole guard in virtual time, at known speeds.

    python -m bench.device.speed bench/device/speed.json    the table of docs/devices.md

Each cell is one start of the device with a number of runs in it. The clip is a rendered room with
one person, so every frame after the dwell may be released. What comes back are plain figures; the
table says whether frames flowed, how often evidence was read, and what each process cost. What
`framegate device speed --json` printed is kept in `speed.json`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.device import boot, machines, site, suite, virtual
from bench.device.image.build import Built
from edge.errors import UsageError

_MILLION = 1e6
_MOST_CAUSES = 6
_DWELL = {"DWELL", "NO_LEASE"}  # after every cause, and at the start
_LIMITS = {"cores": (1, 8), "rate": (5, 60), "runs": (1, 20), "seconds": (4, 60)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One speed of the table."""

    gips: float  # billion instructions a second, of all cores together
    cores: int
    rate_hz: int  # of the clip
    seconds: int  # of the clip
    runs: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the guard to the end of the clip."""

    frames: int
    released: int
    received: int  # by the matcher
    evidence_hz: float
    disk_reads: int  # each is answered in the host's time, which may look like a leap of the clock
    causes: tuple[str, ...]  # of blocked frames, the most frequent first
    per_frame: Mapping[str, float]  # million instructions by process, matcher and board left out
    printed: str  # what the guard printed last

    @property
    def flows(self) -> bool:
        """Whether the matcher received frames."""
        return self.released > 0 and self.received > 0


def cells(
    gips: Sequence[float], cores: int, rates_hz: Sequence[int], seconds: int, runs: int
) -> list[Cell]:
    """Every combination, in the order given.

    Raises:
        UsageError: a value is out of its range.
    """
    wanted = [("cores", cores), ("runs", runs), ("seconds", seconds)]
    for name, value in [*wanted, *(("rate", rate) for rate in rates_hz)]:
        low, high = _LIMITS[name]
        if not low <= value <= high:
            raise UsageError(f"expected --{name} of {low} to {high}; got {value}")
    for speed in gips:
        virtual.rate(speed)
    return [Cell(speed, cores, rate, seconds, runs) for rate in rates_hz for speed in gips]


def measure(
    machine: machines.Machine, built: Built, cell: Cell, out: Path, say: Callable[[str], None]
) -> list[Run]:
    """Start the device at this speed and run the guard in it.

    Raises:
        UsageError: the device or the program in it ended too early.
    """
    with tempfile.TemporaryDirectory(prefix="framegate-device-") as folder:
        start = virtual.timed(machine, cell.gips, cell.cores, Path(folder))
        words = ("python", "-m", "bench.device.within.guard", f"/{site.SITE}")
        row = suite.Row(suite.Kind.COMMAND, _name(cell), (*words, "--runs", str(cell.runs)))
        extra = site.files(Path(folder), cell.rate_hz, cell.seconds)
        say(f"{machine.name}: {_name(cell)}")
        ended = boot.run(machine, built, [row], out, say, start=start, extra=extra)
    came = ended.report["rows"][0]
    log = ended.logs()[came["log"]]
    if came["code"] != 0:
        last = (log.strip().splitlines() or ["no word"])[-1]
        raise UsageError(f"the guard did not run in the device: {last}")
    return [read(line, cell) for line in log.splitlines() if line.startswith("{")]


def _name(cell: Cell) -> str:
    cores = "1 core" if cell.cores == 1 else f"{cell.cores} cores"
    return f"{cell.gips:g} billion instructions a second, {cores}, {cell.rate_hz} Hz"


def read(line: str, cell: Cell) -> Run:
    """One line of `bench/device/within/guard.py`."""
    found: dict[str, Any] = json.loads(line)
    summary = found["run"]
    blocked = sorted(summary.get("blocked_by_reason", {}).items(), key=lambda item: -item[1])
    frames = found["window_s"] * cell.rate_hz
    # the scheduler counts time; only one core executes something in all of it
    known = frames > 0 and cell.cores == 1
    return Run(
        frames=summary.get("frames", 0),
        released=summary.get("passed", 0),
        received=found["received"],
        evidence_hz=summary.get("evidence_hz") or 0.0,
        disk_reads=found["disk_reads"],
        causes=tuple(f"{name} {count}" for name, count in blocked[:_MOST_CAUSES]),
        per_frame={
            role: spent_ns * cell.gips / _MILLION / frames
            for role, spent_ns in (found["cpu_ns"] if known else {}).items()
        },
        printed=(found["printed"] or ["nothing"])[-1],
    )


def table(measured: Sequence[tuple[Cell, Sequence[Run]]]) -> str:
    """One line a cell: the medians of its runs, with the least and the most."""
    head = "instructions a second (billion) | cores | clip Hz | released | evidence Hz"
    rows = [f"{head} | disk reads | blocked by"]
    for cell, runs in measured:
        share = [100 * run.released / run.frames if run.frames else 0.0 for run in runs]
        causes = ", ".join(runs[0].causes) or runs[0].printed
        columns = [f"{cell.gips:g}", str(cell.cores), str(cell.rate_hz), f"{_spread(share)} %"]
        columns.append(_spread([run.evidence_hz for run in runs]))
        columns += [_spread([run.disk_reads for run in runs]), causes]
        rows.append(" | ".join(columns))
    for cell, runs in measured:
        known = [run for run in runs if run.per_frame]
        if known:
            each = {role: [run.per_frame[role] for run in known] for role in known[0].per_frame}
            words = [f"{role} {_spread(values)}" for role, values in each.items()]
            second = [sum(run.per_frame.values()) * cell.rate_hz / 1e3 for run in known]
            rows.append(f"{_name(cell)}: million instructions a frame: {', '.join(words)}")
            rows.append(f"{_name(cell)}: {_spread(second)} billion instructions a second of video")
    return "\n".join(rows)


def _spread(values: Sequence[float]) -> str:
    """The median, and the range where there is one: `7.5 (7.1 to 7.6)`."""
    low, mid, high = (f"{value:.3g}" for value in (min(values), median(values), max(values)))
    return mid if low == high else f"{mid} ({low} to {high})"


def result(machine: str, cell: Cell, runs: Sequence[Run]) -> dict[str, Any]:
    """The cell as JSON."""
    return {
        "machine": machine,
        "gips": cell.gips,
        "cores": cell.cores,
        "rate_hz": cell.rate_hz,
        "seconds": cell.seconds,
        "runs": [
            {
                "frames": run.frames,
                "released": run.released,
                "received": run.received,
                "evidence_hz": run.evidence_hz,
                "disk_reads": run.disk_reads,
                "causes": list(run.causes),
                "million_instructions_per_frame": dict(run.per_frame),
            }
            for run in runs
        ],
    }


def document(kept: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line of the documentation for each cell that was kept as JSON.

    Class, speed, cores, clip, runs, released share, evidence rate, instructions a frame and a
    second of video, and causes but the dwell that blocked frames in any run.
    """
    lines = []
    for cell in kept:
        runs = cell["runs"]
        share = _spread([100 * run["released"] / (run["frames"] or 1) for run in runs])
        names = [cause.split()[0] for run in runs for cause in run["causes"]]
        causes = ", ".join(f"`{name}`" for name in dict.fromkeys(names) if name not in _DWELL)
        spent = [sum(run["million_instructions_per_frame"].values()) for run in runs]
        known = all(spent) and any(run["frames"] for run in runs)
        cost = _spread(spent) if known else "-"
        second = _spread([one * cell["rate_hz"] / 1e3 for one in spent]) if known else "-"
        columns = [cell["machine"], f"{cell['gips']:g}", cell["cores"], f"{cell['rate_hz']} Hz"]
        columns += [len(runs), f"{share} %", _spread([run["evidence_hz"] for run in runs])]
        lines.append("| " + " | ".join(map(str, [*columns, cost, second, causes])) + " |")
    return lines


if __name__ == "__main__":
    print("\n".join(document(json.loads(Path(sys.argv[1]).read_text()))))
