"""Which paths a matcher may be given: checked before it starts, one clear line for each fault.

A sandbox whose lists name `/` or the guard's own folders is none. Paths are judged
where they lead, after links; they may lie in each other's folders.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_NEVER_READ = tuple(map(Path, ("/proc", "/sys", "/dev", "/run", "/boot")))
_NEVER_WRITTEN = (*_NEVER_READ, *map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")))
_HELD_UP = Path("/dev/shm")  # memory for files, the one part of /dev that holds no device


def faults(
    reads: Iterable[Path], writes: Iterable[Path], secret: Iterable[Path], signed: Iterable[Path]
) -> list[str]:
    """What is wrong with the paths that a matcher is to read and write; empty if nothing is.

    Args:
        secret: the guard's folders that no matcher may read or change (keys, log, consent).
        signed: its files and folders that no matcher may change (records, policy).
    """
    hidden = [path.resolve() for path in secret]
    kept = [*hidden, *(path.resolve() for path in signed)]
    found = []
    for path in reads:
        found += _fault("read", path, hidden, _NEVER_READ)
    for path in writes:
        found += _fault("write", path, kept, _NEVER_WRITTEN)
    return found


def _fault(what: str, path: Path, own: list[Path], never: tuple[Path, ...]) -> list[str]:
    where = path.resolve()
    wanted = f"matcher {what} {str(path)!r}"
    if where == Path("/"):
        return [f"{wanted}: expected a file or folder of the matcher's, got the whole disk"]
    for folder in never:
        if where.is_relative_to(folder) and not where.is_relative_to(_HELD_UP):
            return [f"{wanted}: expected a file or folder of the matcher's, got one of {folder}"]
    try:
        where.stat()
    except (FileNotFoundError, NotADirectoryError):
        return [f"{wanted}: expected a file or folder that exists, found none"]
    except OSError as err:
        return [f"{wanted}: cannot be looked at: {err.strerror}"]
    if what == "write" and not where.is_dir():
        return [f"{wanted}: expected a folder, got a file"]
    for guarded in own:
        if guarded.is_relative_to(where) or (guarded.is_dir() and where.is_relative_to(guarded)):
            return [f"{wanted}: expected a place apart from the guard's own, it meets {guarded}"]
    return []
