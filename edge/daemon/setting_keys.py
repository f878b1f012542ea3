"""Every key of `guard.toml`: its table, default, what is allowed, what it means, how it is read.

The tables below are the documentation, the check and the defaults at once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge.cameras.source import EXPECTED, parse_source
from edge.errors import CameraError
from edge.policy.naming import NAME, bundle_file
from edge.policy.shipped import names
from edge.sandbox.result_relay import ALLOWED, target_text
from edge.sandbox.spec import check_variable
from edge.scheduling import MAX_START_LIMIT_S, MIN_START_LIMIT_S, START_LIMIT_S

MAX_UID = 2**31 - 1
MAX_MONTHS = 1200  # a century
ALSO = "also"
MAX_ALSO = 7  # each costs a gate, a decider with its models, and a copy of each frame
MATCHER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the status page is served; loopback only."""

    host: str
    port: int


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


def _whole(least: float, most: float) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError
        return value

    return read


def _listen(value: Any) -> Listen | None:
    if value == "":
        return None
    host, _, port = _text(value).rpartition(":")
    if not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError
    if not ipaddress.ip_address(host.strip("[]")).is_loopback:
        raise ValueError
    return Listen(host.strip("[]"), int(port))


def _matcher_name(value: Any) -> str:
    if value != "" and not (isinstance(value, str) and MATCHER_NAME.fullmatch(value)):
        raise ValueError
    return str(value)


def _command(value: Any) -> tuple[str, ...]:
    if not (words := _texts(value)):
        raise ValueError
    return words


_A_PATH = "a path"
# fmt: off
KEYS = (
    Key("", "source", None, EXPECTED, "the camera", _source),
    Key("", "device", None, _A_PATH, "signed commissioning record", _path),
    Key("", "session", None, _A_PATH, "signed session claim", _path),
    Key("", "keys", '"~/.config/framegate"', "a folder", "key store", _path),
    Key("", "board", '"virtual"', 'a serial port, or "virtual"', "the interlock board", _text),
    Key("", "pack", '"strict"', ", ".join(f'"{name}"' for name in names())
        + ", the name of the installed bundle's pack, or the path of a signed bundle",
        "policy pack", _pack),
    Key("", "policy", '""', 'a folder, or ""',
        "where the policy bundle is installed; empty for the usual place", _path_or_none),
    Key("", "release", '"bracketed"', '"bracketed" or "immediate"',
        "wait for evidence from after each frame, or not", _one_of("bracketed", "immediate")),
    Key("", "start_limit_s", f"{START_LIMIT_S:g}", f"{MIN_START_LIMIT_S} to {MAX_START_LIMIT_S}",
        "seconds that each process and the camera have to be ready; more on a slow device",
        _whole(MIN_START_LIMIT_S, MAX_START_LIMIT_S)),
    Key("", "audit", '"audit"', "a folder", "the signed log", _path),
    Key("", "desk", '""', 'a folder, or ""',
        "where consent is handed in and taken back; empty to go by the session record",
        _path_or_none),
    Key("matcher", "command", "[]", "a list of words",
        "program that gets the released frames, run in the sandbox; [] for none", _texts),
    Key("matcher", "uid", "65534", f"1 to {MAX_UID}", "user id the matcher runs as",
        _whole(1, MAX_UID)),
    Key("matcher", "read", "[]", "a list of paths", "what it may read besides its program", _paths),
    Key("matcher", "write", "[]", "a list of folders", "where it may write", _paths),
    Key("matcher", "results", '""', ALLOWED, "where its results are passed on to", target_text),
    Key("matcher", "cwd", '""', 'a folder, or ""',
        "where it begins; empty for where the daemon was started", _path_or_none),
    Key("matcher", "env", "{}", "a table of texts, no name beginning with FRAMEGATE_",
        "environment of its own, set when its program begins", _variables),
    Key("status", "listen", '"127.0.0.1:8321"', 'a loopback address with a port, or ""',
        "status page, metrics and health; empty for none", _listen),
    Key("status", "file", '"status.json"', _A_PATH,
        "what `framegate status` reads; best on a file system in memory", _path),
    Key("log", "keep_months", "0", f"0 to {MAX_MONTHS}",
        "whole months of the log that `framegate audit prune` keeps, besides the one that runs; "
        "0 keeps all", _whole(0, MAX_MONTHS)),
    Key("log", "witnesses", '""', 'a path, or ""',
        "policy of the witnesses that must have cosigned what is pruned; empty where none visit",
        _path_or_none),
)
_ALSO_COMMAND = Key(ALSO, "command", None, "a list of words, at least one",
    "program that gets the released frames, run in a sandbox of its own", _command)
ALSO_KEYS = (
    Key(ALSO, "session", None, _A_PATH, "its signed session claim; no other matcher's", _path),
    Key(ALSO, "name", '""',
        '1 to 32 of A-Z, a-z, 0-9, ".", "_" and "-", the first a letter or digit, or ""',
        "what status, metrics and messages call it; empty for its session's file without its "
        "ending", _matcher_name),
    Key(ALSO, "audit", '""', 'a folder, or ""',
        "its signed log; empty for also/NAME/audit beside the first matcher's", _path_or_none),
    *(_ALSO_COMMAND if key.name == "command" else replace(key, table=ALSO)
      for key in KEYS if key.table == "matcher"),
)
# fmt: on
TABLES = tuple(dict.fromkeys(key.table for key in KEYS))
