"""The unit's command runs with the unit's own folders and rights, in a scratch root."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import edge.daemon
from edge import isolation
from tests.support.guards import Site, site

pytestmark = [
    pytest.mark.guard,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
    ),
]
DEPLOY = Path(edge.daemon.__path__[0]) / "deploy"
PLACES = ("/etc/framegate", "/var/lib/framegate", "/var/cache", "/run/framegate")
# What systemd would take away: CapabilityBoundingSet=, NoNewPrivileges=yes. The user stays, for
# another may not be able to read this interpreter.
BARE = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
WAIT_S = 45.0


class Scratch:
    """A root of its own: the shipped files with its folder before every path."""

    def __init__(self, root: Path, place: Site) -> None:
        self.root = root
        for folder in PLACES:
            (root / folder[1:]).mkdir(parents=True)
        etc = root / "etc/framegate"
        shutil.copytree(place.store.directory, etc / "keys")
        for ours, theirs in (("D.toml", "device.toml"), ("S.toml", "session.toml")):
            shutil.copy(place.folder / ours, etc / theirs)
            shutil.copy(place.folder / f"{ours}.sig", etc / f"{theirs}.sig")
        for name in ("site.view", "site.view.sig"):
            shutil.copy(place.folder / name, etc)
        text = self.moved((DEPLOY / "guard.toml").read_text())
        text = text.replace('source = "0"', f'source = "{place.clip}"')  # no camera, no board here
        text = re.sub(r'^board = ".*"$', 'board = "virtual"', text, flags=re.M)
        text = re.sub(r"^listen = .*$", 'listen = ""', text, flags=re.M)
        text = re.sub(r"^\[matcher\]\n(.+\n)*", "", text, flags=re.M)
        (etc / "guard.toml").write_text(text)

    def moved(self, text: str) -> str:
        for place in PLACES:
            text = text.replace(place, f"{self.root}{place}")
        return text

    def unit(self, key: str) -> list[str]:
        unit = (DEPLOY / "framegate.service").read_text()
        return [self.moved(value) for value in re.findall(rf"^{key}=(.*)$", unit, flags=re.M)]

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """ExecStart as it stands, with this interpreter's command for the installed one."""
        program, *rest = shlex.split(self.unit("ExecStart")[0])
        assert Path(program).name == "framegate"
        set_ = dict(words.split("=", 1) for words in self.unit("Environment"))
        names = {**isolation.environment(), "HOME": "/nonexistent", **set_}
        command = [*BARE, sys.executable, "-I", isolation.__file__, "edge.cli", *rest]
        with log.open("wb") as file:
            return subprocess.Popen(command, env=names, cwd="/", stdout=file, stderr=file)


@pytest.fixture(scope="module")
def kiosk(
    tmp_path_factory: pytest.TempPathFactory, lived_in: Callable[[int], Path], face_model: Path
) -> Site:
    clip = lived_in(300)
    return site(tmp_path_factory.mktemp("kiosk") / "site", clip, clip, face_model)


def test_the_service_ends_at_once_and_says_what_lacks_if_nobody_fetched_the_detector(
    kiosk: Site, tmp_path: Path
) -> None:
    scratch = Scratch(tmp_path / "root", kiosk)

    process = scratch.start(tmp_path / "log")

    assert process.wait(timeout=WAIT_S) == 2
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert "framegate models pull" in line
    assert str(scratch.root / "var/cache/framegate") in line


def test_the_service_starts_once_the_detector_was_fetched(
    kiosk: Site, face_model: Path, tmp_path: Path
) -> None:
    scratch = Scratch(tmp_path / "root", kiosk)
    cache = scratch.root / "var/cache/framegate"
    cache.mkdir()
    for model in filter(Path.is_file, face_model.parent.iterdir()):  # not the folders beside them
        shutil.copy(model, cache)
    status = scratch.root / "run/framegate/status.json"

    process = scratch.start(tmp_path / "log")
    try:
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until and process.poll() is None:
            if status.exists() and '"phase":"running"' in status.read_text().replace(" ", ""):
                break
            time.sleep(0.05)
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert '"phase":"running"' in status.read_text().replace(" ", "")
    finally:
        process.terminate()
        code = process.wait(timeout=WAIT_S)
    assert code == 0
    assert (scratch.root / "var/lib/framegate/audit/segments").is_dir()
