"""The tutorial's commands, run as they stand, make a pack that decides what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.policy import shipped
from edge.policy.engine import Policy
from tests.support.parts import long

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "policy-tutorial.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def shell(commands: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("printed", [False, *long(True)])
def test_the_tutorial_does_what_it_says(tmp_path: Path, printed: bool) -> None:
    """`printed`: with the rulebook, which takes longer than all the rest."""
    rulebook = [block for block in BLOCKS if "policy book" in block]
    assert len(rulebook) == 1
    blocks = [block for block in BLOCKS if printed or block not in rulebook]
    outputs = [shell(block, tmp_path) for block in blocks]

    checked, cases, installed = outputs[2], outputs[3], outputs[-1]
    assert "nothing to mend" in checked
    assert "+ switzerland.0:CH-01" in checked
    assert re.search(r"after: +BLOCK forbidden .*CH-01", checked)
    answers = [line.split()[1:] for line in cases.splitlines() if line.startswith("square")]
    assert answers == [
        ["BLOCK", "forbidden", "CH-01"],
        ["ALLOW", "permitted", "FA-03"],
        ["ALLOW", "permitted", "FA-03"],
    ]
    assert "CH-01 forbids (switzerland.cedar)" in cases
    assert not printed or "CH-01" in (tmp_path / "rules.html").read_text()
    assert installed.splitlines()[-1].split()[1:] == ["BLOCK", "forbidden", "CH-01"]


def test_a_folder_among_the_shipped_packs_is_one_and_no_code_knows_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "policies"
    shutil.copytree(ROOT / "edge" / "policies", copy)
    shell("".join(BLOCKS[:2]), copy / "packs")
    monkeypatch.setattr(shipped, "packaged", lambda package: copy)
    shipped.names.cache_clear()
    try:
        assert shipped.names() == ("strict", "police", "swiss")
        ids = {rule.id for rule in Policy.load("swiss").rules}
    finally:
        monkeypatch.undo()
        shipped.names.cache_clear()

    assert {"CH-01", "MS-02", "GD-01"} <= ids
    assert "CH-01" not in {rule.id for rule in Policy.load("strict").rules}
