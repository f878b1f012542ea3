"""The threat model of a fleet: each row has its tests, and no guard listens to a fleet."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUARD = (
    "cameras",
    "frames",
    "view",
    "evidence",
    "masking",
    "policy",
    "decision",
    "guard",
    "sandbox",
)


def imports(source: str) -> set[str]:
    """The modules that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


@pytest.mark.slow
def test_no_module_of_a_guard_listens_to_a_fleet() -> None:
    files = [path for part in GUARD for path in (ROOT / "edge" / part).rglob("*.py")]
    listening = [
        path.relative_to(ROOT).as_posix()
        for path in files
        if any(f"{name}.".startswith("edge.fleet.") for name in imports(path.read_text()))
    ]

    assert listening == []
    assert len(files) > 100
    command = (ROOT / "edge/commands/fleet.py").read_text()
    assert any(name.startswith("edge.fleet.") for name in imports(command))  # it would be seen


def test_each_row_of_the_fleets_threat_model_names_tests_that_exist() -> None:
    text = (ROOT / "docs/threat-model.md").read_text()
    section = text.partition("## A fleet\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]

    assert len(rows) >= 9
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / "tests/fleet" / file).read_text(), test
