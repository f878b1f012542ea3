"""A test that runs a whole guard against the clock says so and shares no time with another."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# What starts a whole guard: (module, names); no names mean anything of it.
RUNNERS = {
    "edge.guard.supervisor": {"Guard"},
    "edge.daemon.service": {"Service"},
    "tests.support.guards": {"running", "Running"},
    "tests.support.daemons": {"Daemon", "daemon"},
    "tests.support.guard_runs": {"finished", "flowing", "frames_through"},
    "tests.support.kills": set(),
}
COMMAND = re.compile(r'"framegate", "(run|daemon|demo)"|"edge\.cli", "(run|daemon|demo)"')


def starts_a_guard(source: str) -> bool:
    """Whether a test module imports what runs a whole guard, or calls the command."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in RUNNERS:
            names = RUNNERS[node.module]
            if not names or names.intersection(alias.name for alias in node.names):
                return True
    return COMMAND.search(source) is not None


def says_so(source: str) -> bool:
    return "pytest.mark.guard" in source


@pytest.mark.parametrize("path", sorted(HERE.rglob("test_*.py")), ids=lambda p: p.stem)
def test_a_module_that_starts_a_guard_is_marked(path: Path) -> None:
    source = path.read_text()
    if path.name == Path(__file__).name:
        return

    assert not starts_a_guard(source) or says_so(source), (
        f"{path.relative_to(HERE)}: add `pytestmark = pytest.mark.guard`"
    )


def test_the_rule_sees_a_guard_and_sees_none_where_none_is() -> None:
    assert starts_a_guard("from edge.guard.supervisor import Guard\n")
    assert starts_a_guard("from tests.support.guards import Site, running\n")
    assert starts_a_guard('run([python, "-m", "edge.cli", "run"])\n')
    assert not starts_a_guard("from tests.support.guards import Site, site\n")


def test_the_mark_sets_the_group(request: pytest.FixtureRequest) -> None:
    items = [item for item in request.session.items if item.get_closest_marker("guard")]

    for item in items:
        mark = item.get_closest_marker("xdist_group")
        assert mark is not None and mark.args == ("guard",), item.nodeid


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one worker runs everything")
def test_the_workers_know_the_group(request: pytest.FixtureRequest) -> None:
    """A mark that comes too late for pytest-xdist sets nothing: the name shows what it read."""
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("these workers read no groups; `--dist loadgroup` makes them")
    for item in request.session.items:
        guard = item.get_closest_marker("guard") is not None
        assert item.nodeid.endswith("@guard") is guard, item.nodeid
