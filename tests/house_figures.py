"""How tidy the tree is, in figures: `python -m tests.house_figures`.

Reads the Python of `edge` and `firmware_bridge` as text and imports nothing of it. What must
hold has its test in `tests/test_house.py`; this says how far from the bounds the tree is.
"""

from __future__ import annotations

import ast
import math
import re
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("edge", "firmware_bridge")
Graph = Mapping[str, set[str]]


def sources(root: Path) -> dict[str, Path]:
    """The modules of the packages by name, those of `__init__.py` under their folder's."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """Which module imports which, also inside a function."""
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        named = found[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    named.add(whole if whole in modules else node.module)
        named.intersection_update(modules)
        named.discard(name)
    return found


def rooms(graph: Graph) -> dict[str, set[str]]:
    """The same between folders; a file in the root of a package is a room of its own."""
    found: dict[str, set[str]] = {}
    for name, named in graph.items():
        room = _room(name)
        found.setdefault(room, set()).update({_room(other) for other in named} - {room})
    return found


def circles(graph: Graph) -> list[set[str]]:
    """Groups in which each reaches every other, largest first."""
    reach = {name: _reachable(graph, name) for name in graph}
    groups: list[set[str]] = []
    for name in graph:
        if name in reach[name] and not any(name in group for group in groups):
            groups.append({other for other in reach[name] if name in reach[other]})
    return sorted(groups, key=len, reverse=True)


def function_lines(paths: Iterable[Path]) -> list[int]:
    """The length of each function, in order."""
    return sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def untyped_settings(modules: Mapping[str, Path]) -> list[str]:
    """Where something called settings is a dict, as `module:line`."""
    found = []
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.arg):
                called, typed = node.arg, node.annotation
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                called, typed = node.target.id, node.annotation
            else:
                continue
            if called.endswith("settings") and typed and "dict[" in ast.unparse(typed):
                found.append(f"{name}:{node.lineno}")
    return found


def changes(guide: str) -> dict[str, int]:
    """How many files each row of the guide's table "where do I put a new" names."""
    table = guide.partition("## Where do I put a new")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    return {
        what: len(set(re.findall(r"`([\w.]+/[\w./]*)`", files)))
        for what, files in rows
        if what not in ("what", "---")
    }


def main() -> int:
    """Print the figures, one a line."""
    modules = sources(ROOT)
    graph = imports(modules)
    folders: dict[Path, int] = {}
    for path in modules.values():
        folders[path.parent] = folders.get(path.parent, 0) + (path.name != "__init__.py")
    largest = max(folders, key=lambda folder: folders[folder])
    lines = {path: path.read_text().count("\n") for path in modules.values()}
    lengths = function_lines(modules.values())
    knots, rings = circles(rooms(graph)), circles(graph)
    long = [path for path, count in lines.items() if count > 250]
    print(f"root files of edge            {folders[ROOT / 'edge']}")
    print(f"largest folder                {folders[largest]} ({largest.relative_to(ROOT)})")
    print(f"folders in one import knot    {len(knots[0]) if knots else 0}")
    print(f"circles between modules       {len(rings)}")
    print(f"untyped settings              {len(untyped_settings(modules))}")
    print(f"lines of Python               {sum(lines.values())} in {len(lines)} files")
    print(f"files over 250 lines          {len(long)}")
    print(f"functions, 90th percentile    {lengths[math.ceil(0.9 * len(lengths)) - 1]} lines")
    print("files to touch for a new ...")
    for what, count in changes((ROOT / "CONTRIBUTING.md").read_text()).items():
        print(f"  {what:<52}{count}")
    return 0


def _room(name: str) -> str:
    return ".".join(name.split(".")[:2])


def _reachable(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(graph[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += graph.get(name, ())
    return seen


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `... | head` ends it without a traceback
    sys.exit(main())
