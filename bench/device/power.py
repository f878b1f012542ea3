"""Cuts the device's power again and again while it writes its audit log.

The device writes to a data disk that stays. The host kills the emulator at a random moment:
during the start, during recovery or while entries are written. The device's memory is then
gone, with everything that it had not yet given to the disk. At the next start the device must
find every entry that it had reported as durable, with the same root.

What this leaves out: a disk that loses what it has confirmed. The image stays in the host's
memory when the emulator dies.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.device import boot, machines, suite
from bench.device.console import Console
from bench.device.image.build import Built
from bench.device.image.cache import writing
from bench.device.image.tools import with_sbin
from edge.audit.note import Signer
from edge.commissioning.keys import KeyStore
from edge.errors import UsageError
from edge.isolation import environment

CUTS = 30
PREFIX = "device: power "
_DISK_MIB = 64
_LOG, _KEY = "/data/log", "srv/log.key"
_START_S = 600.0  # a start that takes longer has failed
_WRITES_S = 4.0  # a cut while entries are written comes at most this long after the first
_EARLY = 0.25  # the part of the cuts that come before anything is written
_START_SPREAD_S = 12.0  # an early cut comes at most this long after the start


@dataclass(slots=True)
class Tally:
    """What is known of the log, and what each start has found."""

    durable: int = 0  # entries that the device has reported as durable
    root: str = "-"  # with them
    cuts: int = 0
    early: int = 0  # cuts before the device had looked at the log
    verified: int = 0  # starts at which the log verified with all that was durable
    faults: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Read one line of the device."""
        words = line.removeprefix(PREFIX).split()
        if words[:1] == ["durable"] and len(words) == 3 and len(words[2]) == 64:
            self.durable, self.root = int(words[1]), words[2]
        elif words[:1] == ["found"] and len(words) == 3:
            self.found(int(words[1]), words[2])
        elif words[:1] == ["refused"]:
            self.faults.append(f"start {self.cuts + 1}: {' '.join(words[1:])}")

    def found(self, size: int, root: str) -> None:
        """Compare what the device found with what it had reported."""
        if size < self.durable or root != self.root:
            self.faults.append(
                f"start {self.cuts + 1}: expected {self.durable} entries with root "
                f"{self.root[:16]}, found {size} with {root[:16]}"
            )
        else:
            self.verified += 1


def cut(
    machine: machines.Machine, built: Built, out: Path, say: boot.Say, cuts: int = CUTS
) -> suite.Line:
    """Cut the power `cuts` times, then let the device end in order; the line of the table."""
    boot.emptied(out)
    rng, tally, began_s = random.Random(cuts), Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="framegate-device-") as name:
        scratch = Path(name)
        key = Signer.generate("framegate-device/log")
        keys = KeyStore.init(scratch / "keys")
        start = machines.Start(words=("fgdata",), data=str(blank(scratch / "data", _DISK_MIB)))
        device = _Device(machine, built, scratch, keys, key, start, out / "console.log")
        while tally.cuts < cuts and not tally.faults:
            _cut_once(device, tally, rng)
            say(f"{tally.cuts} of {cuts} power cuts, {tally.durable} durable entries")
        closed = not tally.faults and _ends_in_order(device, tally)
    return _line(tally, closed, cuts, time.monotonic() - began_s)


@dataclass(frozen=True, slots=True)
class _Device:
    machine: machines.Machine
    built: Built
    scratch: Path
    keys: KeyStore
    key: Signer
    start: machines.Start
    log: Path

    def on(self, durable: int, *more: str) -> Console:
        """Turn it on; it gets the number of entries that must be in its log."""
        module = ("python", "-m", "bench.device.within.power")
        words = (*module, f"/{_KEY}", _LOG, str(durable), *more)
        row = suite.Row(suite.Kind.COMMAND, "power", words)
        secret = {_KEY: self.key.secret_text.encode()}
        drives = boot.packed(self.built, self.scratch, self.keys, [row], secret, {})
        return Console(boot.command_of(self.machine, drives, start=self.start), self.log)


def _cut_once(device: _Device, tally: Tally, rng: random.Random) -> None:
    began, seen = tally.durable, tally.verified
    with device.on(tally.durable) as console:
        if rng.random() < _EARLY:
            _read(console, tally, rng.uniform(0, _START_SPREAD_S))
        else:
            until_s = time.monotonic() + _START_S
            while tally.durable == began and not tally.faults and not console.ended:
                if time.monotonic() > until_s:
                    raise UsageError(f"nothing was written within {_START_S:g} s: {device.log}")
                _read(console, tally, 0.05)
            _read(console, tally, rng.uniform(0, _WRITES_S))
        for line in console.kill():
            tally.take(line)
    tally.cuts += 1
    tally.early += tally.verified == seen


def _read(console: Console, tally: Tally, for_s: float) -> None:
    end_s = time.monotonic() + for_s
    while (left_s := end_s - time.monotonic()) > 0 and not console.ended:
        if (line := console.line(left_s)) is not None:
            tally.take(line)


def _ends_in_order(device: _Device, tally: Tally) -> bool:
    """Whether the log goes on after the last cut, ends in order and then verifies."""
    size = None
    with device.on(tally.durable, "--entries", "10") as console:
        while (line := console.line(_START_S)) is not None:
            tally.take(line)
            if line.startswith(f"{PREFIX}closed"):
                size = int(line.split()[-1])
    return size is not None and size >= tally.durable


def _line(tally: Tally, closed: bool, cuts: int, took_s: float) -> suite.Line:
    found = (
        f"{tally.cuts} cuts, {tally.early} of them before the log was read; "
        f"{tally.durable} durable entries, {len(tally.faults)} starts found one missing or changed"
    )
    if tally.faults:
        found = tally.faults[0]
    elif not closed:
        found += "; the log did not go on after the last cut"
    holds = closed and not tally.faults and tally.cuts == cuts and tally.verified > 0
    return suite.Line("power cuts", holds, found, took_s)


def blank(image: Path, mib: int) -> Path:
    """An empty ext4 file system in a new file."""
    with writing(str(image)), image.open("wb") as file:
        file.truncate(mib << 20)
    try:
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext4", "-F", "-O", "^metadata_csum", str(image)],
            env={**environment(), "PATH": with_sbin()},
            check=True,
            capture_output=True,
        )
    except OSError as err:
        raise UsageError("mke2fs is not installed: apt-get install e2fsprogs") from err
    return image
