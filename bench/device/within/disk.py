"""A root that cannot be written, and a state disk without room: what the product makes of each.

    python -m bench.device.within.disk read-only STATE CLIP
    python -m bench.device.within.disk full STATE

STATE is a folder of a disk of its own. Each part has the good case beside the bad one.
"""

from __future__ import annotations

import argparse
import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.device.within.checks import Checks, expect
from bench.device.within.power import SEGMENT_ENTRIES, entries, roots
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.errors import AuditError

_RECORDS = ("--device", "examples/device.toml", "--session", "examples/session.toml")
_BLOCK = bytes(1 << 16)
_ROOM_LEFT = 1000  # permits in blocks that the log has already, at most


def framegate(*words: str) -> tuple[int, str, list[str]]:
    """Run the product; exit code, its output, and the lines of its errors."""
    command = ["framegate", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr.strip().splitlines()


def replay(clip: Path, out: Path) -> tuple[int, str, list[str]]:
    """A short run: every frame is judged, and decisions and log go to `out`."""
    words = ("--telemetry", "examples/still.csv", "--out", str(out))
    return framegate("replay", str(clip), *_RECORDS, *words)


def cannot_write(*folders: Path) -> str:
    """Nothing can be made in these folders."""
    for folder in folders:
        try:
            (folder / "written").touch()
        except OSError as err:
            expect(err.errno == errno.EROFS, f"a read-only {folder}, got: {err.strerror}")
        else:
            (folder / "written").unlink()
            expect(False, f"a read-only {folder}; a file was made there")
    return ", ".join(str(folder) for folder in folders)


def seal(*folders: str) -> str:
    """Make what the start had to write read-only as well: the product, keys, models."""
    for folder in folders:
        for words in (("--bind", folder, folder), ("-o", "remount,bind,ro", folder)):
            done = subprocess.run(
                ["/bin/busybox", "mount", *words], capture_output=True, text=True, check=False
            )
            expect(done.returncode == 0, f"a mount of {folder}, got: {done.stderr.strip()}")
    return cannot_write(Path("/etc"), Path("/opt/framegate"), *map(Path, folders))


def doctor(state: Path) -> str:
    """`doctor` says that the guard can write its state, and nowhere else."""
    code, printed, errors = framegate("doctor", "--quick", "--place", str(state))
    expect(code == 0, f"exit code 0, got {code}: {(errors or printed.splitlines())[-1:]}")
    elsewhere, printed, _ = framegate("doctor", "--quick", "--place", "/opt/framegate")
    expect(elsewhere == 1 and "disk" in printed.splitlines()[-1], "a refusal elsewhere")
    return f"exit code 0; elsewhere {elsewhere}: {printed.splitlines()[-1]}"


def short_run(clip: Path, state: Path) -> str:
    """The run and its log are whole in the one folder that can be written."""
    out = state / "run"
    code, _, errors = replay(clip, out)
    expect(code == 0, f"exit code 0, got {code}: {errors[-1:]}")
    frames = len((out / "decisions.jsonl").read_text().splitlines())
    code, printed, errors = framegate("audit", "verify", str(out / "audit"))
    expect(code == 0, f"a log that verifies, got {code}: {errors[-1:]}")
    return f"{frames} frames judged; {printed.strip().splitlines()[0]}"


def refused_run(clip: Path, out: Path, why: str) -> str:
    """A run that cannot write ends with one line that names the cause."""
    code, _, errors = replay(clip, out)
    expect(code != 0, "a run that is refused")
    expect(len(errors) == 1, f"one line, got {len(errors)}: {errors[-2:]}")
    expect(why in errors[0], f"{why!r} in the line, got: {errors[0]}")
    return f"exit code {code}: {errors[0][:100]}"


def fill(folder: Path) -> Path:
    """Take all the room there is; the file that holds it."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        for block in (_BLOCK, _BLOCK[:512], _BLOCK[:1]):
            try:
                while True:
                    file.write(block)
            except OSError as err:
                if err.errno != errno.ENOSPC:
                    raise
    return filler


class Full:
    """One log on a disk that is filled and emptied again."""

    def __init__(self, state: Path) -> None:
        self.state, self.place = state, state / "log"
        self.key = Signer.generate("framegate-device/log")
        self.log = AuditLog.create_or_open(self.place, self.key, segment_entries=SEGMENT_ENTRIES)

    def permit(self) -> None:
        """A permit, which is the last entry then."""
        entry, _, _ = entries(self.log.size)
        self.log.append(entry, durable=True)

    def with_room(self) -> str:
        self.permit()
        return f"{self.log.size} entries, the last a permit"

    def full(self) -> str:
        """Every permit that the log took has its end in it; then no other one begins."""
        fill(self.state)
        refusal, more = "", -1
        while not refusal and more < _ROOM_LEFT:
            _, end, _ = entries(self.log.size)
            self.log.append(end, durable=True)
            refusal, more = _refusal(self.permit), more + 1
        expect(refusal != "", f"no permit on a full disk, got {more}")
        expect(_refusal(self.permit) != "", "no permit at the next try")
        return f"{more} more permits fit, each with its end; the next one: {refusal}"

    def verifies(self) -> str:
        found = len(roots(self.place, self.key.verifier))
        expect(found == self.log.size, f"{self.log.size} entries, found {found}")
        return f"{found} entries"

    def room_again(self) -> str:
        (self.state / "filler").unlink()
        expect(self.log.recover(), "a log that is ready again")
        before = self.log.size
        self.permit()
        self.log.close()
        expect(self.log.size > before, "a permit in the log")
        return f"a permit again; {self.verifies()} verify after the end"


def _refusal(work: Callable[[], None]) -> str:
    try:
        work()
    except AuditError as err:
        expect("\n" not in str(err), "one line")
        return str(err)
    return ""


def read_only(state: Path, clip: Path) -> Checks:
    checks = Checks()
    checks.check("nothing else can be written", lambda: seal("/srv/framegate", "/root"))
    checks.check("doctor", lambda: doctor(state))
    checks.check("short run and its log", lambda: short_run(clip, state))
    no_place = Path("/opt/framegate/run")
    checks.check("elsewhere", lambda: refused_run(clip, no_place, "Read-only file system"))
    return checks


def full_disk(state: Path) -> Checks:
    checks, disk = Checks(), Full(state)
    checks.check("with room", disk.with_room)
    checks.check("full", disk.full)
    checks.check("verifies while full", disk.verifies)
    checks.check("room again", disk.room_again)
    return checks


def main() -> int:
    parser = argparse.ArgumentParser(description="a root or a disk that cannot be written")
    parser.add_argument("part", choices=("read-only", "full"))
    parser.add_argument("state", type=Path)
    parser.add_argument("clip", type=Path, nargs="?", default=Path("clip.avi"))
    args = parser.parse_args()
    if args.part == "full":
        return full_disk(args.state).end()
    return read_only(args.state, args.clip).end()


if __name__ == "__main__":
    sys.exit(main())
