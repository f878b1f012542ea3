"""The shipped unit under a real systemd: start, socket, crash, hang, upgrade.

    python -m bench.device.within.service SITE

Runs as root under systemd as PID 1. It installs the site with `framegate service install`, as
a person does, with every limit as shipped. The source is a recording and the board a virtual
one. What must hold is that the guard decides, and that frames flow.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.device.within.checks import Checks, expect, until
from edge.commissioning.keys import KeyStore
from edge.errors import GuardError

NAME = "till"
UNIT = f"framegate@{NAME}.service"
SOCKET = f"framegate-status@{NAME}.socket"
PAGE = "http://127.0.0.1:8321/"
STATE = Path("/var/lib/framegate") / NAME
STATUS = Path("/run/framegate") / NAME / "status.json"
FRAMEGATE = "/opt/framegate/bin/framegate"
_START_S = 400.0
_FLOW_S = 30.0  # of a clip of 90
_CONFIG = """\
source = "/var/lib/clip/room.avi"
device = "D.toml"
session = "S.toml"
keys = "keys"
board = "virtual"
[matcher]
command = ["/opt/framegate/bin/python3", "-m", "framegate_client.counter", "/dev/null"]
read = ["/srv/framegate/client"]
[status]
listen = "127.0.0.1:8321"
"""


def prepare(folder: Path) -> None:
    """Sign the site here and put the clip where the service sees it."""
    clip = Path("/var/lib/clip/room.avi")
    clip.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "room.avi", clip)
    clip.chmod(0o644)
    guards: Any = import_module("tests.support.guards")
    guards.Site(folder, KeyStore.open(folder / "keys"), clip).sign()
    (folder / "guard.toml").write_text(_CONFIG)


def tool(*command: str) -> str:
    """Run a tool; its output.

    Raises:
        GuardError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise GuardError(f"{' '.join(command[:3])}: exit code {done.returncode}: {last}")
    return done.stdout


def shown(what: str) -> str:
    """A property of the unit."""
    return tool("systemctl", "show", "--property", what, "--value", UNIT).strip()


def status() -> dict[str, Any]:
    """What the guard says of itself; nothing while it does not."""
    try:
        found: dict[str, Any] = json.loads(STATUS.read_text())
    except (OSError, ValueError):
        return {}
    return found


def decides() -> bool:
    """Whether the unit is active and the guard in it decides."""
    return shown("ActiveState") == "active" and status().get("phase") == "running"


def wait_running() -> str:
    took_s = until(decides, f"a guard that decides, got {status().get('phase')}", _START_S)
    reasons = ", ".join(reason["code"] for reason in status().get("reasons", ())[:3])
    return f"the guard decides after {took_s:.0f} s: {reasons or 'frames flow'}"


def main_pid() -> int:
    return int(shown("MainPID") or 0)


def install(folder: Path) -> str:
    arguments = ("--site", str(folder), "--own-user", "--program", FRAMEGATE)
    tool(FRAMEGATE, "service", "install", NAME, *arguments)
    return wait_running()


def frames_flow() -> str:
    took_s = until(
        lambda: status().get("permitted"), f"frames to flow, got {status().get('reasons')}", _FLOW_S
    )
    return f"to the matcher after {took_s:.0f} s more"


def user_and_rights() -> str:
    words = Path(f"/proc/{main_pid()}/status").read_text().splitlines()
    found = dict(line.split(":\t", 1) for line in words if ":\t" in line)
    expect(found["NoNewPrivs"] == "1", "no new privileges")
    expect("990" in found["Uid"].split(), f"the service's user, got {found['Uid']}")
    return f"user {found['Uid'].split()[0]}, effective capabilities {found['CapEff']}"


def socket_answers() -> str:
    with urllib.request.urlopen(PAGE, timeout=30) as answer:
        body = answer.read()
    expect(answer.status == 200 and len(body) > 500, "the status page")
    return f"the page has {len(body)} bytes"


def socket_starts() -> str:
    tool("systemctl", "stop", UNIT)
    expect(shown("ActiveState") == "inactive", "the unit to be stopped")
    expect(not status().get("permitted"), "no permit after a stop")
    expect(tool("systemctl", "is-active", SOCKET).strip() == "active", "the socket to listen")
    with urllib.request.urlopen(PAGE, timeout=_START_S):
        pass
    return wait_running()


def crash() -> str:
    first = main_pid()
    os.kill(first, signal.SIGKILL)
    until(lambda: main_pid() not in (0, first), "a new process", 60)
    expect(int(shown("NRestarts")) >= 1, "a restart to be counted")
    return f"process {first} killed; {wait_running()}"


def hang() -> str:
    first, before = main_pid(), int(shown("NRestarts"))
    os.kill(first, signal.SIGSTOP)
    took_s = until(lambda: main_pid() not in (0, first), "the watchdog to end it", 120)
    expect(int(shown("NRestarts")) > before, "a restart to be counted")
    journal = tool("journalctl", "--no-pager", "--unit", UNIT)
    expect("watchdog" in journal.lower(), "the watchdog named in the journal")
    return f"hung process replaced after {took_s:.1f} s; {wait_running()}"


def upgrade() -> str:
    first = main_pid()
    tool(FRAMEGATE, "service", "upgrade", "--program", FRAMEGATE)
    expect(main_pid() != first, "another process after an upgrade")
    return wait_running()


def log_verifies() -> str:
    tool("systemctl", "stop", UNIT)
    key = f"/etc/framegate/{NAME}/keys/log.pub"
    printed = tool(FRAMEGATE, "audit", "verify", str(STATE / "audit"), "--key", key)
    return printed.strip().splitlines()[0]


def main() -> int:
    folder = Path(sys.argv[1])
    prepare(folder)
    checks = Checks()
    if checks.check("systemctl start", lambda: install(folder)):
        checks.check("frames flow", frames_flow)
        checks.check("user and rights", user_and_rights)
        checks.check("socket", socket_answers)
        checks.check("socket starts the guard", socket_starts)
        checks.check("crash", crash)
        checks.check("watchdog", hang)
        checks.check("upgrade", upgrade)
        checks.check("log verifies", log_verifies)
    words = ("journalctl", "--no-pager", "--lines", "80", "--unit", UNIT)
    print(subprocess.run(words, capture_output=True, text=True, check=False).stdout)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
