"""What would stop a start is found before it, all at once, as the user who will start it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edge import isolation
from edge.cli import main
from edge.commands.live._user import current
from edge.commissioning.keys import RecordKind
from edge.guard.obstacles import obstacles
from edge.guard.plan import Plan
from tests.support import render
from tests.support.guards import Site, site

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def commissioned(tmp_path_factory: pytest.TempPathFactory, face_model: Path) -> Site:
    folder = tmp_path_factory.mktemp("kiosk")
    clip = render.write_clip(folder / "room.avi", render.still(render.room(), 90))
    return site(folder / "site", clip, clip, face_model)


@pytest.fixture
def kiosk(commissioned: Site, tmp_path: Path) -> Site:
    """A copy that a test may spoil."""
    folder = tmp_path / "site"
    shutil.copytree(commissioned.folder, folder)
    return Site(folder, type(commissioned.store)(folder / "keys"), commissioned.clip)


def plan(place: Site) -> Plan:
    keys = place.store.directory
    return Plan(
        str(place.clip), place.device, place.session, keys=keys, audit=place.folder / "audit"
    )


def spoil_device(place: Site) -> None:
    place.device.write_text("camera = [")
    place.store.sign_file(place.device, RecordKind.DEVICE)


def spoil_session(place: Site) -> None:
    place.session.write_text('operation = "fly"\n')
    place.store.sign_file(place.session, RecordKind.SESSION)


SPOILED: list[tuple[Callable[[Site], object], str]] = [
    (spoil_device, "D.toml"),
    (spoil_session, "S.toml"),
    (lambda p: (p.folder / "S.toml.sig").unlink(), "S.toml is unsigned"),
    (lambda p: (p.folder / "site.view").write_bytes(b"no view"), "site.view"),
    (lambda p: (p.folder / "keys/log.key").unlink(), "log.key"),
    (lambda p: (p.folder / "keys/board.key").write_text("12\n"), "board.key"),
    (lambda p: (p.folder / "keys/log.key").chmod(0o644), "log.key: may be read by others"),
    (lambda p: (p.folder / "keys/record.pub").unlink(), "no keys in"),
    (lambda p: (p.folder / "audit").write_text(""), "audit"),
]


def test_a_whole_site_has_no_obstacles_and_nothing_is_written(kiosk: Site) -> None:
    before = sorted(kiosk.folder.rglob("*"))

    assert obstacles(plan(kiosk)) == []
    assert sorted(kiosk.folder.rglob("*")) == before


@pytest.mark.parametrize(("spoil", "expected"), SPOILED)
def test_each_fault_is_one_line_that_names_it(
    kiosk: Site, spoil: Callable[[Site], object], expected: str
) -> None:
    spoil(kiosk)

    (line,) = obstacles(plan(kiosk))

    assert expected in line
    assert "\n" not in line


def test_a_missing_detector_is_found(
    kiosk: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))

    (line,) = obstacles(plan(kiosk))

    assert "centerface.onnx" in line and "framegate models pull" in line
    assert str(tmp_path / "empty") in line


def test_missing_programs_and_recordings_are_found(
    kiosk: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plan(kiosk)
    gone = Plan("none.avi", whole.device, whole.session, keys=whole.keys, audit=whole.audit)
    assert obstacles(gone) == ["source none.avi: cannot be read: No such file or directory"]

    matcher = Plan(
        whole.source,
        whole.device,
        whole.session,
        keys=whole.keys,
        audit=whole.audit,
        matcher=("no-such-matcher",),
    )
    (line,) = obstacles(matcher)
    assert "no-such-matcher" in line

    monkeypatch.setenv("PATH", "/nonexistent")
    piped = Plan(
        "gst:v4l2src", whole.device, whole.session, keys=whole.keys, board="/dev/x", audit=Path("a")
    )
    assert any("gst-launch-1.0" in line for line in obstacles(piped))


def test_one_fault_does_not_hide_the_next(kiosk: Site) -> None:
    spoil_device(kiosk)
    spoil_session(kiosk)
    (kiosk.folder / "keys/log.key").unlink()

    found = obstacles(plan(kiosk))

    assert [name for name in ("D.toml", "S.toml", "log.key") if name in "".join(found)] == [
        "D.toml",
        "S.toml",
        "log.key",
    ]


def configured(kiosk: Site) -> Path:
    file = kiosk.folder / "guard.toml"
    file.write_text(
        f'source = "{kiosk.clip}"\ndevice = "D.toml"\nsession = "S.toml"\nkeys = "keys"\n'
    )
    return file


def test_check_and_doctor_tell_the_same(kiosk: Site, capsys: pytest.CaptureFixture[str]) -> None:
    file = configured(kiosk)
    assert main(["config", "check", str(file)]) == 0
    main(["doctor", "--quick", "--config", str(file)])
    assert "configuration: " in (output := capsys.readouterr().out)
    assert "a start would pass" in output

    spoil_session(kiosk)

    assert main(["config", "check", str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert main(["doctor", "--quick", "--config", str(file)]) == 1
    assert line in capsys.readouterr().out


def run_check(kiosk: Site, *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, *isolation.python("edge.cli", "config", "check", str(configured(kiosk)))]
    return subprocess.run(command, env=isolation.environment(), capture_output=True, text=True)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
)
def test_keys_that_the_service_may_not_read_are_found(kiosk: Site) -> None:
    """Without capabilities root is a user like any other: what is not its own is closed to it."""
    bare = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
    keys = kiosk.store.directory

    done = run_check(kiosk, *bare)
    assert (done.returncode, done.stderr) == (0, "")
    shutil.chown(keys / "log.key", "nobody")
    shutil.chown(keys / "board.key", "nobody")
    done = run_check(kiosk, *bare)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"cannot read {keys / name}: Permission denied" for name in ("log.key", "board.key")
    ]
    keys.chmod(0o700)
    shutil.chown(keys, "nobody")
    done = run_check(kiosk, *bare)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"cannot read {keys / 'record.pub'}: Permission denied"]


def test_a_user_who_is_not_there_and_oneself(
    kiosk: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(configured(kiosk))

    assert main(["config", "check", "--user", "no-such-user", file]) == 2
    assert "expected a user of this machine" in capsys.readouterr().err
    assert main(["config", "check", "--user", current(), file]) == 0
    assert f"by the user {current()} would pass" in capsys.readouterr().out


def test_another_user_is_become_or_one_line_says_why_not(kiosk: Site) -> None:
    """Here the site lies in a folder of ours: as somebody else nothing of it can be read."""
    command = isolation.python("edge.cli", "config", "check", "--user", "nobody")
    kiosk.folder.parent.chmod(0o700)

    done = subprocess.run(
        [*command, str(configured(kiosk))],
        env=isolation.environment(),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "only root" in line or "may not run" in line or "cannot be read" in line


@pytest.mark.parametrize(("port", "says"), [("none", "no port"), ("site", "not a serial port")])
def test_a_board_that_is_not_there_stops_a_run_before_it_starts_with_one_line(
    kiosk: Site, tmp_path: Path, port: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "--source", str(kiosk.clip), "--board", str(tmp_path / port)]
    command += ["--device", str(kiosk.device), "--session", str(kiosk.session)]
    command += ["--keys", str(kiosk.store.directory), "--out", str(tmp_path / "out")]

    assert main(command) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not (tmp_path / "out").exists()
