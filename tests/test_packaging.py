"""What is shipped: a wheel with its data inside, documents that hold together, help that helps."""

from __future__ import annotations

import argparse
import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge.cli import build_parser
from edge.version import VERSION

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    p.relative_to(ROOT).as_posix()
    for p in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("firmware_bridge/*.md"),
    ]
)
SHIPPED = (
    [("edge/policies", suffix) for suffix in ("*.cedar", "*.cedarschema", "*.json")]
    + [("edge/policies/packs", "*/*")]
    + [("edge/models", suffix) for suffix in ("*.onnx", "*.json", "*.md")]
    + [("edge/daemon/deploy", "*")]
    + [("edge/sandbox/syscalls", "*.json")]
    + [("edge", suffix) for suffix in ("**/*.css", "**/*.js", "**/*.json", "**/*.toml")]
    + [("firmware_bridge", suffix) for suffix in ("*.md", "*.json")]
    + [("firmware_bridge/firmware", suffix) for suffix in ("*.c", "*.h", "*/*.c", "*.ld.in")]
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel built from a copy of what git tracks, so nothing here is touched."""
    copy = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so what belongs to the wheel is not known")
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith("tests/") or not (ROOT / name).exists():
            continue
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            target.symlink_to((ROOT / name).readlink())
        else:
            target.write_bytes((ROOT / name).read_bytes())
    built = subprocess.run(
        [sys.executable, "-c", _BUILD, str(copy)], cwd=copy, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[-2000:]
    (path,) = copy.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


_BUILD = "import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1])"


def test_the_wheel_holds_every_module_and_data_file_the_packages_have(wheel):
    expected = {
        path.relative_to(ROOT).as_posix()
        for folder, pattern in SHIPPED
        for path in (ROOT / folder).glob(pattern)
        if path.is_file() and path.name != "__init__.py" and _tracked(path)
    }
    expected |= {
        path.relative_to(ROOT).as_posix()
        for package in ("edge", "firmware_bridge")
        for path in (ROOT / package).rglob("*.py")
        if _tracked(path)
    }
    expected |= {
        f"framegate_client/{path.name}" for path in (ROOT / "framegate_client").glob("*.py")
    } | {"framegate_client/py.typed"}

    assert expected - set(wheel) == set()
    assert any(name.endswith(".cedar") for name in wheel)


def test_the_client_is_a_wheel_of_its_own_that_asks_for_numpy_alone(tmp_path):
    copy = shutil.copytree(ROOT / "client", tmp_path / "client")
    built = subprocess.run(
        [sys.executable, "-c", _BUILD, str(tmp_path)], cwd=copy, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[-2000:]
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith("METADATA")]

    assert {name for name in names if "dist-info" not in name} == {
        f"framegate_client/{path.name}"
        for path in (ROOT / "client" / "framegate_client").iterdir()
        if path.is_file()
    }
    assert re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE) == ["numpy"]
    assert f"Version: {VERSION}\n" in metadata


def test_the_wheel_holds_no_tests_and_no_footage(wheel):
    assert not [n for n in wheel if n.startswith("tests/") or n.endswith((".mp4", ".mov", ".avi"))]
    assert [n for n in wheel if n.endswith("licenses/LICENSE")]


def _tracked(path: Path) -> bool:
    done = subprocess.run(
        ["git", "ls-files", "--error-unmatch", str(path)], cwd=ROOT, capture_output=True
    )
    return done.returncode == 0


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_in_a_document_leads_somewhere(name):
    text = (ROOT / name).read_text()
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)

    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_end_cleanly_and_close_their_code_blocks(name):
    text = (ROOT / name).read_text()

    assert text.endswith("\n")
    assert "\t" not in re.sub(r"```.*?```", "", text, flags=re.S)
    assert text.count("```") % 2 == 0
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)


def commands(parser: argparse.ArgumentParser, path: str = "") -> dict[str, argparse.ArgumentParser]:
    """Every command and action of the program with its parser."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                found[f"{path}{name}"] = child
                found |= commands(child, f"{path}{name} ")
    return found


# Commands are listed when the tests are collected: a command that cannot load fails every test.
COMMANDS = commands(build_parser())


@pytest.mark.parametrize("name", [n for n in COMMANDS if " " not in n])
def test_every_command_explains_itself_with_examples(name):
    own = [parser for path, parser in COMMANDS.items() if path.split()[0] == name]

    examples = "".join(parser.format_help().partition("examples")[2] for parser in own)

    assert f"framegate {name}" in examples


def test_every_option_of_every_command_has_a_line_of_help():
    silent = [
        f"{name} {action.option_strings or action.dest}"
        for name, parser in COMMANDS.items()
        for action in parser._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]

    assert silent == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_named_in_documents_exist(name):
    text = (ROOT / name).read_text()
    code = "\n".join(
        re.findall(r"```\w*\n(.*?)```", text, flags=re.S) + re.findall(r"`([^`\n]+)`", text)
    )
    named = set(re.findall(r"^(?:\$ )?framegate ([a-z]+)", code, flags=re.M))

    assert named - {n.partition(" ")[0] for n in COMMANDS} == set()


def test_every_run_time_dependency_is_pinned_from_below():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = config["options"]["install_requires"].split("\n")

    assert [w for w in wanted if w.strip() and ">=" not in w and "==" not in w] == []


def test_heavy_modules_are_not_imported_for_help():
    code = "import sys, edge.cli; edge.cli.build_parser(); print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert loaded & {"cv2", "onnxruntime", "cedarpy", "rich"} == set()


def test_the_help_names_the_folders_that_are_used():
    from edge.policy.signed.store import DEFAULT_DIR

    assert str(DEFAULT_DIR) in COMMANDS["policy install"].format_help()


def test_make_alone_lists_every_target():
    rules = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.M)

    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert re.findall(r"^ +make ([\w-]+)", done.stdout, flags=re.M) == rules


def test_the_entry_for_continuous_integration_is_a_sound_script():
    script = ROOT / ".ci" / "run"

    assert script.stat().st_mode & 0o111
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script.read_text()
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_every_run_time_dependency_is_accounted_for():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = re.findall(r"^([\w-]+)", config["options"]["install_requires"], flags=re.M)
    listed = re.findall(r"^\| `([\w-]+)`", (ROOT / "docs/dependencies.md").read_text(), flags=re.M)

    assert sorted(listed) == sorted(wanted)
