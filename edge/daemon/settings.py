"""`guard.toml`: what the daemon runs; `edge.daemon.setting_keys` has every key of it.

`framegate config show` prints them, `framegate config check` lists every error of
a file with its line and what is allowed. The file is not signed and can permit
nothing: what a camera is and what a session may do stands in signed records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.cameras.source import resolve_source
from edge.commissioning.toml_text import parse_toml, text_of, toml_value
from edge.daemon.also import Another, beside, read_others
from edge.daemon.setting_keys import ALSO, ALSO_KEYS, KEYS, MAX_ALSO, TABLES, Key, Listen
from edge.daemon.setting_tables import (
    MAX_BYTES,
    Lines,
    Problems,
    confinement,
    in_folder,
    lines_of,
    place_results,
    read_keys,
    strangers,
)
from edge.errors import UsageError, failing, wrong_in
from edge.files import read_named
from edge.guard.plan import Plan, share
from edge.policy.naming import bundle_file

__all__ = ["KEYS", "Listen", "Settings", "SettingsError", "load_settings"]
__all__ += ["parse_settings", "read_settings", "show"]


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked `guard.toml`; relative paths start at its folder."""

    plan: Plan  # what the guard runs
    keys: Path
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


def _refused(line: str) -> SettingsError:
    return SettingsError([line])


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
    with failing(f"{path}: cannot be read", as_=_refused):
        return read_named(path, MAX_BYTES + 1)


def parse_settings(data: bytes, path: Path) -> Settings:
    """The settings in `data`, the content of `path`; see `load_settings`."""
    with wrong_in(path, ValueError, as_=_refused):
        tables = parse_toml(data, MAX_BYTES)
        text = text_of(data)
    lines = lines_of(text)
    problems: Problems = []
    values: dict[tuple[str, str], Any] = {}
    for name in TABLES:
        table = tables.get(name, {}) if name else tables
        if isinstance(table, dict):  # what is none is reported below
            keys = [key for key in KEYS if key.table == name]
            found = read_keys(keys, table, name, lines, problems)
            values |= {(name, key): value for key, value in found.items()}
    problems += _strangers(tables, lines)
    if ("matcher", "results") in values:
        line = lines.get(("matcher", "results"), 1)
        placed = place_results(
            values["matcher", "results"], path.parent, "[matcher]", problems, line
        )
        values["matcher", "results"] = placed
    others = read_others(tables.get(ALSO, []), values, path.parent, lines, problems)
    if problems:
        raise SettingsError([f"{path}:{line}: {what}" for line, what in sorted(problems)])
    return _settings(values, others, path.parent)


def show(settings_text: bytes | None = None, path: Path = Path("guard.toml")) -> str:
    """Every key with its meaning, what is allowed, and the value in force, as a `guard.toml`.

    Raises:
        SettingsError: `settings_text` is refused.
    """
    tables: Mapping[str, Any] = {}
    if settings_text is not None:
        parse_settings(settings_text, path)
        tables = parse_toml(settings_text, MAX_BYTES)
    lines = []
    for table in TABLES:
        if table:
            lines.append(f"\n[{table}]")
        here = tables.get(table, {}) if table else tables
        lines += _shown_keys([key for key in KEYS if key.table == table], here)
    return "\n".join([*lines, *_shown_others(tables.get(ALSO, []))]) + "\n"


def _shown_others(tables: list[dict[str, Any]]) -> list[str]:
    """Each table `[[also]]`; without one, what may stand in it, as comments."""
    lines = []
    for table in tables:
        lines += [f"\n[[{ALSO}]]", *_shown_keys(ALSO_KEYS, table)]
    if not tables:
        lines.append(f"\n# [[{ALSO}]] is one more matcher on the camera, up to {MAX_ALSO} of them:")
        lines += [f"# {line.removeprefix('# ')}" for line in _shown_keys(ALSO_KEYS, {})]
    return lines


def _shown_keys(keys: Iterable[Key], table: Mapping[str, Any]) -> Iterator[str]:
    """What each key of a table means, and its value in force; a comment where it must be given."""
    for key in keys:
        yield f"# {key.meaning}: {key.allowed}"
        if key.name in table:
            yield f"{key.name} = {toml_value(table[key.name])}"
        elif key.default is None:
            yield f"# {key.name} =            (required)"
        else:
            yield f"{key.name} = {key.default}"


def _settings(
    values: Mapping[tuple[str, str], Any], others: tuple[Another, ...], folder: Path
) -> Settings:
    matcher = {name: value for (table, name), value in values.items() if table == "matcher"}
    keys = folder / values["", "keys"]
    plan = Plan(
        source=resolve_source(values["", "source"], folder),
        device=folder / values["", "device"],
        session=folder / values["", "session"],
        keys=keys,
        board=values["", "board"],
        pack=_placed(values["", "pack"], folder),
        policy=in_folder(values["", "policy"], folder),
        release=values["", "release"],
        start_limit_s=values["", "start_limit_s"],
        audit=folder / values["", "audit"],
        inbox=in_folder(values["", "desk"], folder),
        matcher=matcher["command"],
        confinement=confinement(matcher, folder),
        results=matcher["results"],
    )
    return Settings(
        plan=share(plan, [beside(plan, another) for another in others]),
        keys=keys,
        listen=values["status", "listen"],
        status_file=folder / values["status", "file"],
        keep_months=values["log", "keep_months"],
        log_witnesses=in_folder(values["log", "witnesses"], folder),
    )


def _placed(pack: str, folder: Path) -> str:
    """The pack, where it is a path from the configuration's folder."""
    bundle = bundle_file(pack)
    return pack if bundle is None else str(folder / bundle)


def _strangers(tables: Mapping[str, Any], lines: Lines) -> Problems:
    """Keys and tables that nothing reads."""
    found = []
    for name, value in tables.items():
        if name in TABLES and name:
            if not isinstance(value, dict):
                line = lines.get(("", name), lines.get((name, ""), 1))
                more = f"; others on its camera are [[{ALSO}]]" if name == "matcher" else ""
                found.append((line, f"{name}: expected a table [{name}]{more}"))
                continue
            keys = [key for key in KEYS if key.table == name]
            found += strangers(keys, value, name, f"[{name}]", lines, 1)
        elif name not in {ALSO, *(key.name for key in KEYS if not key.table)}:
            known = [*(key.name for key in KEYS if not key.table)]
            known += [*(f"[{table}]" for table in TABLES if table), f"[[{ALSO}]]"]
            line = lines.get(("", name), lines.get((name, ""), 1))
            found.append((line, f"{name} is not known; allowed: {', '.join(known)}"))
    return found
