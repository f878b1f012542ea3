"""A commissioned folder for the soak: keys, signed records, a board that can be reset, a daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from edge.commissioning.enrol_view import Request, enroll
from edge.commissioning.keys import KeyStore, Office, RecordKind
from edge.guard.processes import key_pipe
from edge.sandbox.spec import NOBODY, missing

_DEVICE = """\
camera = "fixed"
mount = "fixed_surveyed"
site = "till-2"
dock_id = "D-0017"
publicly_accessible = false
lanes = ["verify_1_1"]
dwell_s = 1
[operator]
user = "private_business"
by_or_for = "neither"
jurisdiction = "EU"
[view]
fingerprint = "till-2.view"
[identity]
bus = "{bus}"
[board]
virtual = true
[clock]
unproven = true
[capture]
max_lag_ms = 200
[matcher]
without = {without}
"""
_SESSION = """\
operation = "verify_1_1"
gallery = "self_only"
consent = "valid"
active_involvement = true
"""
NOTIFY = "notify"  # the name of the socket of a service manager
_DAEMON = """
import sys
from edge import ipc
ipc.die_with_parent()
from edge.cli import main
sys.exit(main())
"""


class Board:
    """A virtual board behind a constant name, like a by-id link."""

    def __init__(self, key: bytes, link: Path) -> None:
        self._key = key
        self.link = link
        self.dock_id = "D-0017"  # the dock number, from the next `power_on`
        self.process: subprocess.Popen[bytes]
        self.power_on()

    def power_on(self) -> None:
        key_fd = key_pipe(self._key)
        command = [sys.executable, "-m", "firmware_bridge.virtual.process", "--still"]
        command += ["--dock-id", self.dock_id]
        self.process = subprocess.Popen(
            [*command, "--key-fd", str(key_fd)], pass_fds=(key_fd,), stdout=subprocess.PIPE
        )
        os.close(key_fd)
        assert self.process.stdout is not None
        port = self.process.stdout.readline().decode().strip()
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(port)

    def power_off(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def commission(folder: Path, url: str, port: int, status: Path, matcher_mib: int = 0) -> KeyStore:
    """Enrol the camera's view, sign both records, write guard.toml.

    Args:
        port: of the status page.
        status: where the status file will be.
    """
    keys = KeyStore.init(folder / "keys")
    view = folder / "till-2.view"
    # the scene model calls the drawn room a public place: a second key holder overrides this
    second = KeyStore.init(folder / "second")
    keys.trust(Office.OVERRIDE, folder / "second" / "record.pub")
    enroll(Request((url,), view, 3.0, mask_people=False, enforce=True, override=second), keys)
    lacking = json.dumps([layer.value for layer in missing()])
    (folder / "device.toml").write_text(_DEVICE.format(bus=url, without=lacking))
    (folder / "session.toml").write_text(_SESSION)
    keys.sign_file(folder / "device.toml", RecordKind.DEVICE)
    keys.sign_file(folder / "session.toml", RecordKind.SESSION)
    room = folder / "matcher"
    room.mkdir()
    if os.getuid() == 0:
        os.chown(room, NOBODY, NOBODY)
    program = Path(__file__).with_name("matcher.py")
    (folder / "guard.toml").write_text(
        f'source = "{url}"\ndevice = "device.toml"\nsession = "session.toml"\nkeys = "keys"\n'
        f'board = "{folder / "board"}"\n[status]\nlisten = "127.0.0.1:{port}"\n'
        f'file = "{status}"\n'
        f'[matcher]\nwrite = ["matcher"]\n'
        f"command = {json.dumps([sys.executable, str(program), str(room), str(matcher_mib)])}\n"
    )
    return keys


def start_daemon(folder: Path) -> subprocess.Popen[bytes]:
    """`framegate daemon` of that folder; its temporary files stay within it.

    It ends when the process that started it ends, for any reason. It tells the socket
    `NOTIFY` of the folder that it is ready, if somebody listens there.
    """
    temporary = folder / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-c", _DAEMON, "daemon", "--config", f"{folder / 'guard.toml'}"]
    with (folder / "daemon.log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(temporary), "NOTIFY_SOCKET": str(folder / NOTIFY)},
        )
