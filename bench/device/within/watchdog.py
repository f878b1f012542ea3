"""A hardware watchdog restarts a device whose process hangs, and nothing is permitted after it.

    python -m bench.device.within.watchdog KEY STATE

The first start: a process writes the audit log and tells the watchdog that it lives, for longer
than the watchdog waits; then it stops itself in the middle of a permit. The second start finds
the log as it was durable and ends in order. STATE is on a disk that stays.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.device.within.checks import Checks, expect
from bench.device.within.power import SEGMENT_ENTRIES, entries, roots
from bench.device.within.vivid import load_modules
from edge.audit.log import AuditLog
from edge.audit.note import Signer

PREFIX = "device: watchdog"
_NODE = "/dev/watchdog0"
WAITS_S = 10  # of the watchdog
_LIVES_S = 3 * WAITS_S  # that long the process tells it that it lives
_HUNG_S = 20 * WAITS_S  # no device runs on so long with a process that hangs
_GET_TIMEOUT = 0x8004_5707  # WDIOC_GETTIMEOUT
_LIVING, _HUNG = "living", "hung"


def say(line: str) -> None:
    print(f"{PREFIX} {line}", flush=True)


def live(key: Signer, state: Path) -> None:
    """Write permits with their ends and tell the watchdog so; then hang with a permit open."""
    log = AuditLog.create_or_open(state / "log", key, segment_entries=SEGMENT_ENTRIES)
    node = os.open(_NODE, os.O_WRONLY | os.O_CLOEXEC)
    end_s = time.monotonic() + _LIVES_S
    while time.monotonic() < end_s:
        permit, end, _ = entries(log.size)
        log.append(permit, durable=True)
        log.append(end, durable=True)
        os.write(node, b"\0")
        time.sleep(1)
    permit, _, _ = entries(log.size)
    log.append(permit, durable=True)
    _note(state / _HUNG, f"{log.size} {log.root.hex()}")
    os.kill(os.getpid(), signal.SIGSTOP)


def hang(key: Path, state: Path) -> str:
    """Have a process of its own live and hang; this returns only if no reset comes."""
    load_modules("i6300esb", f"heartbeat={WAITS_S}")
    node = os.open(_NODE, os.O_WRONLY | os.O_CLOEXEC)
    words = bytearray(4)
    fcntl.ioctl(node, _GET_TIMEOUT, words)
    os.write(node, b"V")  # given back: the process opens it
    os.close(node)
    waits_s = int.from_bytes(words, sys.byteorder)
    expect(waits_s == WAITS_S, f"a watchdog that waits {WAITS_S} s, got {waits_s}")
    _note(state / _LIVING, Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    say(f"armed, {waits_s} s")
    words_of = [sys.executable, "-m", "bench.device.within.watchdog", str(key), str(state), "live"]
    process = subprocess.Popen(words_of)
    end_s = time.monotonic() + _LIVES_S + _HUNG_S
    while time.monotonic() < end_s:
        expect(process.poll() is None, f"a process that hangs, it ended with {process.poll()}")
        if (state / _HUNG).exists():
            say("the process hangs")
            time.sleep(_HUNG_S)
        time.sleep(0.5)
    expect(False, f"a reset within {_HUNG_S} s")
    return ""


def lived(state: Path) -> str:
    """The twin: while the process told the watchdog that it lives, no reset came."""
    expect((state / _HUNG).exists(), f"no reset in the {_LIVES_S} s before the process hung")
    before = (state / _LIVING).read_text()
    now = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    expect(now != before, "another boot")
    return f"{_LIVES_S} s alive with a watchdog of {WAITS_S} s; then a reset"


def blocked(key: Signer, state: Path) -> str:
    """All that was durable is there; the permit that was open is ended by the log itself."""
    size, root = (state / _HUNG).read_text().split()
    held = roots(state / "log", key.verifier)
    expect(held[int(size) - 1] == root, f"{size} entries with root {root[:16]}")
    log = AuditLog.create_or_open(
        state / "log", key, floor=int(size), segment_entries=SEGMENT_ENTRIES
    )
    expect(log.unclean, "a log that knows of the unclean stop")
    log.append(entries(log.size)[0], durable=True)
    log.close()
    after = len(roots(state / "log", key.verifier))
    return f"{size} durable entries found, the stop is noted as unclean, {after} verify"


def _note(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.sync()


def main() -> int:
    place, state = Path(sys.argv[1]), Path(sys.argv[2])
    key, checks = Signer.parse(place.read_text()), Checks()
    if sys.argv[3:] == ["live"]:
        live(key, state)
    elif not (state / _LIVING).exists():
        checks.check("reset", lambda: hang(place, state))
    else:
        checks.check("alive, then a reset", lambda: lived(state))
        checks.check("nothing is permitted", lambda: blocked(key, state))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
