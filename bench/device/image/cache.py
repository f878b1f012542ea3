"""A cache of build results: each is complete under its name, or absent.

A step writes to a temporary name, which is renamed when the step is complete. The name
contains a digest of all inputs, so a changed recipe causes a new build, and an interrupted
build is never used. A lock allows one build at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.errors import UsageError

Say = Callable[[str], None]
_PART = ".part-"


def step_name(name: str, inputs: object) -> str:
    """`name` and twelve hex digits of all that the step's result depends on."""
    text = json.dumps(inputs, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class Cache:
    """A folder of finished steps."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder
        self.say = say

    def has(self, name: str, inputs: object) -> bool:
        """Whether this step is done."""
        return (self.folder / step_name(name, inputs)).exists()

    def step(self, name: str, inputs: object, make: Callable[[Path], None]) -> Path:
        """The finished step; `make` is given the path to make, a file or a folder.

        Results of older recipes under the same name are removed then, because nothing uses
        them any more.
        """
        done = self.folder / step_name(name, inputs)
        if done.exists():
            return done
        part = self.folder / f"{_PART}{done.name}"
        _remove(part)
        self.say(f"{name}: building")
        started = time.monotonic()
        try:
            with writing(f"{name} in {self.folder}"):
                make(part)
                os.sync()  # on the disk before it has its name: also after a power cut it is whole
                os.rename(part, done)
            for old in self.folder.iterdir():
                if old != done and re.fullmatch(re.escape(name) + "-[0-9a-f]{12}", old.name):
                    _remove(old)
        finally:
            _remove(part)
        self.say(f"{name}: done in {time.monotonic() - started:.0f} s")
        return done

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait for a running build, then remove what an interrupted build left.

        Raises:
            UsageError: the folder cannot be made or written.
        """
        with writing(str(self.folder)):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say("waiting for another build to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self.folder.glob(f"{_PART}*"):
                _remove(left)
            yield


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """What goes wrong with a file or a disk within is one line: `cannot write WHAT: why`."""
    try:
        yield
    except OSError as err:
        raise UsageError(f"cannot write {what}: {err.strerror or err}") from err


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
