"""Nothing of the folder and the environment of whoever starts the guard gets into it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge import isolation
from edge.guard.processes import spawn_unconfigured
from tests.support.surroundings import EARLY, trap

ROOT = Path(__file__).resolve().parents[1]
ENDS_S = 60.0  # whatever is wrong with a command, it ends
HOSTILE = {
    "GST_PLUGIN_PATH": "/nowhere",
    "LC_ALL": "C",
    "LD_LIBRARY_PATH": "/nowhere",
    "OPENCV_LOG_LEVEL": "DEBUG",
    "OPENCV_VIDEOIO_PLUGIN_PATH": "/nowhere",
    "ORT_DISABLE_TELEMETRY": "0",
    "ORT_LOGGING_LEVEL": "0",
}
SCRIPT = "import sys\nfrom edge.entry import framegate\nsys.exit(framegate())\n"


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hostile folder, which is the current one and that of the Python variables."""
    folder = tmp_path / "hostile"
    found = trap(folder)
    monkeypatch.chdir(folder)
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "json.py"))
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", os.environ["PATH"]]))
    return found


def test_a_child_imports_nothing_of_a_hostile_folder(mark: Path, capfd) -> None:
    child = spawn_unconfigured("child", "tests.support.surroundings", ())
    child.end(wait_s=20.0)
    reported = json.loads(capfd.readouterr().out)

    assert child.process.returncode == 0
    assert not mark.exists()
    assert not {"", ".", str(mark.parent)} & set(reported["path"])


def test_the_same_folder_gets_into_a_python_started_the_usual_way(mark: Path) -> None:
    subprocess.run([sys.executable, "-c", "import json"], check=True, timeout=ENDS_S)

    assert "json" in mark.read_text().split()


def test_isolated_mode_alone_keeps_the_folder_out(mark: Path) -> None:
    trap(mark.parent, EARLY)
    run = subprocess.run(
        isolation.python("tests.support.surroundings"),
        env=dict(os.environ),  # what hostile variables there are come along
        capture_output=True,
        check=True,
        timeout=ENDS_S,
    )

    assert not mark.exists()
    assert str(mark.parent) not in json.loads(run.stdout)["path"]


def test_the_environment_alone_keeps_the_folder_out(mark: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-c", "import json"]  # not isolated

    subprocess.run(command, env=isolation.environment(), cwd=elsewhere, check=True, timeout=ENDS_S)
    assert not mark.exists()
    subprocess.run(command, cwd=elsewhere, check=True, timeout=ENDS_S)
    assert {"json", "sitecustomize"} <= set(mark.read_text().split())  # the twin


def test_a_child_has_the_guards_environment_and_not_its_starters(mark: Path, capfd) -> None:
    child = spawn_unconfigured("child", "tests.support.surroundings", ())
    child.end(wait_s=20.0)
    found = json.loads(capfd.readouterr().out)["environment"]

    assert found["ORT_DISABLE_TELEMETRY"] == "1"
    assert found["OPENCV_LOG_LEVEL"] == "SILENT"
    assert found["LC_ALL"] == "C"  # a language is the user's to choose
    assert all(os.path.isabs(folder) for folder in found["PATH"].split(os.pathsep))
    assert not [name for name in found if name.startswith(("LD_", "PYTHON", "GST_"))]
    assert "ORT_LOGGING_LEVEL" not in found
    assert "OPENCV_VIDEOIO_PLUGIN_PATH" not in found


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_AUDIT", "GLIBC_TUNABLES", "OPENSSL_CONF"])
def test_what_loads_code_is_dropped_and_the_rest_is_kept(name: str) -> None:
    found = isolation.cleaned({name: "/x.so", "NOTIFY_SOCKET": "/run/n", "PATH": ":/bin:bin"})

    assert name not in found
    assert found["NOTIFY_SOCKET"] == "/run/n"
    assert found["PATH"] == "/bin"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The `framegate` command as it is installed: beside its Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    wrapper = folder / "python3"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    command = folder / "framegate"
    command.write_bytes((ROOT / "scripts" / "framegate").read_bytes())
    command.chmod(0o755)
    (tmp_path / "link").symlink_to(command)
    return command


@pytest.mark.slow
@pytest.mark.parametrize("called", ["bin/framegate", "link"])
def test_the_installed_command_runs_nothing_of_its_callers(
    mark: Path, installed: Path, tmp_path: Path, called: str
) -> None:
    script = tmp_path / "usual.py"
    script.write_text(SCRIPT)
    words = ("explain", "VIEW_FOREIGN")
    trap(mark.parent, EARLY)

    done = subprocess.run(
        [tmp_path / called, *words], capture_output=True, text=True, timeout=ENDS_S
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "VIEW_FOREIGN" in done.stdout
    assert not mark.exists()
    subprocess.run([sys.executable, script, *words], capture_output=True, timeout=ENDS_S)
    assert mark.exists()  # the twin: a Python started the usual way does


@pytest.mark.slow
def test_an_isolated_command_drops_what_loads_code_all_the_same(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/nowhere/x.so")

    done = subprocess.run(
        [installed, "explain", "VIEW_FOREIGN"], capture_output=True, text=True, timeout=ENDS_S
    )

    assert done.returncode == 0
    count = done.stderr.count("/nowhere/x.so")  # by each program that was started with it
    assert 1 <= count <= 5  # shell, readlink, test, wrapper, the first Python; not the one after it
    monkeypatch.delenv("LD_PRELOAD")
    assert not subprocess.run(
        [installed, "explain", "VIEW_FOREIGN"], capture_output=True, timeout=ENDS_S
    ).stderr


@pytest.mark.slow
def test_the_command_starts_anew_without_what_surrounds_it(mark: Path, tmp_path: Path) -> None:
    (mark.parent / "sitecustomize.py").unlink()  # runs before any line of ours can
    script = tmp_path / "framegate"
    script.write_text(SCRIPT)
    (mark.parent / "edge" / "__init__.py").unlink()  # PYTHONPATH comes before where edge is
    (mark.parent / "edge").rmdir()

    done = subprocess.run(
        [sys.executable, script, "explain", "VIEW_FOREIGN"], capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "VIEW_FOREIGN" in done.stdout
    assert not mark.exists()


@pytest.mark.parametrize("started_anew", [True, False])
def test_a_command_that_starting_anew_did_not_isolate_ends_in_one_line(
    started_anew: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else it would start itself anew for ever; the twin starts anew, once."""
    asked: list[list[str]] = []
    if started_anew:  # the environment is the clean one that it started itself with
        clean = isolation.cleaned(os.environ)
        for name in set(os.environ) - set(clean):
            monkeypatch.delenv(name)
        for name, value in clean.items():
            monkeypatch.setenv(name, value)
    else:
        monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", ["framegate", "explain"])
    command = isolation.python("edge.cli", "explain")
    monkeypatch.setattr(sys, "orig_argv", ["python3", *command[1 if started_anew else 2 :]])
    monkeypatch.setattr(os, "execve", lambda _path, words, _env: asked.append(words))

    if not started_anew:
        isolation.enter()
        assert asked == [command]
        return
    with pytest.raises(SystemExit, match="2"):
        isolation.enter()
    assert asked == []
    assert capfd.readouterr().err == "framegate: expected an isolated Python, this one is not\n"


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_is_no_fault(closed: str, tmp_path: Path) -> None:
    script = tmp_path / "framegate"
    script.write_text(SCRIPT)
    command = f'exec "$0" "$1" explain VIEW_FOREIGN {closed}'

    done = subprocess.run(
        ["sh", "-c", command, sys.executable, script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=ENDS_S,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert ("VIEW_FOREIGN" in done.stdout) is (">&-" not in closed.replace("2>&-", ""))


def spawns(source: str) -> list[ast.Call]:
    """The calls of `source` that start a program."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [c for c in calls if ast.unparse(c.func) in ("subprocess.Popen", "subprocess.run")]


@pytest.mark.slow
@pytest.mark.parametrize("package", ["edge", "firmware_bridge"])
def test_every_program_is_started_with_an_environment_of_its_own(package: str) -> None:
    bare, found = [], 0
    for file in sorted((ROOT / package).rglob("*.py")):
        source = file.read_text()
        for call in spawns(source):
            found += 1
            if "env" not in {word.arg for word in call.keywords}:
                bare.append(f"{file.relative_to(ROOT)}:{call.lineno}")
        if 'sys.executable, "-m"' in source:
            bare.append(f"{file.relative_to(ROOT)}: a Python that is not isolated")

    assert found >= 4
    assert not bare


def test_a_module_that_waits_is_loaded_by_its_first_use_and_by_no_import() -> None:
    code = (
        "import sys; from edge.isolation import load_when_used; load_when_used('inspect');"
        "import dataclasses, inspect; before = 'ast' in sys.modules;"
        "print(before, inspect.isclass(int), 'ast' in sys.modules);"
        "from inspect import isclass; print(isclass is inspect.isclass)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True", "True", "True"]
