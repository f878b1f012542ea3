"""What `--sink` adds to a plan: a sandboxed writer as the matcher, in masked lanes only."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from edge import isolation
from edge.commissioning.records import Session
from edge.errors import UsageError
from edge.files import named_by_user
from edge.guard.plan import Plan
from edge.sandbox import spec as sandbox


def with_sink(plan: Plan, kind: str, session: Session, folder: Path) -> Plan:
    """The plan with a writer of this kind, which may write in `folder` and nowhere else.

    Raises:
        UsageError: the session's lane releases frames in which people can be recognised, the
            plan has a matcher already, or the folder cannot be made.
    """
    if not session.operation.masked:
        raise UsageError(
            f'--sink shows frames to people: expected operation = "view_masked" in {plan.session}, '
            f"got {session.operation.value}"
        )
    if plan.matcher:
        raise UsageError("--sink takes the matcher's place: expected no --matcher")
    with named_by_user("write", folder):
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(folder, sandbox.NOBODY, sandbox.NOBODY)  # in its sandbox it is this user
    command = tuple(isolation.python("edge.sink.writer", kind, str(folder)))
    return replace(plan, matcher=command, confinement=sandbox.Confinement(writes=(folder,)))
