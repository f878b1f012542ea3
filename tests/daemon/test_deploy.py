"""What is shipped for systemd and udev holds, as far as their own tools can say."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

import edge.daemon
from edge.daemon.service import bound
from edge.daemon.setting_keys import Listen
from edge.daemon.settings import load_settings
from edge.errors import UsageError
from edge.models.pull import assets_dir

DEPLOY = Path(edge.daemon.__path__[0]) / "deploy"
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def exposure(unit: Path) -> float:
    output = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    found = re.search(r"exposure level for \S+: ([\d.]+)", output)
    assert found is not None, output
    return float(found[1])


@pytest.mark.slow
@needs_systemd
def test_the_unit_exposes_little(tmp_path: Path) -> None:
    unit = shutil.copy(DEPLOY / "framegate.service", tmp_path)
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")

    assert exposure(Path(unit)) <= 1.5
    assert exposure(bare) > 9


@needs_systemd
@pytest.mark.parametrize(
    ("name", "most"),
    # 0.4 buys the matcher's own mounts and capset; a group more costs 0.1
    [("own-user.conf", 1.9), ("board.conf", 1.6)],
)
def test_what_a_guard_needs_besides_costs_little_exposure(
    name: str, most: float, tmp_path: Path
) -> None:
    unit = Path(shutil.copy(DEPLOY / "framegate.service", tmp_path))
    drop_in = tmp_path / "framegate.service.d"
    drop_in.mkdir()
    shutil.copy(DEPLOY / name, drop_in)

    assert exposure(unit) <= most


@needs_systemd
def test_the_couriers_unit_exposes_little_and_the_guards_share_little_with_it(
    tmp_path: Path,
) -> None:
    courier = Path(shutil.copy(DEPLOY / "framegate-courier.service", tmp_path))
    unit = Path(shutil.copy(DEPLOY / "framegate.service", tmp_path))
    drop_in = tmp_path / "framegate.service.d"
    drop_in.mkdir()
    shutil.copy(DEPLOY / "courier.conf", drop_in)

    assert exposure(courier) <= 1.3
    assert exposure(unit) <= 1.7


@needs_systemd
def test_what_fetches_releases_exposes_little_and_sees_nothing_of_the_guards() -> None:
    text = (DEPLOY / "framegate-fetch.service").read_text()
    hidden = re.findall(r"^InaccessiblePaths=(.*)$", text, re.MULTILINE)

    assert exposure(DEPLOY / "framegate-fetch.service") <= 1.3
    for place in ("/etc/framegate", "/var/lib/framegate", "/run/framegate"):
        assert f"-{place}" in " ".join(hidden).split()


@pytest.mark.slow
@needs_systemd
def test_the_units_are_understood(tmp_path: Path) -> None:
    for name in (
        "framegate.service",
        "framegate-status.socket",
        "framegate-courier.service",
        "framegate-fetch.service",
        "framegate-fetch.timer",
    ):
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/framegate/bin/framegate", "/bin/true"))

    output = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        timeout=60,
    ).stderr

    assert not [
        line for line in output.splitlines() if str(tmp_path) in line or "framegate" in line
    ]


def test_the_example_configuration_holds_and_agrees_with_the_units() -> None:
    found = load_settings(DEPLOY / "guard.toml")
    socket_unit = (DEPLOY / "framegate-status.socket").read_text()

    assert found.listen is not None
    assert f"ListenStream={found.listen.host}:{found.listen.port}\n" in socket_unit
    unit = (DEPLOY / "framegate.service").read_text()
    for folder in (found.plan.audit.parent, found.status_file.parent):
        kind = {"lib": "StateDirectory", "run": "RuntimeDirectory"}[folder.parts[-2]]
        assert f"{kind}={folder.name}\n" in unit


def test_the_board_has_the_name_that_the_configuration_uses() -> None:
    rules = (DEPLOY / "70-framegate.rules").read_text()

    assert f'SYMLINK+="{Path(load_settings(DEPLOY / "guard.toml").plan.board).name}"' in rules
    assert all(
        'MODE="0660"' in line for line in rules.splitlines() if line and not line.startswith("#")
    )


def lines(key: str) -> list[str]:
    """The values of a key of the unit."""
    unit = (DEPLOY / "framegate.service").read_text()
    return re.findall(rf"^{key}=(.*)$", unit, flags=re.M)


def test_the_service_looks_for_the_detector_where_the_unit_gives_it_a_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for words in lines("Environment"):
        monkeypatch.setenv(*words.split("=", 1))

    (folder,) = lines("CacheDirectory")
    assert assets_dir() == Path("/var/cache", folder)
    assert f"{assets_dir()}" in (DEPLOY.parents[2] / "docs/operate.md").read_text()


def allowed(*texts: str) -> set[str]:
    """The system calls that `SystemCallFilter=` lets by, line after line."""
    found: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", "\n".join(texts), flags=re.M):
        deny = line.startswith("~")
        for word in line.removeprefix("~").split():
            calls = members(word) if word.startswith("@") else {word}
            found = found - calls if deny else found | calls
    return found


def members(name: str) -> set[str]:
    """The system calls of one of systemd's sets, and of the sets in it."""
    asked = ["systemd-analyze", "syscall-filter", name]
    text = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout
    words = {line.strip() for line in text.splitlines()[1:] if not line.strip().startswith("#")}
    inner = {word for word in words if word.startswith("@")}
    return set().union(words - inner, *map(members, inner))


@pytest.mark.slow
@needs_systemd
def test_the_unit_leaves_the_matchers_sandbox_what_it_is_built_with() -> None:
    unit, own_user = (
        (DEPLOY / name).read_text() for name in ("framegate.service", "own-user.conf")
    )
    needed = {
        *("unshare", "mount", "capset", "prctl", "seccomp", "setrlimit"),
        *(f"landlock_{work}" for work in ("create_ruleset", "add_rule", "restrict_self")),
    }
    becoming = {"setresuid", "setresgid", "setgroups"}

    assert needed - allowed(unit) == set()
    assert becoming - allowed(unit, own_user) == set()
    assert (
        allowed(unit) & {"setresuid", "setgroups"} == set()
    )  # the twin: nobody without the drop-in
    assert "bpf" not in allowed(unit, own_user)
    assert set(lines("RestrictNamespaces")[0].split()) == {"user", "net", "mnt"}


def test_the_service_takes_its_socket_from_the_socket_unit_for_it_may_open_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unit = (DEPLOY / "framegate.service").read_text()
    listen = Listen("127.0.0.1", 0)

    free = bound(listen)
    assert free is not None
    with contextlib.closing(free):
        assert free.getsockname()[1] != 0
    assert "\nRestrictAddressFamilies=AF_UNIX\n" in unit
    assert "\nSockets=framegate-status.socket\n" in unit

    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr("edge.daemon.service.socket.socket", refuse)
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:0 cannot be used: Address family"):
        bound(listen)
