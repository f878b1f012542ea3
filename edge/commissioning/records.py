"""The two records an operator writes: the device (D.toml) and the session claim (S.toml).

Both are read strictly: an unknown key or value is an error that names it and
lists what is allowed. Keys and values are those of the policy's vocabulary, so
that a record and a policy scenario are the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commissioning.toml_text import parse_toml
from edge.errors import RecordError, failing, wrong_in
from edge.evidence.people import PeopleRules
from edge.files import read_named
from edge.frames.output_format import SHRINK, OutputFormat
from edge.lease import Lane
from edge.masking.polygons import MaskRules, Polygon, read_polygons
from edge.policy.signed.bundle import read_time
from edge.policy.vocabulary import VOCABULARY
from edge.sandbox.accelerators import NAMES
from edge.sandbox.order import LAYER_NAMES

if TYPE_CHECKING:
    from edge.cameras.identity import CameraIdentity

_MAX_BYTES = 64 * 1024
DWELL_S = (1.0, 30.0)
DEFAULT_DWELL_S = 3.0
MAX_LAG_MS = 10_000
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Identity:
    """What was pinned of the camera at enrolment; empty where nothing was."""

    driver: str = ""
    card: str = ""
    bus: str = ""
    virtual_sha256: tuple[str, ...] = ()  # files that may stand in for the camera

    def names(self, camera: CameraIdentity) -> bool:
        """Whether this is that camera; a loopback device never is."""
        if camera.kind == "virtual":
            return camera.sha256 in self.virtual_sha256
        found = (camera.driver, camera.card, camera.bus)
        return found == (self.driver, self.card, self.bus) and camera.driver != "loopback"


@dataclass(frozen=True, slots=True)
class Device:
    """The commissioning record."""

    camera: str
    mount: str = "unknown"
    site: str = ""
    dock_id: str = ""
    publicly_accessible: bool = True
    lanes: tuple[Lane, ...] = ()
    dwell_s: float = DEFAULT_DWELL_S
    user: str = "unknown"
    by_or_for: str = "unknown"
    jurisdiction: str = "unknown"
    people: PeopleRules = field(default_factory=PeopleRules)
    fingerprint: Path | None = None
    identity: Identity = field(default_factory=Identity)
    virtual_board: bool = False  # a simulated board may stand in beside any camera
    receipts: bool = False  # consent and authorisation count only with a token
    clock_unproven: bool = False  # a wall clock that no time service keeps may be used
    clock_not_yet_s: int | None = None  # a recorded time at or after this UTC second is wrong
    clock_at_least_s: int = 0  # this UTC second has passed
    matcher_counted: bool = False  # the matcher must report what it compares
    matcher_models: tuple[tuple[Path, str], ...] = ()  # its model files and their SHA-256
    matcher_accelerators: tuple[str, ...] = ()  # whose device nodes the matcher gets
    matcher_without: tuple[str, ...] = ()  # layers of the matcher's sandbox it may start without
    masks: MaskRules = field(default_factory=MaskRules)  # of every lane
    picture: OutputFormat = field(default_factory=OutputFormat)  # what the matcher gets
    fork_alarm: Path | None = None  # while this file of the courier's is there, all is blocked
    max_lag_ms: int = 0  # the signer states that no frame comes later; 0: no statement


@dataclass(frozen=True, slots=True)
class Session:
    """The claim under which the matcher asks for frames."""

    operation: Lane
    gallery: str
    consent: str = "none"
    active_involvement: bool = False
    authorisation: str = "none"
    inference_backend: str = "on_device"
    result_sink: str = "local"


def load_device(path: Path) -> Device:
    """The device record in `path`; see `parse_device`."""
    return parse_device(_read(path), path)


def parse_device(data: bytes, path: Path) -> Device:
    """The device record `data` of `path`; a relative fingerprint path starts at its folder.

    Raises:
        RecordError: unreadable, unknown key or value, or a value out of range.
    """
    table = _Table(_parse(data, path), str(path))
    operator = table.table("operator")
    people = table.table("people")
    view = table.table("view")
    identity = table.table("identity")
    board = table.table("board")
    matcher = table.table("matcher")
    models = matcher.table("models")
    picture = matcher.table("picture")
    mask = table.table("mask")
    consent = table.table("consent")
    clock = table.table("clock")
    capture = table.table("capture")
    witness = table.table("witness")
    fingerprint = view.text("fingerprint", "")
    alarm = witness.text("alarm", "")
    device = Device(
        camera=table.word("camera"),
        mount=table.word("mount", "unknown"),
        site=table.text("site", ""),
        dock_id=table.text("dock_id", ""),
        publicly_accessible=table.flag("publicly_accessible", True),
        lanes=tuple(Lane(name) for name in table.subset("lanes", VOCABULARY["operation"])),
        dwell_s=table.number("dwell_s", DEFAULT_DWELL_S, *DWELL_S),
        user=operator.word("user", "unknown"),
        by_or_for=operator.word("by_or_for", "unknown"),
        jurisdiction=operator.text("jurisdiction", "unknown"),
        people=PeopleRules(
            max=int(people.number("max", 1, 0, 2)),
            min_height=people.number("min_height", 0.1, 0.02, 1.0),
            zone=people.rectangle("zone"),
        ),
        fingerprint=path.parent / fingerprint if fingerprint else None,
        identity=Identity(
            driver=identity.text("driver", ""),
            card=identity.text("card", ""),
            bus=identity.text("bus", ""),
            virtual_sha256=identity.digests("virtual_sha256"),
        ),
        virtual_board=board.flag("virtual", False),
        receipts=consent.flag("receipts", False),
        clock_unproven=clock.flag("unproven", False),
        clock_not_yet_s=clock.time("not_yet"),
        clock_at_least_s=clock.time("at_least") or 0,
        matcher_counted=matcher.flag("counted", False),
        matcher_models=tuple((path.parent / name, sha) for name, sha in models.every_digest()),
        matcher_without=matcher.subset("without", LAYER_NAMES),
        matcher_accelerators=matcher.subset("accelerators", NAMES),
        masks=MaskRules(polygons=mask.polygons("polygons"), bodies=mask.flag("bodies", False)),
        picture=OutputFormat(
            crop=picture.rectangle("crop"),
            grey=picture.flag("grey", False),
            shrink=picture.whole("shrink", 1, *SHRINK),
        ),
        fork_alarm=path.parent / alarm if alarm else None,
        max_lag_ms=capture.whole("max_lag_ms", 0, 0, MAX_LAG_MS),
    )
    table.finish()
    return device


def load_session(path: Path) -> Session:
    """The session claim in `path`; see `parse_session`."""
    return parse_session(_read(path), path)


def parse_session(data: bytes, path: Path) -> Session:
    """The session claim `data` of `path`.

    Raises:
        RecordError: unreadable, or an unknown key or value.
    """
    table = _Table(_parse(data, path), str(path))
    session = Session(
        operation=Lane(table.word("operation")),
        gallery=table.word("gallery"),
        consent=table.word("consent", "none"),
        active_involvement=table.flag("active_involvement", False),
        authorisation=table.word("authorisation", "none"),
        inference_backend=table.word("inference_backend", "on_device"),
        result_sink=table.word("result_sink", "local"),
    )
    table.finish()
    return session


def _read(path: Path) -> bytes:
    with failing(f"{path}: cannot be read", as_=RecordError):
        return read_named(path, _MAX_BYTES + 1)


def _parse(data: bytes, path: Path) -> Mapping[str, Any]:
    with wrong_in(path, ValueError, as_=RecordError):
        return parse_toml(data, _MAX_BYTES)


class _Table:
    """One TOML table, read key by key; `finish` refuses what nobody asked for, inner tables too."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self._where = where
        self._known: list[str] = []
        self._inner: list[_Table] = []

    def table(self, key: str) -> _Table:
        value = self._take(key, {}, dict, "a table")
        self._inner.append(_Table(value, f"{self._where} [{key}]"))
        return self._inner[-1]

    def word(self, key: str, default: str | None = None) -> str:
        value = self._take(key, default)
        if default is not None and value == default:
            return default
        return self._allowed(key, value, VOCABULARY[key])

    def subset(self, key: str, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._allowed(key, value, words) for value in self._list(key))

    def text(self, key: str, default: str) -> str:
        return str(self._take(key, default, str, "a text"))

    def flag(self, key: str, default: bool) -> bool:
        return bool(self._take(key, default, bool, "true or false"))

    def time(self, key: str) -> int | None:
        """A moment in UTC as a text, in whole seconds since 1970; None where it is not given."""
        value = self._take(key, "")
        with wrong_in(key, ValueError, as_=self._wrong):
            return None if value == "" else read_time(value)

    def number(self, key: str, default: float, low: float, high: float) -> float:
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(f"{key} must be a number, got {value!r}")
        if not low <= value <= high:
            raise self._wrong(f"{key} must be {low:g} to {high:g}, got {value!r}")
        return float(value)

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        value = self._take(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self._wrong(f"{key} must be a whole number, {low} to {high}, got {value!r}")
        return value

    def rectangle(self, key: str) -> tuple[float, float, float, float] | None:
        self._known.append(key)
        value = self._values.get(key)
        if value is None:
            return None
        numbers = isinstance(value, list) and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= 1 for v in value
        )
        if not numbers or len(value) != 4 or value[0] >= value[2] or value[1] >= value[3]:
            raise self._wrong(f"{key} must be [left, top, right, bottom] in 0 to 1, got {value!r}")
        left, top, right, bottom = (float(v) for v in value)
        return left, top, right, bottom

    def polygons(self, key: str) -> tuple[Polygon, ...]:
        """Polygons as lists of [x, y] corners, shares of the picture."""
        with wrong_in(key, ValueError, as_=self._wrong):
            return read_polygons(self._take(key, []))

    def digests(self, key: str) -> tuple[str, ...]:
        values = self._list(key)
        for value in values:
            if not isinstance(value, str) or not _SHA256.fullmatch(value):
                raise self._wrong(f"{key} must hold SHA-256 digests, got {value!r}")
        return tuple(values)

    def every_digest(self) -> tuple[tuple[str, str], ...]:
        """Every key of the table with its value, a SHA-256 digest."""
        self._known.extend(self._values)
        for key, value in self._values.items():
            if not isinstance(value, str) or not _SHA256.fullmatch(value):
                raise self._wrong(
                    f"{key} must be a SHA-256 digest of 64 hexadecimal digits, got {value!r}"
                )
        return tuple(self._values.items())

    def finish(self) -> None:
        for inner in self._inner:
            inner.finish()
        for key in self._values:
            if key not in self._known:
                raise self._wrong(f"unknown key {key!r}; allowed: {', '.join(self._known)}")

    def _list(self, key: str) -> list[Any]:
        return list(self._take(key, [], list, "a list"))

    def _take(self, key: str, default: Any, kind: type = object, named: str = "") -> Any:
        """The value of `key`, of this kind, whose name is for the message."""
        self._known.append(key)
        value = self._values.get(key, default)
        if value is None:
            raise self._wrong(f"{key} is missing")
        if not isinstance(value, kind):
            raise self._wrong(f"{key} must be {named}, got {value!r}")
        return value

    def _wrong(self, what: str) -> RecordError:
        return RecordError(f"{self._where}: {what}")

    def _allowed(self, key: str, value: Any, words: tuple[str, ...]) -> str:
        if not isinstance(value, str) or value not in words:
            raise self._wrong(f"{key} = {value!r} is not known; allowed: {', '.join(words)}")
        return value
