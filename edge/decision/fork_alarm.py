"""The courier's alarm: a file that exists while a witness has seen another history of the log.

It counts only if the signed record names it. The file can only block, so whoever may
write it can end a session but not begin one. The guard looks for it once a second. If
it cannot read the folder, it blocks, too.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge.clock import S
from edge.reasons import Reason


class ForkAlarm:
    """Whether one file is there."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._asked_ns: int | None = None
        self._found: tuple[Reason, ...] = ()

    def reasons(self, now_ns: int) -> tuple[Reason, ...]:
        """What blocks, by a look that is at most a second old."""
        if self._path is None:
            return ()
        if self._asked_ns is None or not 0 <= now_ns - self._asked_ns < S:
            self._asked_ns = now_ns
            self._found = (Reason.LOG_FORKED,) if _raised(self._path) else ()
        return self._found


def _raised(path: Path) -> bool:
    try:
        return path.name in os.listdir(path.parent)  # a link that leads nowhere is there too
    except OSError:
        return True
