"""Libraries in the matcher's sandbox: what works is called so, and what does not is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.sandboxed_libraries import LARGE, OF_THE_SYSTEM, TRIALS, tried

ROOT = Path(__file__).resolve().parents[2]
OURS = ("NumPy", "onnxruntime")  # the product has these, so every machine tries them
NAMED = ("dlib", "face_recognition", "uniface", "insightface", "OpenCV", "onnxruntime")
NAMED += ("ai-edge-litert", "requests", LARGE, OF_THE_SYSTEM)


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_a_library_of_the_products_own_works_in_the_sandbox(name: str) -> None:
    assert tried(sys.executable, TRIALS[name].program) == "works"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("raise SystemExit('no such model')", "fails: no such model"),
        ("open('/etc/hostname')", "fails: PermissionError"),
        ("import socket; socket.socket(socket.AF_INET).connect(('127.0.0.1', 9))", "fails: "),
        ("import ctypes; ctypes.CDLL(None).ptrace(0, 0, 0, 0)", "taken for an escape: "),
    ],
)
def test_a_library_that_the_sandbox_stops_is_not_called_working(
    program: str, expected: str
) -> None:
    assert tried(sys.executable, program).startswith(expected)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_library_that_can_be_had_works_in_the_sandbox(tmp_path: Path) -> None:
    """All but PyTorch, which is some 5 GB: FRAMEGATE_PACKAGES=all fetches it, too."""
    names = [name for name in TRIALS if name not in (OF_THE_SYSTEM, LARGE)]
    if os.environ.get("FRAMEGATE_PACKAGES") == "all":
        names.append(LARGE)
    command = [sys.executable, "-m", "bench.sandboxed_libraries", "--fetch", str(tmp_path), *names]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3500)

    if done.returncode == 3:
        pytest.skip("the packages cannot be had here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["works"] * len(names)


def test_every_library_that_the_documentation_lists_is_tried() -> None:
    page = (ROOT / "docs" / "integrate.md").read_text()

    assert {*NAMED} <= {*TRIALS}
    assert all(name in page for name in TRIALS)
