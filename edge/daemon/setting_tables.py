"""One table of `guard.toml`: its values that hold, and a line for each that does not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge.cameras.redact import redacted
from edge.commissioning.toml_text import parse_toml
from edge.daemon.setting_keys import ALSO, Key
from edge.sandbox.result_relay import ALLOWED, result_target
from edge.sandbox.spec import Confinement

MAX_BYTES = 64 * 1024  # of a guard.toml
Lines = Mapping[tuple[str, str], int]
Problems = list[tuple[int, str]]


def read_keys(
    keys: Iterable[Key], table: Mapping[str, Any], place: str, lines: Lines, problems: Problems
) -> dict[str, Any]:
    """The values of one table that hold; what does not is told to `problems`.

    Args:
        place: the table's name in `lines`.
    """
    values: dict[str, Any] = {}
    for key in keys:
        where = name_of(key)
        line = lines.get((place, key.name), lines.get((place, ""), 1))
        if key.name not in table:
            if key.default is None:
                problems.append((line, f"{where} is missing; expected {key.allowed}"))
            else:
                values[key.name] = key.read(default_of(key))
            continue
        try:
            values[key.name] = key.read(table[key.name])
        except ValueError:
            got = redacted(repr(table[key.name]))[:60]
            problems.append((line, f"{where}: expected {key.allowed}, got {got}"))
    return values


def strangers(
    keys: Iterable[Key], table: Iterable[str], place: str, shown: str, lines: Lines, line: int
) -> Problems:
    """Keys of a table that nothing reads; `line`: of the table, where a key's own is not found."""
    known = [key.name for key in keys]
    allowed = f"is not known; allowed: {', '.join(known)}"
    odd = [key for key in table if key not in known]
    return [(lines.get((place, key), line), f"{shown} {key} {allowed}") for key in odd]


def confinement(values: Mapping[str, Any], folder: Path) -> Confinement:
    """What a table gives its matcher; relative paths start at `folder`."""
    return Confinement(
        uid=values["uid"],
        reads=tuple(folder / path for path in values["read"]),
        writes=tuple(folder / path for path in values["write"]),
        cwd=in_folder(values["cwd"], folder),
        env=values["env"],
    )


def in_folder(path: Path | None, folder: Path) -> Path | None:
    return None if path is None else folder / path


def place_results(target: str, folder: Path, table: str, problems: Problems, line: int) -> str:
    """Where results go, a relative path placed in `folder`; "" and a problem if it is too long."""
    try:
        return result_target(target, folder)
    except ValueError:
        problems.append((line, f"{table} results: expected {ALLOWED}, got {target[:60]!r}"))
        return ""


def lines_of(text: str) -> Lines:
    """The line of each (table, key), and of each table under the key "".

    The first of several tables of one name, `[[NAME]]`, is NAME.0, the next NAME.1.
    """
    found: dict[tuple[str, str], int] = {}
    count: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.match(r"\s*(\[+)\s*([\w\-]+)", line):
            table = heading[2]
            found.setdefault((table, ""), number)
            if heading[1] == "[[":
                count[table] = count.get(table, -1) + 1
            if table in count:
                table = f"{table}.{count[table]}"
                found.setdefault((table, ""), number)
        elif key := re.match(r"\s*[\"']?([\w\-]+)[\"']?\s*[=.]", line):
            found.setdefault((table, key[1]), number)
    return found


def default_of(key: Key) -> Any:
    return parse_toml(f"value = {key.default}".encode(), MAX_BYTES)["value"]


def name_of(key: Key) -> str:
    if key.table == ALSO:
        return f"[[{ALSO}]] {key.name}"
    return f"[{key.table}] {key.name}" if key.table else key.name
