"""Arrows point downwards, as `.importlinter` has them; names are the field's own words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from tests.house_figures import circles, imports, rooms, sources
from tests.support.parts import long

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("edge/*.py", "firmware_bridge/*.py", "bench/*.py", "client/framegate_client/*.py")
MOST_MODULES = 14
LINTER = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINTER, "--config", str(folder / ".importlinter"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the packages that may be spoiled."""
    listed = subprocess.run(
        ["git", "ls-files", *_PACKAGES, ".importlinter"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0 or not LINTER.exists():
        pytest.skip("needs git and import-linter")
    for name in listed.stdout.split():
        place = tmp_path / name.removeprefix("client/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((ROOT / name).read_bytes())
    return tmp_path


@pytest.mark.slow
def test_no_import_points_upwards_and_there_is_no_circle(house: Path) -> None:
    found = lint(house)

    assert found.returncode == 0, found.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "line", "named"),
    [
        ("edge/view/box.py", "import edge.decision.judge", "edge.view -> edge.decision"),
        ("firmware_bridge/bridge.py", "import edge.guard.plan", "firmware_bridge -> edge.guard"),
        ("framegate_client/ring.py", "import edge.clock", "framegate_client -> edge"),
        *long(
            ("edge/frames/gate.py", "import edge.policy.rules", "edge.frames -> edge.policy"),
            ("edge/clock.py", "import edge.ipc", "edge.clock -> edge.ipc"),
            ("edge/daemon/service.py", "import edge.fleet.mqtt", "edge.daemon -> edge.fleet.mqtt"),
        ),
    ],
)
def test_an_upward_arrow_is_found_by_name(house: Path, file: str, line: str, named: str) -> None:
    path = house / file
    path.write_text(f"{path.read_text()}\n{line}\n")

    found = lint(house)

    lower, _, upper = named.partition(" -> ")
    assert found.returncode == 1
    assert f"{lower} is not allowed to import {upper}" in found.stdout.replace("\n", " ")


# Words that only this project used. The field has its own; `docs/glossary.md` lists them.
RETIRED = re.compile(
    r"(?i)_*(?:(?:in_)?cage|keeper|warden|papers|bear(?:_module)?|brief|bury|doors?|eyes|sight|tenure|"
    r"strikes|reception|standing|rehearsal|said|told|desks?)"
)
PUBLIC = {"DESK"}  # the key office `trust/desk`; `args.desk` is the option --desk


def retired_names(path: Path) -> list[str]:
    """The identifiers of a Python file that are retired words, each as `line: name`."""
    text = path.read_text()
    if not re.search(rf"\b{RETIRED.pattern[4:]}\b", text, re.IGNORECASE):
        return []
    found = []
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            name = token.string
            public = name in PUBLIC or (name == "desk" and "args.desk" in token.line)
            if token.type == tokenize.NAME and RETIRED.fullmatch(name) and not public:
                found.append(f"{token.start[0]}: {name}")
    return found


@pytest.mark.slow
def test_no_identifier_is_a_retired_word() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("needs git")
    names = listed.stdout.split()

    found = {name: retired_names(ROOT / name) for name in names}

    assert len(names) > 100
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_retired_word_is_found_as_an_identifier_and_not_in_prose(tmp_path: Path) -> None:
    path = tmp_path / "new.py"
    path.write_text('"""A desk by the door."""\n\ntold = 1  # as I said\nx.keeper = args.desk\n')

    assert retired_names(path) == ["3: told", "4: keeper"]


@pytest.mark.parametrize("package", ["edge", "firmware_bridge", "framegate_client", "bench"])
def test_no_folder_holds_more_modules_than_a_reader_keeps_in_mind(package: str) -> None:
    folders = [ROOT / package, *(path for path in (ROOT / package).rglob("*") if path.is_dir())]

    counts = {str(folder.relative_to(ROOT)): len(modules(folder)) for folder in folders}

    assert any(counts.values())
    assert {name: count for name, count in counts.items() if count > MOST_MODULES} == {}


def modules(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.py") if path.name != "__init__.py"]


def test_every_place_that_the_guide_for_contributors_names_is_there() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()

    named = re.findall(r"`((?:edge|firmware_bridge|tests|docs)/[\w./]*)`", guide)

    assert len(named) > 40
    assert [name for name in named if not (ROOT / name).exists() and "NAME" not in name] == []


@pytest.mark.slow
def test_no_module_is_in_a_circle_and_no_folder_in_a_knot() -> None:
    graph = imports(sources(ROOT))

    assert len(graph) > 200
    assert circles(graph) == []
    assert circles(rooms(graph)) == []


def test_a_circle_is_found_between_modules_and_between_folders(tmp_path: Path) -> None:
    """The second is none between modules: each file imports another one of the other folder."""
    files = {
        "edge/a/one.py": "from edge.b import two",
        "edge/b/two.py": "",
        "edge/b/three.py": "def later():\n    import edge.a.one",
        "firmware_bridge/x.py": "from firmware_bridge import y",
        "firmware_bridge/y.py": "from firmware_bridge.x import z",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    graph = imports(sources(tmp_path))

    assert circles(graph) == [{"firmware_bridge.x", "firmware_bridge.y"}]
    assert {"edge.a", "edge.b"} in circles(rooms(graph))
