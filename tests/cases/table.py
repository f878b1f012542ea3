"""Runs cases and prints them as a table: input, expected, found."""

from __future__ import annotations

import importlib
import pkgutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import tests.cases
from tests.cases.case import Case, Found, Outcome, Skipped, Workshop

_WIDTHS = (14, 34, 24)


def families() -> dict[str, Sequence[Case]]:
    """The cases of every module of the package that has some."""
    found: dict[str, Sequence[Case]] = {}
    for module in pkgutil.iter_modules(tests.cases.__path__):
        if module.name.startswith(("_", "test_")):
            continue
        cases = getattr(importlib.import_module(f"tests.cases.{module.name}"), "CASES", None)
        if cases is not None:
            found[module.name] = cases
    return found


def run(case: Case) -> Found | None:
    """What is found of a case in a folder of its own; None where it cannot be made here."""
    with tempfile.TemporaryDirectory(prefix="framegate-case-") as folder:
        try:
            return case.run(Workshop(Path(folder)))
        except Skipped as why:
            print(f"  skipped: {case.name}: {why}")
            return None


def rows(wanted: Sequence[str]) -> Iterator[tuple[str, Case, Found | None]]:
    for family, cases in families().items():
        for case in cases if not wanted or family in wanted else ():
            yield family, case, run(case)


def show(wanted: Sequence[str]) -> int:
    """Print the table; the number of cases in which something else was found."""
    wrong = skipped = right = 0
    print(_line("family", "input", "expected", "found"))
    for family, case, found in rows(wanted):
        if found is None:
            skipped += 1
            continue
        ok = case.right(found)
        right, wrong = right + ok, wrong + (not ok)
        words = found.says.replace("\n", " ")[:150]
        expected = case.outcome.value + (f" /{case.says}/" if case.says and not ok else "")
        mark = "" if ok else "WRONG: "
        what = found.outcome.value if found.outcome is Outcome.JUDGED else words
        print(_line(family, case.name, expected, f"{mark}{what or words}"), flush=True)
    print(f"{right} right, {wrong} wrong, {skipped} skipped")
    return wrong


def _line(*cells: str) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    return "  ".join([*padded, *cells[len(_WIDTHS) :]])
