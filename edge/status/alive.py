"""Are the daemon that wrote a state, and its camera, alive? The kernel's answer, and the state's.

The status process holds a lock beside its file for as long as it lives, and it
ends with the daemon, however that ends. A file without its lock is of the past.
A daemon that was stopped holds its lock and says nothing: its state grows old.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

PERIOD_S = 0.5  # a daemon tells its state this often
FRESH_S = 2 * PERIOD_S  # what is older does not say that frames pass
STALE_S = 3.0  # and what is older than this is no state; allows for a busy machine
SILENT_S = 1.0  # a camera without a frame for this long is said to be silent


def _lock_of(file: Path) -> Path:
    return file.with_name(file.name + ".lock")


def hold(file: Path) -> None:
    """Say that this process keeps `file`, until it ends."""
    with contextlib.suppress(OSError):  # the file's age still says something
        fd = os.open(_lock_of(file), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def abandoned(file: Path) -> bool:
    """Whether no process keeps `file` any more; False if there is no lock."""
    try:
        fd = os.open(_lock_of(file), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def as_of(snapshot: dict[str, Any], age_s: float) -> dict[str, Any]:
    """A snapshot as it may be shown `age_s` seconds after it was made."""
    known = snapshot
    if age_s > FRESH_S:
        also = [{**other, "permitted": False} for other in snapshot.get("also", [])]
        known = {**snapshot, "permitted": False, "also": also}
    return {**known, "age_s": round(age_s, 3)}


def headline(snapshot: dict[str, Any]) -> str:
    """To whom frames pass, in a few words: to all matchers on the camera, to some, or to none."""
    passing = [snapshot["permitted"], *(o["permitted"] for o in snapshot.get("also", []))]
    if all(passing):
        return "frames pass"
    if not any(passing):
        return "everything is blocked"
    return "frames pass to the first matcher" if passing[0] else "the first matcher is blocked"


def unproven_board(facts: dict[str, Any]) -> str:
    """The board whose sensors prove nothing, in a few words; empty if none is, or all is proven."""
    if facts.get("board_kind") != "virtual":
        return ""
    at = facts.get("board_at", "virtual")
    return "virtual board" if at == "virtual" else f"possibly simulated board at {at}"


def camera_silence(snapshot: dict[str, Any]) -> str:
    """Since when a running guard has had no frame, as a sentence; empty while frames come."""
    silent_s = snapshot.get("camera_silent_s")
    if snapshot["phase"] != "running" or silent_s is None or silent_s < SILENT_S:
        return ""
    since = datetime.fromtimestamp(snapshot["at_s"] - silent_s, timezone.utc)
    return f"No frame has come from the camera for {silent_s:.0f} s, since {since:%H:%M:%S} UTC."
