"""Everything that would stop a start, in one list: the check of the start, and what it runs on.

A missing camera or board does not stop a start: the daemon waits for it, blocked.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from edge import isolation
from edge.cameras.gstreamer import LAUNCH
from edge.cameras.source import SourceKind, parse_source
from edge.guard.plan import Plan, examine


def obstacles(plan: Plan, say: Callable[[str], None] = lambda line: None) -> list[str]:
    """One line for each thing that this user must mend before a guard of `plan` can start.

    Args:
        say: gets the warnings that do not stop a start.
    """
    _, errors = examine(plan, say)
    found = [*(str(err) for err in errors), *_source(plan.source), *_folder("audit", plan.audit)]
    for other in plan.others:
        found += _folder(f"matcher {other.name}: audit", other.audit)
    return list(dict.fromkeys(found))


def _source(text: str) -> list[str]:
    source = parse_source(text)
    if source.kind is SourceKind.FILE:
        try:
            os.close(os.open(source.target, os.O_RDONLY | os.O_NONBLOCK))
        except OSError as err:
            return [f"source {source.target}: cannot be read: {err.strerror}"]
    path = isolation.search_path(os.environ)
    if source.kind is SourceKind.PIPELINE and shutil.which(LAUNCH, path=path) is None:
        return [f"source gst: expected the program {LAUNCH}, found none of that name"]
    if source.kind is SourceKind.PICAMERA2 and importlib.util.find_spec("picamera2") is None:
        return ["source picamera2: expected the Python package picamera2, found none"]
    return []


def _folder(what: str, folder: Path) -> list[str]:
    """What keeps this user from making files in `folder`, which may not be there yet."""
    there = folder.absolute()
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not os.path.isdir(there):
        return [f"{what} {folder}: expected a folder, {there} is none"]
    if not os.access(there, os.W_OK | os.X_OK):
        return [f"{what} {folder}: this user may not write in {there}"]
    return []
