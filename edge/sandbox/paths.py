"""Which paths a matcher may be given: checked before it starts, one clear line for each fault.

A sandbox whose lists name `/` or the guard's own folders is none. Paths are judged
where they lead, after links; they may lie in each other's folders.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.sandbox.spec import Confinement, Layer, interpreter_reads, named

_NEVER_READ = tuple(map(Path, ("/proc", "/sys", "/dev", "/run", "/boot")))
_NEVER_WRITTEN = (*_NEVER_READ, *map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")))
_FAILED = re.compile("Permission denied|No such file|ermission ?[Ee]rror|can't open|cannot open")
_NAMED = (re.compile('"([^"]{1,4096})"'), re.compile("'([^']{1,4096})'"))
_ACCESS_LIST = "system.posix_acl_access"
_HELD_UP = Path("/dev/shm")  # memory for files, the one part of /dev that holds no device


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """The guard's own files and folders; one that is not there counts as well."""

    secret: tuple[Path, ...]  # no matcher reads or changes them: keys, log, consent
    signed: tuple[Path, ...]  # no matcher changes them: records, policy


def path_faults(confinement: Confinement, own: OwnFiles) -> list[str]:
    """What the matcher is given although it cannot use it, or it would leave it no sandbox.

    Owner and mode are judged only where the matcher has a user of its own.
    """
    uid = confinement.uid if Layer.OWN_UID in confinement.layers else None
    hidden = [path.resolve() for path in own.secret]
    kept = [*hidden, *(path.resolve() for path in own.signed)]
    found = []
    for path in confinement.reads:
        found += _fault("read", path, hidden, _NEVER_READ) or _mode_fault("read", path, uid)
    for path in confinement.writes:
        found += _fault("write", path, kept, _NEVER_WRITTEN) or _mode_fault("write", path, uid)
    cwd = confinement.cwd
    if cwd is not None and not cwd.is_dir():
        found.append(f"matcher cwd {str(cwd)!r}: expected a folder that exists, found none")
    return found


def withheld(command: tuple[str, ...], confinement: Confinement) -> list[str]:
    """What the command names and the matcher may not read, each with the line that allows it."""
    cwd = os.path.abspath(confinement.cwd or os.getcwd())
    there = named(command, cwd)
    return [
        f"the matcher's command names {path}, which its sandbox does not let it read; {_cure(path)}"
        for path in there
        if os.path.isdir(path) and _not_given(path, confinement)
    ] + [
        f"the matcher's command names {path}, which user {confinement.uid} may not read; "
        f"to allow it, chmod o+r {path}"
        for path in there
        if os.path.isfile(path) and _closed(Path(path), confinement)
    ]


def refused(line: str, confinement: Confinement) -> str:
    """What to say of a line in which a matcher tells of a file it could not open.

    Returns:
        Where the file is there and the sandbox withholds it, the line that allows it; else "".
    """
    if not _FAILED.search(line):
        return ""
    cwd = os.path.abspath(confinement.cwd or os.getcwd())
    for name in [name for quoted in _NAMED for name in quoted.findall(line)]:
        path = os.path.normpath(os.path.join(cwd, name))
        with contextlib.suppress(OSError, ValueError):  # not there, or no name of a file at all
            os.stat(path)
            if _not_given(path, confinement):
                return f"{path} is there, and the sandbox withholds it; {_cure(path)}"
    return ""


def _closed(path: Path, confinement: Confinement) -> bool:
    """Whether owner and mode keep a file from the matcher; models of the record are copied."""
    copied = any(os.path.samefile(path, model) for model, _ in confinement.models if model.exists())
    if copied or Layer.OWN_UID not in confinement.layers or _within(path, confinement.hidden):
        return False
    return bool(_mode_fault("read", path, confinement.uid))


def _not_given(path: str, confinement: Confinement) -> bool:
    """Whether the matcher lacks `path`; what is the guard's own is not even spoken of."""
    given = [*confinement.reads, *confinement.writes, *map(Path, interpreter_reads())]
    return not _within(Path(path), [*given, *confinement.hidden])


def _cure(path: str) -> str:
    if _fault("read", Path(path), [], _NEVER_READ):
        return "no matcher gets it"
    return (
        f'to allow it, write read = ["{path}"] under [matcher] of guard.toml, or start with '
        f"--matcher-read {path}"
    )


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


def _mode_fault(what: str, path: Path, uid: int | None) -> list[str]:
    """Whether the matcher's user is kept from it by owner and mode; access lists are not judged."""
    if uid is None:
        return []
    found = path.stat()
    wanted = {"read": 0o4, "write": 0o2}[what] | (0o1 if stat.S_ISDIR(found.st_mode) else 0)
    shift = 6 if found.st_uid == uid else 3 if found.st_gid == uid else 0
    if found.st_mode >> shift & wanted == wanted or _ACCESS_LIST in os.listxattr(path):
        return []
    mend = f"chown {uid} {path}" if what == "write" else f"chmod -R o+rX {path}"
    return [
        f"matcher {what} {str(path)!r}: expected what user {uid} may {what}, it is user "
        f"{found.st_uid}'s with mode {stat.S_IMODE(found.st_mode):o} ({mend})"
    ]


def _within(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)
