"""`[[also]]` in `guard.toml`: the matchers beside the first, and what each must have of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge.cameras.redact import redacted
from edge.daemon.setting_keys import ALSO, ALSO_KEYS, MATCHER_NAME, MAX_ALSO
from edge.daemon.setting_tables import (
    Lines,
    Problems,
    confinement,
    place_results,
    read_keys,
    strangers,
)
from edge.guard.plan import Plan
from edge.sandbox.spec import Confinement


@dataclass(frozen=True, slots=True)
class Another:
    """One more matcher on the camera, a table `[[also]]`."""

    name: str
    session: Path
    audit: Path
    command: tuple[str, ...]
    confinement: Confinement
    results: str


def read_others(
    tables: Any,
    first: Mapping[tuple[str, str], Any],
    folder: Path,
    lines: Lines,
    problems: Problems,
) -> tuple[Another, ...]:
    """The matchers beside the first; `first`: what of the first holds."""
    line = lines.get((ALSO, ""), lines.get(("", ALSO), 1))
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        got = f"one table [{ALSO}]" if isinstance(tables, dict) else redacted(repr(tables))[:60]
        problems.append((line, f"{ALSO}: expected tables [[{ALSO}]], got {got}"))
        return ()
    if len(tables) > MAX_ALSO:
        problems.append(
            (line, f"{ALSO}: expected at most {MAX_ALSO} tables [[{ALSO}]], got {len(tables)}")
        )
    taken = {
        "session": {os.path.normpath(folder / path) for path in _there(first, "", "session")},
        "audit": {os.path.normpath(folder / path) for path in _there(first, "", "audit")},
        "results": {os.path.normpath(to) for to in _there(first, "matcher", "results") if to},
        "name": set(),
    }
    found = []
    for number, table in enumerate(tables):
        place = f"{ALSO}.{number}"
        line = lines.get((place, ""), lines.get((ALSO, ""), lines.get(("", ALSO), 1)))
        before = len(problems)
        values = read_keys(ALSO_KEYS, table, place, lines, problems)
        problems += strangers(ALSO_KEYS, table, place, f"[[{ALSO}]]", lines, line)
        if len(problems) == before:
            at = lines.get((place, "results"), line)
            values["results"] = place_results(
                values["results"], folder, f"[[{ALSO}]]", problems, at
            )
        if len(problems) > before:
            continue
        another = _another(values, first, folder)
        if fault := _clash(another, values["name"], taken):
            problems.append((line, f"[[{ALSO}]] {fault}"))
        found.append(another)
    return tuple(found)


def _there(values: Mapping[tuple[str, str], Any], table: str, name: str) -> list[Any]:
    """A value that holds, or nothing."""
    return [values[table, name]] if (table, name) in values else []


def _another(
    values: Mapping[str, Any], first: Mapping[tuple[str, str], Any], folder: Path
) -> Another:
    name = values["name"] or values["session"].stem
    log = values["audit"]
    if log is None:
        log = first.get(("", "audit"), Path("audit")).parent / ALSO / name / "audit"
    return Another(
        name=name,
        session=folder / values["session"],
        audit=folder / log,
        command=values["command"],
        confinement=confinement(values, folder),
        results=values["results"],
    )


def _clash(another: Another, named: str, taken: Mapping[str, set[str]]) -> str:
    """What this matcher has that another has already; empty if nothing. Takes what it has.

    Args:
        named: the name that the file gives it; empty for none.
    """
    if not MATCHER_NAME.fullmatch(another.name):
        return f"name is missing; {another.name!r}, its session's file, is none: give it one"
    own = {
        "session": os.path.normpath(another.session),
        "name": another.name,
        "audit": os.path.normpath(another.audit),
        "results": os.path.normpath(another.results) if another.results else "",
    }
    fault = ""
    for what, value in own.items():
        if value and value in taken[what] and not fault:
            fault = f"{what}: expected one of its own for each matcher, got {value} twice"
            if what == "name" and not named:
                fault += "; it is the session's file without its ending: give it another name"
        taken[what].add(value)
    return fault


def beside(plan: Plan, another: Another) -> Plan:
    """One more matcher on the camera of `plan`."""
    return replace(
        plan,
        name=another.name,
        session=another.session,
        matcher=another.command,
        confinement=another.confinement,
        results=another.results,
        audit=another.audit,
    )


def escaped_before(plan: Plan, attempts: Mapping[str, str]) -> Plan:
    """`plan`, with how matchers tried to get out before, by name; the first has none."""
    others = (replace(other, escaped=attempts.get(other.name, "")) for other in plan.others)
    return replace(plan, escaped=attempts.get(plan.name, ""), others=tuple(others))
