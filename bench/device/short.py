"""The short part of the suite, for CI: `doctor`, ten duties of the board, one replay.

    python -m bench.device.short

It only runs where `make arm64` has built a device; elsewhere it prints one line with the reason
and ends with exit code 0. The clip is a rendered room, so nothing is downloaded.

The board's leases last 200 ms of real time. If a duty fails while this host kept an emulator
waiting for longer than a lease allows, that says nothing about the board: the duties are tried
again, and if the host stays as busy they are reported as not judged. A failure in time is final.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.device import boot, host, machines, replays, site, suite
from bench.device.image.build import Builder, Built
from bench.device.image.cache import Cache
from edge.errors import GuardError
from edge.models.pull import assets_dir
from firmware_bridge.checks.duties import LATE_MS, TRIES
from firmware_bridge.emulated import lm3s6965

CLIP = "room.avi"
_RATE_HZ, _SECONDS = 8, 2  # frames pass after the dwell of one second
_VIEWS = {CLIP: 0.75}  # seconds of it that show the view: six frames
_DUTIES = 10
Work = Callable[[Sequence[suite.Row]], tuple[list[suite.Line], float]]


def rows() -> list[suite.Row]:
    """Doctor, the board's first duties, the replay."""
    doctor, _, replay = suite.suite((CLIP,), tests=False, board=True, views=_VIEWS)
    words = ("python", "-m", "bench.device.within.duties", suite.PORT, "--first", str(_DUTIES))
    return [doctor, suite.Row(suite.Kind.BOARD, "board duties", words), replay]


def why_not(machine: machines.Machine, builder: Builder, folder: Path) -> str | None:
    """The reason why nothing can be emulated here without building something first."""
    if lack := host.lacking(host.look(folder), machine, built=True):
        return lack
    if not lm3s6965.available():
        return f"{lm3s6965.QEMU} is not installed: apt-get install qemu-system-arm"
    if not builder.built(machine.pages):
        return f"no complete device in {folder}: run `make arm64`"
    return None


def judged(work: Work, wanted: Sequence[suite.Row], say: boot.Say) -> list[suite.Line]:
    """Run the rows; those of the board again while they fail and this host is why."""
    lines, late_ms = work(wanted)
    duties = [row for row in wanted if row.kind is suite.Kind.BOARD]
    names = {row.name for row in duties}
    for left in reversed(range(TRIES)):
        failed = [line for line in lines if line.name in names and not line.holds]
        if not failed or late_ms <= LATE_MS:
            break
        why = f"this host kept an emulator waiting for {late_ms:.0f} ms of a lease"
        if not left:
            unjudged = f"NOT JUDGED, {why}, {TRIES} times: {failed[0].found}"
            return [replace(x, holds=True, found=unjudged) if x in failed else x for x in lines]
        say(f"board duties failed, but {why}: trying them again")
        again, late_ms = work(duties)
        lines = [next((new for new in again if new.name == x.name), x) for x in lines]
    return lines


def run(machine: machines.Machine, built: Built, out: Path, say: boot.Say) -> list[suite.Line]:
    """The short part on this machine.

    Raises:
        UsageError: it ended without a report.
    """
    clips = {CLIP: site.room(out / CLIP, _RATE_HZ, _SECONDS)}
    ours = replays.host_decisions(rows(), clips, _VIEWS, out, say)

    def work(wanted: Sequence[suite.Row]) -> tuple[list[suite.Line], float]:
        ended = boot.run(machine, built, wanted, out / machine.name, say, clips=clips)
        return suite.judge(wanted, ended.report, ended.logs(), ours), ended.late_ms

    return judged(work, rows(), say)


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    folder, machine = assets_dir() / "arm64", machines.MACHINES[0]
    builder = Builder(Cache(folder, print), None)
    if reason := why_not(machine, builder, folder):
        print(f"emulated device: skipped: {reason}")
        return 0
    out = Path(tempfile.mkdtemp(prefix="framegate-short-"))
    try:
        lines = run(
            machine, builder.build(machine.pages), out, lambda line: print(line, flush=True)
        )
    except GuardError as err:
        print(f"emulated device: {err}", file=sys.stderr)
        with contextlib.suppress(OSError):  # unless there are logs in it
            out.rmdir()
        return 1
    print(suite.table(f"emulated device: {machine.name}", lines))
    if not all(line.holds for line in lines):
        print(f"emulated device: logs in {out}", file=sys.stderr)
        return 1
    shutil.rmtree(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
