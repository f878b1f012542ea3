"""The command line itself: one line for what is wrong, an exit code that means something."""

from __future__ import annotations

import configparser
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from edge.cli import main
from edge.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
CASES = str(ROOT / "examples" / "cases.yaml")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run one line of shell in which $G is the command."""
    script = f'set -o pipefail; G="{sys.executable} -m edge.cli"; {command}'
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


_LOADS = """
import os, signal, sys, time
from edge import cli
cli.note_interrupts()
def load(only):
    try:
        {first}
    except KeyboardInterrupt:
        pass
    raise ImportError("initialization failed")  # as NumPy says of ^C while it is loaded
cli.build_parser = load
sys.exit(cli.main(["doctor"]))
"""


@pytest.mark.parametrize(
    ("first", "code", "lines"),
    [
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", 130, 0),
        ("pass", 1, 1),
    ],
    ids=["by ^C", "by itself"],
)
def test_a_library_that_fails_to_load_is_damaged_unless_it_was_interrupted(
    first: str, code: int, lines: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADS.format(first=first)], capture_output=True, text=True
    )

    assert (done.returncode, len(done.stderr.splitlines())) == (code, lines), done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["nosuch"], "'nosuch'"),
        (["audit"], "ACTION"),
        (["replay", "clip.mp4"], "--device"),
        (["replay", "clip.mp4", "--dwell", "abc"], "'abc'"),
        (["camera", "enroll", "--out"], "--out"),
        (["bench", "--profile", "pi-9"], "'pi-9'"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(arguments, named, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    output = capsys.readouterr().err
    assert ended.value.code == 2
    assert output.count("\n") == 1
    assert output.startswith("framegate: ")
    assert named in output
    assert "--help)" in output


@pytest.mark.parametrize("words", [["explain", "VIEW_FOREIGN"], ["explain", "--help"]])
def test_a_named_command_is_loaded_without_the_others(words):
    code = f"""if True:
        import sys
        from edge.cli import main
        try:
            main({words})
        except SystemExit:
            pass
        print(*sys.modules, file=sys.stderr)"""

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    loaded = {name for name in done.stderr.split() if name.startswith("edge.commands.")}
    assert "edge.commands.explain" in loaded
    assert not {"edge.commands.bench", "edge.commands.live.daemon"} & loaded
    assert "explain" in done.stdout or "VIEW_FOREIGN" in done.stdout


@pytest.mark.parametrize("words", [["--help"], ["nosuch"]])
def test_without_a_known_command_all_are_named(words, capsys):
    with pytest.raises(SystemExit):
        main(words)

    output = "".join(capsys.readouterr())
    assert all(name in output for name in ("audit", "daemon", "explain", "replay"))


def test_the_version_is_the_installed_one(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"framegate {metadata.version('framegate')}\n"


def test_the_version_is_told_alike_by_package_and_program():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")

    assert config["metadata"]["version"] == VERSION


@pytest.mark.slow
def test_a_reader_that_has_read_enough_is_no_failure():
    run = shell(f"$G explain {CASES} --json | head -n 1")

    assert (run.returncode, run.stdout, run.stderr) == (0, "[\n", "")


def test_a_full_disk_is_told_in_one_line():
    run = shell(f"$G explain {CASES} > /dev/full")

    assert run.returncode == 2
    assert run.stderr == "framegate: cannot write the output: No space left on device\n"


def test_a_configuration_that_is_not_there_is_bad_usage_not_a_failed_check(tmp_path, capsys):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("colour = 1\n")

    assert main(["config", "check", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err
    assert main(["config", "check", str(wrong)]) == 1


def test_the_example_cases_are_one_permit_one_ban_and_one_redaction(capsys):
    assert main(["explain", CASES]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["till", "ALLOW"],
        ["patrol", "BLOCK"],
        ["redaction", "ALLOW"],
    ]
