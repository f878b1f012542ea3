"""A matcher in a virtual environment of its own, which has NumPy and nothing of framegate."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.guards import running, site
from tests.support.sandboxes import let_others_in

pytestmark = pytest.mark.guard

MATCHER = """\
import importlib.util
import framegate_client

for name in ("edge", "firmware_bridge", "cv2"):
    assert importlib.util.find_spec(name) is None, name
camera = framegate_client.VideoCapture(0)
count = 0
while True:
    ok, frame = camera.read()
    if not ok:
        break
    count += 1
print("matched", count, frame is None, flush=True)
"""


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """No site packages of anybody's, NumPy put in by hand: there is no package index here."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    home = Path(np.__file__).parent
    for found in (home, home.with_name("numpy.libs")):
        if found.is_dir():
            shutil.copytree(found, packages / found.name, copy_function=_copy)
    return folder


def _copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def test_a_matcher_runs_in_an_environment_that_has_only_numpy(
    tmp_path: Path, venv: Path, lived_in: Callable[[int], Path], face_model: Path
) -> None:
    clip = lived_in(90)
    kiosk = site(tmp_path / "site", clip, clip, face_model)
    script = tmp_path / "matcher.py"
    script.write_text(MATCHER)
    if os.getuid() == 0:
        let_others_in(tmp_path)

    command = shlex.join([str(venv / "bin" / "python"), str(script)])
    with running(kiosk, matcher=command) as run:
        output = run.process.communicate(timeout=60)[0]

    (line,) = [line for line in output.splitlines() if line.startswith("matched")] or [output]
    assert line.startswith("matched"), output
    assert int(line.split()[1]) > 10
