"""CI tries again only what runs a whole guard, says so, and keeps every other failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RETRY = Path(__file__).parents[1] / ".ci/retry"
BARE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # starts in a third of the time
FLAKY = """
import pathlib, pytest

def second_time(name):
    seen = pathlib.Path(name)
    again = seen.exists()
    seen.touch()
    assert again
"""
GUARD = "\n@pytest.mark.guard\ndef test_a_guard():\n    second_time('guard.seen')\n"
WORKERS = ("-p", "xdist.plugin", "-n", "1", "--dist", "loadgroup")
PLAIN = "\ndef test_plain():\n    second_time('plain.seen')\n"
FINE = "\ndef test_fine():\n    pass\n"
BROKEN = "\nraise RuntimeError\n"


def ci(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A first run of `source`, which fails, and what the retry makes of it."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = guard\naddopts = -q\n")
    (folder / "test_it.py").write_text(FLAKY + source)
    first = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=folder, env=BARE, capture_output=True
    )
    assert first.returncode != 0
    command = [str(RETRY), sys.executable]
    return subprocess.run(command, cwd=folder, env=BARE, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), WORKERS], ids=["alone", "in a worker's group"])
def test_a_guard_that_failed_is_tried_again_and_named(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    grouped = GUARD.replace("def", '@pytest.mark.xdist_group("guard")\ndef') if workers else GUARD
    done = ci(tmp_path, grouped + FINE, *workers)

    assert done.returncode == 0, done.stdout
    output = done.stdout.split("RETRY")[1]
    assert "test_it.py::test_a_guard" in output


@pytest.mark.slow
@pytest.mark.parametrize("source", [PLAIN, GUARD + PLAIN, BROKEN], ids=["plain", "both", "broken"])
def test_any_other_failure_stays_one(tmp_path: Path, source: str) -> None:
    done = ci(tmp_path, source)

    assert done.returncode == 1
    assert "NO RETRY" in done.stdout
    assert source is BROKEN or "test_it.py::test_plain" in done.stdout


@pytest.mark.slow
def test_a_guard_that_fails_twice_has_failed(tmp_path: Path) -> None:
    assert ci(tmp_path, GUARD.replace("second_time('guard.seen')", "assert False")).returncode == 1


def test_where_no_test_failed_nothing_is_made_good(tmp_path: Path) -> None:
    done = subprocess.run([str(RETRY), sys.executable], cwd=tmp_path, capture_output=True)

    assert done.returncode == 1
