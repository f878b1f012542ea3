"""Arrows point downwards: `.importlinter` has the order of the floors, written down once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("edge/*.py", "firmware_bridge/*.py", "bench/*.py", "client/framegate_client/*.py")
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


def test_no_import_points_upwards_and_there_is_no_circle(house: Path) -> None:
    found = lint(house)

    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("file", "line", "named"),
    [
        ("edge/view/box.py", "import edge.decision.judge", "edge.view -> edge.decision"),
        ("edge/frames/gate.py", "import edge.policy.rules", "edge.frames -> edge.policy"),
        ("firmware_bridge/bridge.py", "import edge.guard.plan", "firmware_bridge -> edge.guard"),
        ("edge/clock.py", "import edge.ipc", "edge.clock -> edge.ipc"),
        ("framegate_client/ring.py", "import edge.clock", "framegate_client -> edge"),
    ],
)
def test_an_upward_arrow_is_found_by_name(house: Path, file: str, line: str, named: str) -> None:
    path = house / file
    path.write_text(f"{path.read_text()}\n{line}\n")

    found = lint(house)

    lower, _, upper = named.partition(" -> ")
    assert found.returncode == 1
    assert f"{lower} is not allowed to import {upper}" in found.stdout.replace("\n", " ")
