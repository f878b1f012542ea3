"""`--user NAME`: a check is worth what the user who will start the guard may read."""

from __future__ import annotations

import os
import pwd
import sys

from edge import isolation
from edge.commands._options import Options
from edge.errors import UsageError, failing, meaning


def add_user(parser: Options) -> None:
    """Add `--user`."""
    parser.text("--user NAME", "check as this user, the service's; only root can")


def become(name: str | None) -> None:
    """Start this command anew as the user `name`; nothing is done for None or for oneself.

    Anew, for that user must be able to run the program, too.

    Raises:
        UsageError: no such user, this one may not become another, or that one may not run this.
    """
    if name is None:
        return
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(f"--user: expected a user of this machine, got {name!r}") from None
    if user.pw_uid == os.geteuid():
        return
    with meaning(f"--user {name}: only root can check as another user (sudo)", PermissionError):
        os.initgroups(name, user.pw_gid)
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    names = {**os.environ, "HOME": user.pw_dir, "USER": name, "LOGNAME": name}
    command = isolation.python("edge.cli", *sys.argv[1:])
    with failing(f"--user {name}: that user may not run {command[0]}"):
        os.execve(command[0], command, isolation.cleaned(names))


def current() -> str:
    """The name of the user who checks, or the number if there is no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
