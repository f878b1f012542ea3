"""The pages on operating and integrating do what they say: every command in them is run."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli import main
from edge.sandbox import spec as sandbox
from tests.support.daemons import free_port

pytestmark = pytest.mark.guard
ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MINUTE = 1800  # frames of the recording that the page on operating makes
ENOUGH = 600  # of them, to run every command while it plays


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), flags=re.S | re.M)


_SHELL = """
import os, sys
from edge.ipc import die_with_parent
die_with_parent()
os.execvp("bash", ["bash", "-euo", "pipefail", "-c", sys.argv[1]])
"""


def shell(commands: str, folder: Path, clips: Path) -> str:
    """Run commands as a reader would, in one shell; returns what they printed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    printed = folder / "printed.txt"  # a pipe would stay held by whatever is left running
    with printed.open("w") as out:
        run = subprocess.Popen(
            [sys.executable, "-c", _SHELL, commands],  # it waits for nobody who is gone
            cwd=folder,
            env={**os.environ, "PATH": path, "CLIPS": str(clips)},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            run.wait(timeout=280)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    output = printed.read_text()
    assert run.returncode == 0, output
    return output


def elsewhere(commands: str, port: int, frames: int) -> str:
    """The same commands with so long a recording, and the status page on another port.

    The usual port may be taken here.
    """
    assert commands.count(f"range({MINUTE})") == 1
    commands = commands.replace(f"range({MINUTE})", f"range({frames})")
    listen = f'[status]\nlisten = "127.0.0.1:{port}"\nEND\n'
    begin, config, rest = commands.partition("cat > guard.toml <<END\n")
    assert config and "8321" in rest
    return begin + config + rest.replace("END\n", listen, 1).replace("8321", str(port))


@pytest.fixture(scope="module")
def operate(
    tmp_path_factory: pytest.TempPathFactory, clip: Callable[[str], Path], face_model: Path
) -> Callable[[int], tuple[Path, Path, str]]:
    """(folder, clips, output) after every command of the page on operating, by the frames."""
    if sandbox.missing():
        pytest.skip("this machine lacks a layer of the sandbox; the records would have to say so")
    if shutil.which("curl") is None:
        pytest.skip("the pages use curl, which is not installed")
    clips = clip("single_face.mp4").parent

    @functools.cache
    def after(frames: int) -> tuple[Path, Path, str]:
        folder = tmp_path_factory.mktemp("operate")
        commands = elsewhere("".join(blocks("operate.md", "sh")), free_port(), frames)
        return folder, clips, shell(commands, folder, clips)

    return after


@pytest.fixture
def operated(operate: Callable[[int], tuple[Path, Path, str]]) -> tuple[Path, Path, str]:
    return operate(ENOUGH)


@pytest.mark.footage
@pytest.mark.timeout(300)  # a whole guard several times over, on a machine that may be busy
def test_a_reader_gets_from_keys_to_a_running_daemon_and_a_checked_log(
    operated: tuple[Path, Path, str],
) -> None:
    _, _, output = operated

    assert "guard.toml: ok" in output
    assert "frames pass  (running, context controlled)" in output
    assert re.search(r"^framegate_permitted 1\.0$", output, flags=re.M)
    assert int(re.findall(r"(\d+) released, ", output)[-1]) > 0
    assert "verify" in output.splitlines()[-2]


@pytest.mark.footage
@pytest.mark.timeout(300)  # a whole guard several times over, on a machine that may be busy
@pytest.mark.parametrize("frames", [ENOUGH, pytest.param(MINUTE, marks=pytest.mark.long)])
def test_nothing_in_the_recording_of_the_page_on_operating_looks_like_an_attack(
    operate: Callable[[int], tuple[Path, Path, str]],
    capsys: pytest.CaptureFixture[str],
    frames: int,
) -> None:
    folder, _, _ = operate(frames)
    records = [w for kind in ("device", "session") for w in (f"--{kind}", f"{folder}/{kind}.toml")]

    main(["replay", str(folder / "till.mp4"), *records, "--out", str(folder / "judged")])

    blocked = capsys.readouterr().out
    assert f"{frames} frames: " in blocked
    assert "SENSOR_SILENT" in blocked  # it is given no telemetry: the picture alone is asked
    assert not re.search("CAM_|LIVENESS|VIEW_", blocked), blocked


@pytest.mark.footage
@pytest.mark.timeout(300)  # a whole guard several times over, on a machine that may be busy
def test_every_way_to_integrate_a_matcher_works(operated: tuple[Path, Path, str]) -> None:
    folder, clips, _ = operated
    named = {}  # the others are parts of programs, shown alone
    for program in blocks("integrate.md", "python"):
        if name := re.match(r"# (\w+\.py)", program):
            named[name[1]] = program
    assert set(named) == {"kiosk.py", "matcher.py", "timed.py", "plain.py"}
    for file, program in named.items():
        (folder / file).write_text(program)

    output = shell("".join(blocks("integrate.md", "sh")), folder, clips)

    assert re.search(r"opencv: \d+ frames", output)
    assert "timed: done" in output
    assert re.search(r"plain: \d+ frames", output)
    kiosk = re.findall(r"kiosk:(.*)$", output, re.M)
    assert " frames flow" in kiosk and all(words.strip() for words in kiosk)
    assert re.search(
        r'^\{"subject": "[0-9a-f]{8}", "score": 0.93, "comparisons": 1\}$', output, re.M
    )


@pytest.mark.parametrize("page", ["operate.md", "integrate.md", "threat-model.md", "attacks.md"])
def test_what_a_page_points_to_is_there(page: str) -> None:
    text = (DOCS / page).read_text()

    for target in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (DOCS / target).exists(), target
    for name in re.findall(r"`((?:edge|tests)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


def test_every_attack_has_its_row_and_every_test_it_names_is_there() -> None:
    rows = re.findall(r"^\| (D\d\d) \|.*\|(.*)\|$", (DOCS / "attacks.md").read_text(), flags=re.M)

    assert [number for number, _ in rows] == [f"D{n:02}" for n in range(1, 55)]
    for number, proof in rows:
        named = re.findall(r"`([\w/.]+)::(\w+)`", proof)
        assert named or "no test" in proof, number
        for file, name in named:
            assert f"\ndef {name}(" in (ROOT / file).read_text(), f"{number}: {file}::{name}"


def test_the_pages_name_every_layer_and_every_shipped_file() -> None:
    threats = (DOCS / "threat-model.md").read_text()
    operate = (DOCS / "operate.md").read_text()

    assert all(f"| `{name}` |" in threats for name in sandbox.LAYER_NAMES)
    shipped = {path.name for path in (ROOT / "edge" / "daemon" / "deploy").iterdir()}
    assert all(f"`{name}`" in operate for name in shipped)


def test_what_is_not_stopped_stands_on_the_first_page() -> None:
    first = "\n".join((DOCS / "threat-model.md").read_text().splitlines()[:45])

    for words in ("Root on the device", "Copies a matcher", "photograph or replica",
                  "Cloned cameras", "A time service that lies"):  # fmt: skip
        assert words in first
