"""Bundles: a pack, model digests and thresholds, signed as one thing.

A bundle is a DSSE envelope around one JSON payload, and is verified before its
payload is parsed. One envelope holds everything, so parts of two bundles cannot
be mixed. `Floors` is the newest policy and time this device has seen: kept in
the audit log and on the board, it outlives the disk the bundle lies on.
Pure: bytes, roots, floors and times in. Times are whole seconds of UTC since 1970.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import rfc8785

from edge.errors import PolicyError, wrong_in
from edge.policy.pack import Pack, read_pack
from edge.policy.signed import strict_json
from edge.policy.signed.trust import (
    BundleError,
    Root,
    malformed,
    open_envelope,
    seal,
    signers,
    too_few,
)
from edge.reasons import Reason

FORMAT = "framegate.policy.1"
_KEYS = {
    "format",
    "version",
    "issued",
    "expires",
    "minimum_guard",
    "root",
    "models",
    "thresholds",
    "files",
}
# what a bundle may set, and only within these limits; see docs/policy.md
THRESHOLDS: Mapping[str, tuple[float, float]] = {
    "min_view_score": (0.80, 1.0),  # share of agreeing signs
    "dwell_s": (1.0, 30.0),
    "evidence_max_age_ms": (50.0, 250.0),
}
_GUARD = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}")
_SHA256 = re.compile("[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9_.-]{1,80}")


@dataclass(frozen=True, slots=True)
class Bundle:
    """What the signers signed."""

    version: int
    issued_s: int
    expires_s: int
    minimum_guard: str  # oldest framegate that may use it
    root: Root  # whose signatures count from here on
    models: Mapping[str, str]  # file name to SHA-256, hexadecimal
    thresholds: Mapping[str, float]
    files: Mapping[str, bytes]  # of the pack

    @property
    def payload(self) -> bytes:
        """The bundle as canonical JSON: what is signed."""
        return rfc8785.dumps(
            {
                "format": FORMAT,
                "version": self.version,
                "issued": time_text(self.issued_s),
                "expires": time_text(self.expires_s),
                "minimum_guard": self.minimum_guard,
                "root": self.root.data(),
                "models": dict(self.models),
                "thresholds": dict(self.thresholds),
                "files": {name: text.decode() for name, text in self.files.items()},
            }
        )

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload: no two bundles of one version share it."""
        return hashlib.sha256(self.payload).digest()

    def pack(self) -> Pack:
        """The pack inside.

        Raises:
            BundleError: the files are not a pack.
        """
        with wrong_in("", PolicyError, as_=malformed):
            return read_pack(self.files)


@dataclass(frozen=True, slots=True)
class Floors:
    """The newest that this device has seen; nothing older counts again."""

    version: int = 0
    digest: bytes = b""  # of the bundle that set `version`
    root_version: int = 0
    time_s: int = 0  # a moment that is known to have passed


def seal_bundle(bundle: Bundle) -> bytes:
    """The bundle in an unsigned envelope."""
    return seal(bundle.payload)


def open_bundle(envelope: bytes, trusted: Root) -> Bundle:
    """The bundle in `envelope`: verified first, then parsed.

    Raises:
        BundleError: unsigned, signed by too few, malformed, or with a change of
            keys that the new keys did not sign or that skips a version.
    """
    bundle = parse_payload(open_envelope(envelope, trusted))
    if bundle.root == trusted:
        return bundle
    if bundle.root.version < trusted.version:
        raise _older(
            f"its root is version {bundle.root.version}, version {trusted.version} is trusted"
        )
    if bundle.root.version != trusted.version + 1:
        raise too_few(
            f"expected root version {trusted.version + 1}, or the trusted root unchanged, "
            f"got version {bundle.root.version}"
        )
    agreed, needed = len(signers(envelope, bundle.root)), bundle.root.threshold
    if agreed < needed:
        raise too_few(f"{agreed} of {needed} needed new keys signed the change of keys")
    return bundle


def admit(bundle: Bundle, floors: Floors, *, wall_s: int, guard: str) -> Floors:
    """The floors after this bundle, if it may come into force or stay in it.

    The wall clock can end the bundle and moves no floor: nobody has signed it.

    Raises:
        BundleError: older than the floors, expired by the latest time known, or
            meant for a newer guard.
    """
    if bundle.root.version < floors.root_version:
        raise _older(f"its root is version {bundle.root.version}, {floors.root_version} was seen")
    if bundle.version < floors.version:
        raise _older(f"it is version {bundle.version}, version {floors.version} was seen")
    if bundle.version == floors.version and floors.digest not in (b"", bundle.digest):
        raise _older(f"version {bundle.version} was seen before with other content")
    if _numbers(bundle.minimum_guard) > _numbers(guard):
        raise malformed(f"it needs framegate {bundle.minimum_guard} or newer, this is {guard}")
    if expired(bundle, floors, wall_s):
        known_s = max(wall_s, floors.time_s)
        raise BundleError(
            Reason.POLICY_EXPIRED,
            f"it expired at {time_text(bundle.expires_s)}, it is at least {time_text(known_s)}",
        )
    time_s = max(floors.time_s, bundle.issued_s)
    return Floors(bundle.version, bundle.digest, bundle.root.version, time_s)


def expired(bundle: Bundle, floors: Floors, wall_s: int) -> bool:
    """Whether the last second has passed, by the latest time known; asked every second."""
    return max(wall_s, floors.time_s) >= bundle.expires_s


def raised(floors: Floors, passed_s: int) -> Floors:
    """The floors once `passed_s` is known to have passed."""
    return replace(floors, time_s=max(floors.time_s, passed_s))


def mended(floors: Floors, not_yet_s: int | None, at_least_s: int) -> Floors:
    """The floors, where a signed record says of a time what it may be.

    Args:
        not_yet_s: a floor at or after this is wrong and counts no more; None for none.
        at_least_s: this has passed.
    """
    wrong = not_yet_s is not None and floors.time_s >= not_yet_s
    return replace(floors, time_s=max(0 if wrong else floors.time_s, at_least_s))


def time_text(time_s: int) -> str:
    """UTC as RFC 3339 with seconds."""
    moment = datetime.datetime.fromtimestamp(time_s, datetime.timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def read_time(text: object) -> int:
    """The inverse of `time_text`; ValueError if it is anything else."""
    if not isinstance(text, str):
        raise ValueError(f"expected a time like 2026-01-31T12:00:00Z, got {text!r:.40}")
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    return int(moment.replace(tzinfo=datetime.timezone.utc).timestamp())


def parse_payload(payload: bytes) -> Bundle:
    """The bundle in a payload whose signatures are already verified."""
    with wrong_in("the payload is not strict JSON", ValueError, as_=malformed):
        found = strict_json.load(payload, max_bytes=len(payload), max_depth=5)
    if not isinstance(found, dict) or set(found) != _KEYS:
        raise malformed(f"expected exactly the keys {', '.join(sorted(_KEYS))}")
    if found["format"] != FORMAT:
        raise malformed(f"expected format {FORMAT}")
    if type(found["version"]) is not int or found["version"] < 1:
        raise malformed(f"expected a version of 1 or more, got {found['version']!r:.40}")
    if not isinstance(found["minimum_guard"], str) or not _GUARD.fullmatch(found["minimum_guard"]):
        raise malformed(f"minimum_guard: expected a version, got {found['minimum_guard']!r:.40}")
    with wrong_in("issued or expires", ValueError, as_=malformed):
        issued_s, expires_s = read_time(found["issued"]), read_time(found["expires"])
    if not 0 <= issued_s < expires_s:
        raise malformed("it expires before it is issued")
    bundle = Bundle(
        found["version"],
        issued_s,
        expires_s,
        found["minimum_guard"],
        Root.parse(found["root"]),
        _digests(found["models"]),
        _thresholds(found["thresholds"]),
        _files(found["files"]),
    )
    if bundle.payload != payload:
        raise malformed("the payload is not in its one canonical form")
    return bundle


def _older(message: str) -> BundleError:
    return BundleError(Reason.POLICY_ROLLBACK, message)


def _named(found: object, what: str) -> Mapping[str, Any]:
    if not isinstance(found, dict) or not all(_NAME.fullmatch(name) for name in found):
        raise malformed(f"{what}: expected a mapping by plain file or value names")
    return found


def _digests(found: object) -> Mapping[str, str]:
    digests = dict(_named(found, "models"))
    for name, digest in digests.items():
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise malformed(f"models: {name} is not a SHA-256 digest")
    return digests


def _thresholds(found: object) -> Mapping[str, float]:
    limits = {}
    for name, value in _named(found, "thresholds").items():
        low, high = THRESHOLDS.get(name, (1.0, 0.0))
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise malformed(f"thresholds: {name} is not a number")
        if not low <= value <= high:
            known = ", ".join(f"{key} {lo:g} to {hi:g}" for key, (lo, hi) in THRESHOLDS.items())
            raise malformed(f"thresholds: {name} = {value!r}; expected one of {known}")
        limits[name] = float(value)
    return limits


def _files(found: object) -> Mapping[str, bytes]:
    files = {}
    for name, text in _named(found, "files").items():
        if not isinstance(text, str):
            raise malformed(f"files: {name} is not text")
        files[name] = text.encode()
    return files


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
