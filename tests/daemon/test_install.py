"""`framegate service`: from a site to units, folders and files below a root, and back."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.audit.cosignature import witness_of
from edge.audit.note import Signer
from edge.cli import main
from edge.commands.live import service as service_command
from edge.commissioning.keys import KeyStore, RecordKind
from edge.commissioning.new_site import Answers, make_site
from edge.daemon.settings import load_settings
from edge.errors import UsageError
from edge.fleet.delivery.release import Audience
from edge.models import FETCHED
from edge.models.pull import asset
from edge.sandbox.spec import missing
from tests.support import render

PROGRAM = "/opt/framegate/bin/framegate"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, face_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("site")
    clip = folder / "room.avi"
    render.write_clip(clip, render.lived_in(render.room(), 70))
    answers = Answers(
        source=str(clip),
        site="till-2",
        lane="verify_1_1",
        gallery="self_only",
        operator="private_business",
        by_or_for="neither",
        jurisdiction="EU",
        public=False,
        consent="valid",
        taking_part=True,
        board="virtual",
        dock_id="D-0017",
        dwell_s=1.0,
        matcher=("/opt/matcher/bin/python", "/opt/matcher/match.py"),
        without=tuple(layer.value for layer in missing()),
        trial=True,
    )
    return make_site(folder / "till-2", answers).folder


def service(action: str, *more: object) -> int:
    return main(["service", action, *map(str, more)])


@pytest.mark.slow
def test_a_site_becomes_a_service_with_all_that_it_reads(site: Path, tmp_path: Path) -> None:
    assert (
        service("install", "till-2", "--site", site, "--root", tmp_path, "--program", PROGRAM) == 0
    )

    home = tmp_path / "etc/framegate/till-2"
    settings = load_settings(home / "guard.toml")
    assert settings.plan.audit == Path("/var/lib/framegate/till-2/audit")
    assert settings.status_file == Path("/run/framegate/till-2/status.json")
    assert settings.plan.matcher == load_settings(site / "guard.toml").plan.matcher
    store = KeyStore.open(home / "keys")
    for name, kind in (
        ("device.toml", RecordKind.DEVICE),
        ("session.toml", RecordKind.SESSION),
        ("camera.view", RecordKind.VIEW),
    ):
        store.read_verified(home / name, kind)  # signed still, by the key that stayed behind
    assert not (home / "keys" / "record.key").exists()
    assert (home / "keys" / "log.key").stat().st_mode & 0o777 == 0o600
    unit = (tmp_path / "etc/systemd/system/framegate@.service").read_text()
    assert f"ExecStart={PROGRAM} daemon --config /etc/framegate/%i/guard.toml\n" in unit
    assert "StateDirectory=framegate/%i\n" in unit
    assert "\nSockets=framegate-status@%i.socket\n" in unit
    assert (tmp_path / "etc/udev/rules.d/70-framegate.rules").is_file()
    for name in FETCHED:  # all that a guard needs at its start, for the service has no network
        assert (tmp_path / "var/cache/framegate" / name).read_bytes() == asset(name).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_understands_the_template(site: Path, tmp_path: Path) -> None:
    service("install", "till-2", "--site", site, "--root", tmp_path, "--program", "/bin/true")
    units = tmp_path / "etc/systemd/system"
    named = units / "framegate@till-2.service"
    named.write_text((units / "framegate@.service").read_text())
    (units / "framegate-status@till-2.socket").write_text(
        (units / "framegate-status@.socket").read_text()
    )

    output = subprocess.run(
        ["systemd-analyze", "verify", str(named)], capture_output=True, text=True, timeout=60
    ).stderr

    assert not [line for line in output.splitlines() if "framegate" in line], output


def test_a_courier_is_installed_with_its_group_and_goes_with_the_guard(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eye = witness_of(Signer.generate("witness.example/w1")).text
    witnesses = tmp_path / "witnesses"
    witnesses.write_text(f"witness w1 {eye} https://w1.example/\nquorum w1\n")
    nobody = tmp_path / "nobody"
    nobody.write_text("quorum none\n")
    root = tmp_path / "root"
    options = ("--site", site, "--root", root, "--program", PROGRAM, "--courier")
    assert service("install", "till-2", *options, nobody) == 2
    assert not root.exists()
    assert service("install", "till-2", *options, witnesses) == 0

    unit = (root / "etc/systemd/system/framegate-courier@.service").read_text()
    assert (
        f"ExecStart={PROGRAM} fleet courier --log /var/lib/framegate/%i/audit "
        "--key /etc/framegate-courier/%i.pub --policy /etc/framegate-courier/%i.policy "
        "--out /var/lib/framegate-courier/%i --every 3600\n"
    ) in unit
    assert "BindReadOnlyPaths=/var/lib/framegate/%i/audit\n" in unit
    assert "StateDirectory=framegate-courier/%i\n" in unit
    assert (root / "etc/framegate-courier/till-2.policy").read_text() == witnesses.read_text()
    assert (root / "etc/framegate-courier/till-2.pub").read_text().startswith("framegate")
    assert (root / "var/lib/framegate/till-2/audit").stat().st_mode & 0o777 == 0o710
    assert (root / "etc/systemd/system/framegate@till-2.service.d/courier.conf").is_file()
    assert "enable --now framegate@till-2.service framegate-courier@till-2.service" in (
        capsys.readouterr().out
    )

    assert service("uninstall", "till-2", "--root", root) == 0
    assert list((root / "etc/framegate-courier").iterdir()) == []
    assert list((root / "etc/systemd/system").iterdir()) == []


@pytest.mark.slow
def test_what_fetches_releases_is_installed_runs_as_its_unit_says_and_goes_with_the_guard(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The unit's own command line, with its paths below a root, takes a release over HTTP."""
    pytest.importorskip("tuf", reason="tuf is not installed: framegate[tuf]")
    from tests.fleet.offices import LOG, Office, served

    device = (site / "keys" / "log.pub").read_text().split("/log+")[0]
    office, trust, root = Office(tmp_path / "repo"), tmp_path / "shipped", tmp_path / "root"
    for name, groups in (("all.bin", ()), ("doors.bin", ("doors",)), ("bays.bin", ("bays",))):
        office.hand_out(name, name.encode(), Audience(groups=groups))
    office.hand_out("own.bin", b"own", Audience(devices=(device,)))
    trust.mkdir()
    (trust / "root.json").write_bytes(office.root)
    (trust / "log.pub").write_text(LOG.verifier.text + "\n")
    with served(office.folder) as url:
        options = ("--site", site, "--root", root, "--program", PROGRAM, "--fetch", url)
        more = ("--fetch-trust", trust, "--fetch-group", "doors", "gates")
        assert service("install", "till-2", *options) == 2
        assert service("install", "till-2", *options[:-1], "ftp://x", *more) == 2
        assert not root.exists()
        assert service("install", "till-2", *options, *more) == 0
        assert "enable --now framegate@till-2.service framegate-fetch@till-2.timer" in (
            capsys.readouterr().out
        )

        unit = (root / "etc/systemd/system/framegate-fetch@.service").read_text()
        env_file, command, folder = (
            re.findall(rf"^{key}=(.*)$", unit.replace("%i", "till-2"), re.MULTILINE)[0]
            for key in ("EnvironmentFile", "ExecStart", "StateDirectory")
        )
        (root / "var/lib" / folder).mkdir(parents=True)
        lines = (root / env_file[1:]).read_text().splitlines()
        env = {key: shlex.split(text)[0] for key, _, text in (one.partition("=") for one in lines)}
        command = command.replace("${SOURCE}", env["SOURCE"]).replace("$OPTIONS", env["OPTIONS"])
        words = command.replace(" /etc/", f" {root}/etc/").replace(" /var/", f" {root}/var/")
        assert words.startswith(f"{PROGRAM} fleet fetch {url} --device {device} --group doors ")
        assert main(words.split()[1:]) == 0

    current = root / "var/lib/framegate-fetch/till-2/releases/current"
    assert {path.name for path in current.glob("model/*")} == {"all.bin", "doors.bin", "own.bin"}
    timer = root / "etc/systemd/system/framegate-fetch@.timer"
    assert "OnUnitInactiveSec=1h\n" in timer.read_text()
    assert service("uninstall", "till-2", "--root", root) == 0
    assert list((root / "etc/framegate-fetch").iterdir()) == []
    assert list((root / "etc/systemd/system").iterdir()) == []
    assert current.is_dir()  # and what was seen, which must not be forgotten


def test_two_guards_stand_beside_each_other_and_one_goes_alone(site: Path, tmp_path: Path) -> None:
    for name in ("till-2", "till-3"):
        options = ("--root", tmp_path, "--program", PROGRAM, "--own-user")
        assert service("install", name, "--site", site, *options) == 0
    units = tmp_path / "etc/systemd/system"
    (tmp_path / "var/lib/framegate/till-2/audit").mkdir()

    assert service("uninstall", "till-2", "--root", tmp_path) == 0

    assert not (units / "framegate@till-2.service.d").exists()
    assert (units / "framegate@till-3.service.d/own-user.conf").is_file()
    assert (units / "framegate@.service").is_file()
    assert (tmp_path / "etc/framegate/till-2.removed/keys/log.key").is_file()
    assert (tmp_path / "var/lib/framegate/till-2/audit").is_dir()  # a log is never removed
    shutil.rmtree(tmp_path / "etc/framegate/till-2.removed")
    assert service("uninstall", "till-3", "--root", tmp_path) == 0
    assert list(units.iterdir()) == []


@pytest.mark.parametrize("port", ["/dev/serial0", "/dev/ttyUSB0", "/dev/ttyACM0", "virtual"])
def test_a_guard_may_open_the_port_of_its_board(site: Path, tmp_path: Path, port: str) -> None:
    own = shutil.copytree(site, tmp_path / "site")
    text = (own / "guard.toml").read_text()
    (own / "guard.toml").write_text(text.replace('board = "virtual"', f'board = "{port}"'))
    root = tmp_path / "root"

    assert service("install", "till-2", "--site", own, "--root", root, "--program", PROGRAM) == 0

    assert load_settings(root / "etc/framegate/till-2/guard.toml").plan.board == port
    drop_in = root / "etc/systemd/system/framegate@till-2.service.d/board.conf"
    lines = drop_in.read_text().splitlines() if drop_in.exists() else []
    wanted = [f"DeviceAllow={port} rw", "SupplementaryGroups=dialout"]
    assert lines[-2:] == (wanted if port in ("/dev/serial0", "/dev/ttyUSB0") else [])
    assert service("uninstall", "till-2", "--root", root) == 0
    assert not drop_in.exists()


def test_units_that_a_package_brought_are_the_packages(site: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "usr/lib/systemd/system/framegate@.service"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("the package's")
    options = ("--root", tmp_path, "--program", "/usr/bin/framegate")

    assert service("install", "till-2", "--site", site, *options) == 0

    assert not (tmp_path / "etc/systemd/system/framegate@.service").exists()
    assert not (tmp_path / "etc/udev/rules.d/70-framegate.rules").exists()
    assert (tmp_path / "etc/framegate/till-2/guard.toml").exists()
    assert (tmp_path / "var/cache/framegate/centerface.onnx").exists()
    assert service("upgrade", *options) == 0
    assert service("uninstall", "till-2", "--root", tmp_path) == 0
    assert theirs.read_text() == "the package's"
    assert (tmp_path / "etc/framegate/till-2.removed/keys/log.key").exists()


def test_a_dry_run_names_every_file_and_writes_none(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--site", site, "--root", tmp_path / "r", "--program", PROGRAM)
    assert service("install", "till-2", *options, "--dry-run") == 0
    planned = {line.split()[1] for line in capsys.readouterr().out.splitlines() if " /" in line}
    assert not (tmp_path / "r").exists()

    assert service("install", "till-2", *options) == 0
    made = {str(path) for path in (tmp_path / "r").rglob("*") if path.is_file()}
    assert made <= planned


def test_nothing_is_overwritten_and_an_upgrade_leaves_the_site_alone(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--root", tmp_path, "--program", PROGRAM)
    assert service("upgrade", *options) == 2
    assert service("install", "till-2", "--site", site, *options) == 0
    config = tmp_path / "etc/framegate/till-2/guard.toml"
    config.write_text(config.read_text() + "# mine\n")
    unit = tmp_path / "etc/systemd/system/framegate@.service"
    unit.write_text("of an older version")

    assert service("install", "till-2", "--site", site, *options) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert unit.read_text() == "of an older version"
    assert service("upgrade", *options) == 0
    assert PROGRAM in unit.read_text()
    assert config.read_text().endswith("# mine\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("../x", "--program", PROGRAM), "small letters"),
        (("till-2", "--program", "/home/me/venv/bin/framegate"), "does not see"),
        (("till-2", "--program", PROGRAM, "--site", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_installed_is_one_line_and_leaves_nothing(
    site: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    named: str,
) -> None:
    root = tmp_path / "r"
    assert service("install", "--site", site, "--root", root, *arguments) == 2
    said_lines = capsys.readouterr().err.splitlines()
    assert len(said_lines) == 1
    assert named in said_lines[0]
    assert not os.path.lexists(root)


def test_each_matcher_of_a_site_is_installed_with_its_signed_session(
    site: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(site, mine)
    (mine / "counting.toml").write_text('operation = "detect"\ngallery = "none"\n')
    KeyStore.open(mine / "keys").sign_file(mine / "counting.toml", RecordKind.SESSION)
    with (mine / "guard.toml").open("a") as config:
        config.write('[[also]]\nsession = "counting.toml"\ncommand = ["/opt/count"]\n')

    root = tmp_path / "r"
    assert service("install", "till-2", "--site", mine, "--root", root, "--program", PROGRAM) == 0

    home = root / "etc/framegate/till-2"
    (other,) = load_settings(home / "guard.toml").plan.others
    assert (other.session, other.matcher) == (home / "counting.toml", ("/opt/count",))
    assert other.audit == Path("/var/lib/framegate/till-2/also/counting/audit")
    KeyStore.open(home / "keys").read_verified(other.session, RecordKind.SESSION)


def moved_apart(site: Path, folder: Path, session: str) -> Path:
    """The site with its session record in a folder of its own, under the name `session`."""
    shutil.copytree(site, folder)
    (folder / "session").mkdir()
    for end in ("", ".sig"):
        (folder / f"session.toml{end}").rename(folder / "session" / f"{session}{end}")
    config = folder / "guard.toml"
    text = config.read_text()
    assert text.count('"session.toml"') == 1
    config.write_text(text.replace('"session.toml"', f'"session/{session}"'))
    return folder


@pytest.mark.parametrize("session", ["device.toml", "guard.toml", "camera.view", "keys"])
def test_records_that_would_overwrite_each_other_are_refused_in_one_line(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], session: str
) -> None:
    there, root = moved_apart(site, tmp_path / "site", session), tmp_path / "r"
    capsys.readouterr()

    assert service("install", "x", "--site", there, "--root", root, "--program", PROGRAM) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert "expected a file name of its own for each record" in line
    assert f"session/{session}" in line
    assert not root.exists()


def test_records_of_two_folders_are_installed_beside_each_other(site: Path, tmp_path: Path) -> None:
    there, root = moved_apart(site, tmp_path / "site", "session.toml"), tmp_path / "r"

    assert service("install", "x", "--site", there, "--root", root, "--program", PROGRAM) == 0

    home = root / "etc/framegate/x"
    store = KeyStore.open(home / "keys")
    settings = load_settings(home / "guard.toml")
    assert settings.plan.device != settings.plan.session
    store.read_verified(settings.plan.device, RecordKind.DEVICE)
    store.read_verified(settings.plan.session, RecordKind.SESSION)


def test_who_is_not_installed_cannot_be_removed(tmp_path: Path) -> None:
    assert service("uninstall", "till-2", "--root", tmp_path) == 2


@pytest.mark.parametrize("ends", [True, False])
def test_a_tool_that_does_not_end_is_one_line_and_one_that_ends_is_none(
    ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        if ends:
            return subprocess.CompletedProcess(command, 0, "", "")
        raise subprocess.TimeoutExpired(command, 1.0)

    monkeypatch.setattr("edge.commands.live.service.subprocess.run", run)
    monkeypatch.setattr("edge.commands.live.service.shutil.which", lambda *_, **__: "/sbin/useradd")
    args = argparse.Namespace(root=Path("/"), dry_run=False)

    if ends:
        service_command._run(args, ["useradd", "framegate"])
        return
    with pytest.raises(UsageError, match=r"useradd framegate: no end after \d+ s"):
        service_command._run(args, ["useradd", "framegate"])
