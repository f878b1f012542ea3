"""The guard tells nobody anything: what it imports opens no connection and leaves no trace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SESSION = """
import os
from edge.evidence.scene import SceneModel
SceneModel.load()
with os.scandir("/proc/self/fd") as entries:
    links = [os.readlink(entry.path) for entry in entries if entry.is_symlink()]
print(sum(link.startswith("socket:") for link in links), os.listdir(os.environ["TMPDIR"]))
"""


@pytest.mark.slow
def test_the_scene_model_runs_without_telemetry(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "ORT_DISABLE_TELEMETRY": "0"}
    environment.pop("CI", None)  # where it is set, there is none either

    run = subprocess.run(
        [sys.executable, "-c", _SESSION],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert run.stdout == "0 []\n", run.stderr


def test_onnx_runtime_is_imported_in_one_place() -> None:
    found = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "edge").rglob("*.py")
        if re.search(r"^\s*(import|from) onnxruntime", path.read_text(), re.MULTILINE)
    ]

    assert found == ["edge/models/runtime.py"]
