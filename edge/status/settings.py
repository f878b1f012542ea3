"""The settings of the status process, sent when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """What to show; the descriptors it inherits."""

    file: Path  # where the newest snapshot is written
    tiles: Path  # of the audit log
    parent_fd: int
    listen_fd: int | None  # None: only the file is written
