"""What a fleet is handed out: its place in the repository, for whom it is, and its line in the log.

A release is `KIND/NAME/SERIAL`. The newest serial that is for a device counts there. A staged
roll-out gives it to a share of the devices, picked by a hash of the device and the release: a
larger share holds everybody of the smaller one. Audiences only choose. They protect nothing:
whatever arrives is judged by its own signatures. Pure.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

import rfc8785

from edge.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_SHA256 = re.compile("[0-9a-f]{64}")
_MOST_SERIAL = 1_000_000_000
_FIELDS = {"devices", "groups", "share", "entry"}


class Kind(Enum):
    """What is handed out; each kind has a delegated role, with a key of its own."""

    POLICY = "policy"  # a signed bundle
    MODEL = "model"
    RECORD = "record"  # a record or session, or its .sig
    GUARD = "guard"  # a build of framegate; who installs it is another matter

    @property
    def most_bytes(self) -> int:
        """How large one may be."""
        return _MOST_BYTES[self]


_MOST_BYTES = {
    Kind.POLICY: 256 * 1024,
    Kind.MODEL: 1 << 30,
    Kind.RECORD: 16 * 1024 * 1024,
    Kind.GUARD: 1 << 30,
}


@dataclass(frozen=True, slots=True)
class Release:
    """One file under one number."""

    kind: Kind
    name: str
    serial: int  # rises with each new file of this name

    @property
    def path(self) -> str:
        return f"{self.kind.value}/{self.name}/{self.serial}"

    @property
    def place(self) -> str:
        """Where it lies on a device."""
        return f"{self.kind.value}/{self.name}"

    @classmethod
    def parse(cls, path: str) -> Release | None:
        """The release of a path in the repository; None if it is none."""
        kind, _, rest = path.partition("/")
        name, _, serial = rest.partition("/")
        if kind not in {one.value for one in Kind} or not _NAME.fullmatch(name):
            return None
        if not serial.isascii() or not serial.isdecimal() or not 0 < len(serial) < 10:
            return None
        found = cls(Kind(kind), name, int(serial))
        return found if found.path == path and found.serial > 0 else None


@dataclass(frozen=True, slots=True)
class Audience:
    """For whom a release is; without devices and groups for everybody."""

    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    share: int = 100  # per cent

    def holds(self, device: str, groups: Collection[str], path: str) -> bool:
        """Whether `device`, which is in `groups`, is to have the release at `path`."""
        named = device in self.devices or any(group in groups for group in self.groups)
        if (self.devices or self.groups) and not named:
            return False
        return bucket(device, path) < self.share * 100


def bucket(device: str, path: str) -> int:
    """A number from 0 to 9999, the same for ever, spread evenly over devices."""
    digest = hashlib.sha256(f"{path}\n{device}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * 10_000 >> 64


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the repository says of a release beside its digest."""

    audience: Audience
    entry: int  # its number in the release log

    def data(self) -> dict[str, object]:
        audience = self.audience
        return {
            "devices": list(audience.devices),
            "groups": list(audience.groups),
            "share": audience.share,
            "entry": self.entry,
        }

    @classmethod
    def parse(cls, found: object) -> Ticket | None:
        """The ticket in a JSON value; None if it is none."""
        if not isinstance(found, dict) or set(found) != _FIELDS:
            return None
        share, entry = found["share"], found["entry"]
        if type(share) is not int or not 0 <= share <= 100:
            return None
        if type(entry) is not int or not 0 <= entry < _MOST_SERIAL:
            return None
        lists = (found["devices"], found["groups"])
        if not all(isinstance(names, list) and all(map(_named, names)) for names in lists):
            return None
        return cls(Audience(tuple(lists[0]), tuple(lists[1]), share), entry)


def _named(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def checked_name(name: str, what: str) -> str:
    """The name, if it can be one.

    Raises:
        UsageError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{what}: expected 1 to 80 letters, digits, dots, - and _, got {name[:80]!r}"
        )
    return name


def newest(
    tickets: Mapping[Release, Ticket], device: str, groups: Collection[str], have: Mapping[str, int]
) -> tuple[Release, ...]:
    """The releases that a device is to take now, by place.

    Args:
        have: the serials that it has, by place. It takes newer ones alone.
    """
    chosen: dict[str, Release] = {}
    for release in sorted(tickets, key=lambda one: (one.place, one.serial)):
        wanted = tickets[release].audience.holds(device, groups, release.path)
        if wanted and release.serial > have.get(release.place, 0):
            chosen[release.place] = release
    return tuple(chosen[place] for place in sorted(chosen))


def log_entry(release: Release, sha256: str, length: int) -> bytes:
    """The line of the release log for a file: canonical JSON."""
    if not _SHA256.fullmatch(sha256):
        raise UsageError(f"expected a SHA-256 digest, got {sha256[:80]!r}")
    return rfc8785.dumps(
        {
            "kind": release.kind.value,
            "name": release.name,
            "serial": release.serial,
            "bytes": length,
            "sha256": sha256,
        }
    )


def logged(entry: bytes) -> Release | None:
    """The release of a line of the release log; None if it is none."""
    try:
        found = json.loads(entry)
        return Release.parse(f"{found['kind']}/{found['name']}/{found['serial']}")
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
