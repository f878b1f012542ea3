"""Tasks for the engines of an archive, in a module that workers import quickly."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.archive.tasks import Done, Failed, Judge


def killed_once(places: Sequence[str]) -> list[str]:
    """Kills its own worker at the first call with a name, which makes a file of that name."""
    for mark in map(Path, places):
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return [Path(place).name for place in places]


def killed_always(numbers: Sequence[int]) -> list[str]:
    """Kills its own worker if one of the numbers is 1."""
    if 1 in numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    return ["done" for _ in numbers]


def works_after_a_kill(tasks: Sequence[Judge]) -> list[Done | Failed]:
    """Does archive tasks; the first call with a store kills its own worker."""
    from edge.archive.tasks import work

    killed_once([f"{tasks[0].store}.killed"])
    return work(tasks)


def works_behind_a_gate(tasks: Sequence[Judge]) -> list[Done | Failed]:
    """Does archive tasks; all but the first call with a store wait for a file STORE.gate."""
    from edge.archive.tasks import work

    store = tasks[0].store
    try:
        os.close(os.open(f"{store}.first", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        Path(f"{store}.waits").touch()
        while not Path(f"{store}.gate").exists():
            time.sleep(0.02)
    return work(tasks)
