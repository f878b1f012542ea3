"""The files of an installation: what is placed, what is shipped, and templates of units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.errors import UsageError, failing
from edge.files import packaged, read_named

STATE = "var/lib/framegate"
UNITS = "etc/systemd/system"
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Placed:
    """A file or, without data, a folder; `owned`: by the service's user."""

    path: str  # below the root
    data: bytes | None
    mode: int
    owned: bool
    group: str = ""  # where it is not the service's own


def template(name: str, *changes: tuple[str, str]) -> str:
    """A shipped unit with these changes, each of which must find its place."""
    text = shipped(name)
    for old, new in changes:
        if old not in text:
            raise UsageError(f"the shipped unit has no line {old.strip()!r}")
        text = text.replace(old, new)
    return text


def shipped(name: str) -> str:
    """A file of `deploy`."""
    return packaged("edge.daemon").joinpath("deploy").joinpath(name).read_text()


def read(path: Path) -> bytes:
    """A file of a site.

    Raises:
        UsageError: it cannot be read.
    """
    with failing(f"{path}: cannot be read"):
        return read_named(path, _MOST_BYTES)
