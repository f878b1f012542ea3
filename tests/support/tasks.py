"""Tasks for the engines of an archive, in a module that workers import quickly."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def killed_once(place: str) -> str:
    """Kills its own worker at the first call, which makes a file of that name."""
    mark = Path(place)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return mark.name


def killed_always(number: int) -> str:
    """Kills its own worker if the number is 1."""
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"
