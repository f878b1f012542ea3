"""Programs in a sandbox of chosen layers, and the attacks they try."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from edge.sandbox import spec as sandbox
from edge.sandbox.spec import Confinement, Layer
from edge.wire import to_json

PRELUDE = """
import ctypes, errno, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def tried(work):
    ctypes.set_errno(0)
    try:
        found = work()
    except OSError as err:
        return errno.errorcode[err.errno]
    if isinstance(found, int) and found < 0:
        return errno.errorcode[ctypes.get_errno()]
    return "done"
def call(number, *arguments):
    return libc.syscall(number, *arguments)
def tell(said):
    print(json.dumps(said))
"""


def in_sandbox(
    code: str,
    layers: Iterable[Layer],
    *arguments: str,
    reads: tuple[Path, ...] = (),
    writes: tuple[Path, ...] = (),
    fds: tuple[int, ...] = (),
    fd: int = -1,
    uid: int = sandbox.NOBODY,
) -> subprocess.CompletedProcess[str]:
    """Run Python `code` behind exactly these layers."""
    without = frozenset(Layer) - frozenset(layers)
    confinement = Confinement(uid, without, reads, writes)
    command = (sys.executable, "-I", "-c", PRELUDE + code, *arguments)
    order = sandbox.order(command, confinement, fd)
    return subprocess.run(
        [sys.executable, "-m", "edge.sandbox.launcher", to_json(order)],
        env=sandbox.environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        pass_fds=(*fds, *((fd,) if fd >= 0 else ())),
    )


def report_of(run: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The program's report on its attempts."""
    assert run.returncode == 0, run.stderr
    found: dict[str, str] = json.loads(run.stdout)
    return found


def root() -> bool:
    return os.geteuid() == 0


def let_others_in(folder: Path) -> None:
    """Let other users enter `folder`, for pytest keeps its folders closed.

    All of the way is opened, but for the system's folder for temporary files and what is above.
    """
    top = Path(tempfile.gettempdir())
    for place in (folder, *folder.parents):
        if top in place.parents:
            place.chmod(0o755)
