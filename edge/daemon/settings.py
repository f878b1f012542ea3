"""`guard.toml`: what the daemon runs, every key of it in one table.

The table below is the documentation, the check and the defaults at once:
`framegate config show` prints it, `framegate config check` lists every error of
a file with its line and what is allowed. The file is not signed and can permit
nothing: what a camera is and what a session may do stands in signed records.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.cameras.redact import redacted
from edge.cameras.source import EXPECTED, parse_source, resolve_source
from edge.commissioning.toml_text import parse_toml, text_of
from edge.errors import CameraError, UsageError
from edge.files import read_named
from edge.policy.naming import NAME, bundle_file
from edge.policy.shipped import names
from edge.sandbox.result_relay import ALLOWED, result_target
from edge.sandbox.spec import check_variable
from edge.scheduling import MAX_START_LIMIT_S, MIN_START_LIMIT_S, START_LIMIT_S

_MAX_BYTES = 64 * 1024
MAX_UID = 2**31 - 1
MAX_MONTHS = 1200  # a century


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the status page is served; loopback only."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked `guard.toml`; relative paths start at its folder."""

    source: str
    device: Path
    session: Path
    keys: Path
    board: str
    pack: str
    policy: Path | None
    release: str
    start_limit_s: int  # for each process and the camera to be ready
    audit: Path
    inbox: Path | None
    matcher: tuple[str, ...]
    matcher_uid: int
    matcher_read: tuple[Path, ...]
    matcher_write: tuple[Path, ...]
    matcher_cwd: Path | None
    matcher_env: tuple[tuple[str, str], ...]
    matcher_results: str
    listen: Listen | None
    status_file: Path
    keep_months: int  # of the log; 0 for all of it
    log_witnesses: Path | None


class SettingsError(UsageError):
    """A `guard.toml` is refused; `problems` names everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        more = f" (and {len(problems) - 1} more; see framegate config check)"
        super().__init__(problems[0] + (more if len(problems) > 1 else ""))


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its table ("" for the top), name, default as TOML (None: required), meaning."""

    table: str
    name: str
    default: str | None
    allowed: str
    meaning: str
    read: Callable[[Any], Any]  # raises ValueError


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError
    return value


def _source(value: Any) -> str:
    try:
        parse_source(_text(value))
    except CameraError as err:
        raise ValueError from err
    return str(value)


def _path(value: Any) -> Path:
    return Path(_text(value)).expanduser()


def _pack(value: Any) -> str:
    """A pack's name, or the path of a signed bundle."""
    text = _text(value)
    if bundle_file(text) is None and not NAME.fullmatch(text):
        raise ValueError
    return text


def _path_or_none(value: Any) -> Path | None:
    return None if value == "" else _path(value)


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return read


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError
    return tuple(_text(part) for part in value)


def _paths(value: Any) -> tuple[Path, ...]:
    return tuple(Path(text).expanduser() for text in _texts(value))


def _variables(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise ValueError
    for name, text in value.items():
        if not isinstance(text, str):
            raise ValueError
        check_variable(name, text)
    return tuple(value.items())


def _uid(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_UID:
        raise ValueError
    return value


def _start_limit(value: Any) -> int:
    if type(value) is not int or not MIN_START_LIMIT_S <= value <= MAX_START_LIMIT_S:
        raise ValueError
    return value


def _months(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_MONTHS:
        raise ValueError
    return value


def _listen(value: Any) -> Listen | None:
    if value == "":
        return None
    host, _, port = _text(value).rpartition(":")
    if not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError
    if not ipaddress.ip_address(host.strip("[]")).is_loopback:
        raise ValueError
    return Listen(host.strip("[]"), int(port))


_A_PATH = "a path"
KEYS = (
    Key(
        "",
        "source",
        None,
        EXPECTED,
        "the camera",
        _source,
    ),
    Key("", "device", None, _A_PATH, "signed commissioning record", _path),
    Key("", "session", None, _A_PATH, "signed session claim", _path),
    Key("", "keys", '"~/.config/framegate"', "a folder", "key store", _path),
    Key("", "board", '"virtual"', 'a serial port, or "virtual"', "the interlock board", _text),
    Key(
        "",
        "pack",
        '"strict"',
        ", ".join(f'"{name}"' for name in names())
        + ", the name of the installed bundle's pack, or the path of a signed bundle",
        "policy pack",
        _pack,
    ),
    Key(
        "",
        "policy",
        '""',
        'a folder, or ""',
        "where the policy bundle is installed; empty for the usual place",
        _path_or_none,
    ),
    Key(
        "",
        "release",
        '"bracketed"',
        '"bracketed" or "immediate"',
        "wait for evidence from after each frame, or not",
        _one_of("bracketed", "immediate"),
    ),
    Key(
        "",
        "start_limit_s",
        f"{START_LIMIT_S:g}",
        f"{MIN_START_LIMIT_S} to {MAX_START_LIMIT_S}",
        "seconds that each process and the camera have to be ready; more on a slow device",
        _start_limit,
    ),
    Key("", "audit", '"audit"', "a folder", "the signed log", _path),
    Key(
        "",
        "desk",
        '""',
        'a folder, or ""',
        "where consent is handed in and taken back; empty to go by the session record",
        _path_or_none,
    ),
    Key(
        "matcher",
        "command",
        "[]",
        "a list of words",
        "program that gets the released frames, run in the sandbox; [] for none",
        _texts,
    ),
    Key("matcher", "uid", "65534", f"1 to {MAX_UID}", "user id the matcher runs as", _uid),
    Key("matcher", "read", "[]", "a list of paths", "what it may read besides its program", _paths),
    Key("matcher", "write", "[]", "a list of folders", "where it may write", _paths),
    Key("matcher", "results", '""', ALLOWED, "where its results are passed on to", result_target),
    Key(
        "matcher",
        "cwd",
        '""',
        'a folder, or ""',
        "where it begins; empty for where the daemon was started",
        _path_or_none,
    ),
    Key(
        "matcher",
        "env",
        "{}",
        "a table of texts, no name beginning with FRAMEGATE_",
        "environment of its own, set when its program begins",
        _variables,
    ),
    Key(
        "status",
        "listen",
        '"127.0.0.1:8321"',
        'a loopback address with a port, or ""',
        "status page, metrics and health; empty for none",
        _listen,
    ),
    Key(
        "status",
        "file",
        '"status.json"',
        _A_PATH,
        "what `framegate status` reads; best on a file system in memory",
        _path,
    ),
    Key(
        "log",
        "keep_months",
        "0",
        f"0 to {MAX_MONTHS}",
        "whole months of the log that `framegate audit prune` keeps, besides the one that runs; "
        "0 keeps all",
        _months,
    ),
    Key(
        "log",
        "witnesses",
        '""',
        'a path, or ""',
        "policy of the witnesses that must have cosigned what is pruned; empty where none visit",
        _path_or_none,
    ),
)
TABLES = tuple(dict.fromkeys(key.table for key in KEYS))


def load_settings(path: Path) -> Settings:
    """The settings in `path`.

    Raises:
        SettingsError: it cannot be read, or with everything that is wrong in it.
    """
    return parse_settings(read_settings(path), path)


def read_settings(path: Path) -> bytes:
    """The bytes of `path`, at most one more than a configuration may have.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return read_named(path, _MAX_BYTES + 1)
    except OSError as err:
        raise SettingsError([f"{path}: cannot be read: {err.strerror}"]) from err


def parse_settings(data: bytes, path: Path) -> Settings:
    """The settings in `data`, the content of `path`; see `load_settings`."""
    try:
        tables = parse_toml(data, _MAX_BYTES)
        text = text_of(data)
    except ValueError as err:
        raise SettingsError([f"{path}: {err}"]) from err
    lines = _lines(text)
    problems: list[tuple[int, str]] = []
    values: dict[tuple[str, str], Any] = {}
    for key in KEYS:
        table = tables.get(key.table, {}) if key.table else tables
        where = _name(key)
        line = lines.get((key.table, key.name), lines.get((key.table, ""), 1))
        if not isinstance(table, dict):
            continue  # reported below
        if key.name not in table:
            if key.default is None:
                problems.append((line, f"{where} is missing; expected {key.allowed}"))
            else:
                values[key.table, key.name] = key.read(_default(key))
            continue
        try:
            values[key.table, key.name] = key.read(table[key.name])
        except ValueError:
            got = redacted(repr(table[key.name]))[:60]
            problems.append((line, f"{where}: expected {key.allowed}, got {got}"))
    problems += _strangers(tables, lines)
    if problems:
        raise SettingsError([f"{path}:{line}: {what}" for line, what in sorted(problems)])
    return _settings(values, path.parent)


def show(settings_text: bytes | None = None, path: Path = Path("guard.toml")) -> str:
    """Every key with its meaning, what is allowed, and the value in force, as a `guard.toml`.

    Raises:
        SettingsError: `settings_text` is refused.
    """
    tables: Mapping[str, Any] = {}
    if settings_text is not None:
        parse_settings(settings_text, path)
        tables = parse_toml(settings_text, _MAX_BYTES)
    lines = []
    for table in TABLES:
        if table:
            lines.append(f"\n[{table}]")
        for key in (key for key in KEYS if key.table == table):
            here = tables.get(table, {}) if table else tables
            lines.append(f"# {key.meaning}: {key.allowed}")
            if key.name in here:
                lines.append(f"{key.name} = {_toml(here[key.name])}")
            elif key.default is None:
                lines.append(f"# {key.name} =            (required)")
            else:
                lines.append(f"{key.name} = {key.default}")
    return "\n".join(lines) + "\n"


def _settings(values: Mapping[tuple[str, str], Any], folder: Path) -> Settings:
    return Settings(
        source=resolve_source(values["", "source"], folder),
        device=folder / values["", "device"],
        session=folder / values["", "session"],
        keys=folder / values["", "keys"],
        board=values["", "board"],
        pack=_placed(values["", "pack"], folder),
        policy=None if values["", "policy"] is None else folder / values["", "policy"],
        release=values["", "release"],
        start_limit_s=values["", "start_limit_s"],
        audit=folder / values["", "audit"],
        inbox=None if values["", "desk"] is None else folder / values["", "desk"],
        matcher=values["matcher", "command"],
        matcher_uid=values["matcher", "uid"],
        matcher_read=tuple(folder / path for path in values["matcher", "read"]),
        matcher_write=tuple(folder / path for path in values["matcher", "write"]),
        matcher_cwd=None if (cwd := values["matcher", "cwd"]) is None else folder / cwd,
        matcher_env=values["matcher", "env"],
        matcher_results=result_target(values["matcher", "results"], folder),
        listen=values["status", "listen"],
        status_file=folder / values["status", "file"],
        keep_months=values["log", "keep_months"],
        log_witnesses=None if (who := values["log", "witnesses"]) is None else folder / who,
    )


def _placed(pack: str, folder: Path) -> str:
    """The pack, where it is a path from the configuration's folder."""
    bundle = bundle_file(pack)
    return pack if bundle is None else str(folder / bundle)


def _strangers(
    tables: Mapping[str, Any], lines: Mapping[tuple[str, str], int]
) -> list[tuple[int, str]]:
    """Keys and tables that nothing reads."""
    found = []
    for name, value in tables.items():
        if name in TABLES and name:
            if not isinstance(value, dict):
                found.append((lines.get(("", name), 1), f"{name}: expected a table [{name}]"))
                continue
            known = [key.name for key in KEYS if key.table == name]
            found += [
                (
                    lines.get((name, key), 1),
                    f"[{name}] {key} is not known; allowed: {', '.join(known)}",
                )
                for key in value
                if key not in known
            ]
        elif name not in {key.name for key in KEYS if not key.table}:
            known = [*(key.name for key in KEYS if not key.table)]
            known += [f"[{table}]" for table in TABLES if table]
            line = lines.get(("", name), lines.get((name, ""), 1))
            found.append((line, f"{name} is not known; allowed: {', '.join(known)}"))
    return found


def _lines(text: str) -> dict[tuple[str, str], int]:
    """The line of each (table, key), and of each table under the key ""."""
    found: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.match(r"\s*\[+\s*([\w\-]+)", line):
            table = heading[1]
            found.setdefault((table, ""), number)
        elif key := re.match(r"\s*[\"']?([\w\-]+)[\"']?\s*[=.]", line):
            found.setdefault((table, key[1]), number)
    return found


def _default(key: Key) -> Any:
    return parse_toml(f"value = {key.default}".encode(), _MAX_BYTES)["value"]


def _name(key: Key) -> str:
    return f"[{key.table}] {key.name}" if key.table else key.name


def _toml(value: Any) -> str:
    """A text, whole number, list or table of texts as TOML."""
    if isinstance(value, list):
        return f"[{', '.join(_toml(part) for part in value)}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{_toml(name)} = {_toml(text)}" for name, text in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return str(value)
