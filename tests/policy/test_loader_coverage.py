"""Every branch of the loader is taken by its own tests: whatever it refuses, some test refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[2]
SIGNED = tuple(f"edge/policy/signed/{name}.py" for name in ("bundle", "strict_json", "trust"))
LOADER = ("edge/policy/pack.py", *SIGNED)
TESTS = [f"tests/policy/test_{name}.py" for name in ("bundle", "json", "refusals")]
SLOW = "one_changed_byte"  # finds no branch of its own


@pytest.mark.timeout(300)
def test_every_branch_of_the_loader_is_taken(tmp_path):
    coverage = [sys.executable, "-m", "coverage"]
    data, report = tmp_path / "data", tmp_path / "report.json"
    measured = ["--branch", f"--include={','.join(LOADER)}", f"--data-file={data}"]
    tests = ["-m", "pytest", "-p", "no:cacheprovider", "-k", f"not {SLOW}", *TESTS]
    run = subprocess.run(
        [*coverage, "run", *measured, *tests], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    command = [*coverage, "json", f"--data-file={data}", "-o", str(report)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    files = json.loads(report.read_text())["files"]
    assert set(files) == set(LOADER)
    for name, found in files.items():
        assert found["summary"]["num_branches"] > 10, name
        assert (found["missing_lines"], found["missing_branches"]) == ([], []), name
