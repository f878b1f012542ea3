"""No code of the folder or the environment that the guard is started from runs in the guard."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import spawn
from edge.guard.processes import bear_module

SHADOWED = ("json", "select", "cv2", "numpy", "struct", "socket", "sitecustomize", "usercustomize")
MODULES = [
    "edge.frames.capture",
    "edge.frames.gate_process",
    "edge.decision.decider",
    "edge.status.process",
    "edge.daemon.check",
    "edge.sandbox.launcher",
    "firmware_bridge.process",
    "firmware_bridge.virtual.process",
]


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder full of traps; the file that is there once one of them was run."""
    folder, sprung = tmp_path / "hostile", tmp_path / "sprung"
    (folder / "edge").mkdir(parents=True)
    code = f"open({str(sprung)!r}, 'w').close()\n"
    for name in SHADOWED:
        (folder / f"{name}.py").write_text(code)
    (folder / "edge" / "__init__.py").write_text(code)
    (folder / "startup.py").write_text(code)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "startup.py"))
    monkeypatch.setenv("PYTHONINSPECT", "1")
    monkeypatch.setenv("PATH", f".:{folder}:{os.environ['PATH']}")
    yield sprung


def test_the_traps_are_live_for_an_interpreter_that_is_not_isolated(trap: Path) -> None:
    subprocess.run([sys.executable, "-m", "edge.version"], capture_output=True, check=False)

    assert trap.exists()


@pytest.mark.parametrize("module", MODULES)
def test_no_process_of_the_guard_runs_code_of_the_callers_folder(trap: Path, module: str) -> None:
    child = bear_module("child", module, ())
    child.dismiss()
    child.process.wait(60)
    child.end()

    assert not trap.exists()


def test_the_probe_and_the_tools_run_no_code_of_the_callers_folder(trap: Path) -> None:
    done = subprocess.run(
        spawn.python("edge.sandbox.launcher", "--probe"),
        env=spawn.environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("{")  # it did its work all the same
    assert not trap.exists()


def test_nothing_that_loads_code_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PYTHONPATH", "PYTHONHOME"):
        monkeypatch.setenv(name, "/hostile")
    monkeypatch.setenv("GST_PLUGIN_PATH", "/hostile")
    monkeypatch.setenv("PATH", ".:relative:/usr/bin::/bin")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")

    found = spawn.environment({"ASKED": "1"})

    assert "/hostile" not in found.values()
    assert found["PATH"] == "/usr/bin:/bin"
    assert found["HOME"] == "/home/somebody"
    assert found["LC_ALL"] == "C.UTF-8"
    assert found["ASKED"] == "1"


def test_a_module_gets_its_arguments_and_the_package_that_runs_here(tmp_path: Path) -> None:
    done = subprocess.run(
        spawn.python("edge.cli", "--version"),
        env=spawn.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("framegate ")
