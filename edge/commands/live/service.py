"""`framegate service`: guards as systemd services, several on one machine."""

from __future__ import annotations

import argparse
import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from edge import isolation
from edge.commands._options import SEVERAL, Actions, Options
from edge.errors import UsageError, failing, meaning
from edge.files import read_named, write_whole

if TYPE_CHECKING:
    from edge.daemon.placed import Placed

_TOOL_S = 700  # systemctl waits for the start, which a slow device may give 600 s
EXAMPLES = """\
examples:
  framegate service install till-2 --site till-2 --dry-run     what would be written
  sudo framegate service install till-2 --site till-2          and framegate@till-2.service runs
  sudo framegate service install till-2 --site till-2 --courier witnesses
                                                               and framegate-courier@till-2.service
  sudo framegate service install till-2 --site till-2 --fetch https://fleet.example/repo \
      --fetch-trust shipped --fetch-group doors                and framegate-fetch@till-2.timer
  sudo framegate service upgrade                               units and models of this version
  sudo framegate service uninstall till-2                      keys, records and log stay

The site is a folder that `framegate init` made. The key that signs records is not copied.
--root PREFIX writes below another folder, starts nothing and makes no user: for an image.
"""


def register(commands: Actions) -> None:
    actions = commands.add_group(
        "service",
        "install, upgrade and remove guards as systemd services",
        description="Guards as systemd services: framegate@NAME.service, several on a machine.",
        epilog=EXAMPLES,
    )
    shared = Options.shared()
    shared.path("--root PREFIX", "write below this folder", default=Path("/"))
    shared.flag("--dry-run", "print what would be done; change nothing")
    program = Options.shared()
    program.text(
        "--program PATH",
        "the framegate command that the service runs (default: this one)",
        default=str(Path(sys.executable).with_name("framegate")),
    )
    install = actions.add(
        "install", "from a site to a running service", _install, parents=[shared, program]
    )
    install.text("name NAME", "of the guard")
    install.path("--site DIR", "by framegate init", required=True)
    install.flag("--own-user", "the matcher gets a user of its own")
    install.path(
        "--courier POLICY", "and a courier, as a user of its own, to the witnesses of this file"
    )
    install.text(
        "--fetch URL",
        "and what takes releases from this TUF repository once an hour, as a user of its own",
    )
    install.path(
        "--fetch-trust DIR",
        "with --fetch: root.json and log.pub of the repository; witnesses, if there are any",
    )
    install.text("--fetch-group NAME", "groups of this device", **SEVERAL)
    actions.add(
        "upgrade",
        "units, udev rule and models of this version",
        _upgrade,
        parents=[shared, program],
    )
    uninstall = actions.add("uninstall", "stop and remove a guard", _uninstall, parents=[shared])
    uninstall.text("name NAME", "of the guard")


def _install(args: argparse.Namespace) -> int:
    from edge.daemon.fleet_units import COURIER, FETCH, courier_files
    from edge.daemon.install import ETC, USER, machine_files, site_files
    from edge.daemon.settings import load_settings

    placed = [
        *machine_files(args.program, _models(), packaged=_packaged(args.root)),
        *site_files(args.name, args.site, own_user=args.own_user),
    ]
    units = [f"framegate@{args.name}.service"]
    if args.courier is not None:
        log_key = load_settings(args.site / "guard.toml").keys / "log.pub"
        placed += courier_files(args.name, log_key, _policy(args.courier))
        units.append(f"{COURIER}@{args.name}.service")
    if args.fetch is not None or args.fetch_trust is not None or args.fetch_group:
        placed += _fetch(args)
        units.append(f"{FETCH}@{args.name}.timer")
    if os.path.lexists(args.root / ETC / args.name):
        raise UsageError(
            f"{args.root / ETC / args.name} is there already: nothing is overwritten; uninstall it "
            "and move it away, or name another guard"
        )
    _user(args, USER)
    if args.courier is not None:
        _user(args, COURIER)
    if args.fetch is not None:
        _user(args, FETCH)
    _write(args, placed)
    _run(args, ["systemctl", "daemon-reload"])
    _run(args, ["udevadm", "control", "--reload"])
    _run(args, ["systemctl", "enable", "--now", *units])
    print(f"next: framegate config check --user framegate /{ETC}/{args.name}/guard.toml")
    return 0


def _upgrade(args: argparse.Namespace) -> int:
    from edge.daemon.install import machine_files
    from edge.daemon.placed import UNITS

    packaged = _packaged(args.root)
    if not packaged and not (args.root / UNITS / "framegate@.service").exists():
        raise UsageError(f"no guard is installed below {args.root}: expected framegate@.service")
    _write(args, list(machine_files(args.program, _models(), packaged=packaged)))
    _run(args, ["systemctl", "daemon-reload"])
    _run(args, ["systemctl", "try-restart", "framegate@*.service", "framegate-courier@*.service"])
    return 0


def _uninstall(args: argparse.Namespace) -> int:
    from edge.daemon.fleet_units import COURIER, FETCH, own_files
    from edge.daemon.install import ETC, NAME, RULES, own_units
    from edge.daemon.placed import STATE, UNITS

    home = args.root / ETC / args.name
    if not NAME.fullmatch(args.name) or not home.is_dir():
        raise UsageError(f"no guard {args.name!r} is installed below {args.root}")
    units = [f"framegate@{args.name}.service"]
    fleet = [args.root / path for path in own_files(args.name) if (args.root / path).exists()]
    for folder, unit in ((COURIER, "service"), (FETCH, "timer")):
        if any(path.parent.name == folder for path in fleet):
            units.append(f"{folder}@{args.name}.{unit}")
    _run(args, ["systemctl", "disable", "--now", *units])
    others = [path for path in home.parent.iterdir() if path != home and path.is_dir()]
    gone = [*fleet, *(args.root / unit for unit in own_units(args.name))]
    if not others:
        gone += [args.root / UNITS / unit for unit in _TEMPLATES] + [args.root / RULES]
    for path in filter(os.path.lexists, gone):
        print(f"remove {path}")
        if not args.dry_run:
            _remove(path)
    kept = home.with_name(f"{args.name}.removed")
    if kept.exists():
        raise UsageError(f"{kept} is there already: move it away first")
    print(f"keep {home} as {kept}, and the log in {args.root / STATE / args.name}")
    if not args.dry_run:
        home.rename(kept)
    _run(args, ["systemctl", "daemon-reload"])
    return 0


_TEMPLATES = (
    "framegate@.service",
    "framegate-status@.socket",
    "framegate-courier@.service",
    "framegate-fetch@.service",
    "framegate-fetch@.timer",
)


def _packaged(root: Path) -> bool:
    """Whether the units came with a package; then it alone writes and upgrades them."""
    from edge.daemon.install import PACKAGED

    return (root / PACKAGED / _TEMPLATES[0]).exists()


def _models() -> dict[str, bytes]:
    """The models that a guard needs, with their digests checked: it has no network."""
    from edge.models import FETCHED
    from edge.models.pull import asset

    return {name: read_named(asset(name), 1 << 30) for name in FETCHED}


def _policy(path: Path) -> bytes:
    """The bytes of a policy with a witness to visit."""
    from edge.commands._fleet._common import checked_policy

    data, policy = checked_policy(path)
    if not any(named.url for named in policy.witnesses):
        raise UsageError(f"{path}: expected a witness with its URL, to visit")
    return data


def _fetch(args: argparse.Namespace) -> list[Placed]:
    """What takes the releases of the site's device."""
    from edge.commissioning.keys import read_verifier
    from edge.daemon.fleet_units import fetch_files
    from edge.daemon.settings import load_settings
    from edge.fleet.state.message import device_of

    if args.fetch is None or args.fetch_trust is None:
        raise UsageError("--fetch URL and --fetch-trust DIR belong together")
    key = read_verifier(load_settings(args.site / "guard.toml").keys / "log.pub")
    device = device_of(key.name)
    return list(fetch_files(args.name, args.fetch, args.fetch_trust, device, args.fetch_group))


def _user(args: argparse.Namespace, name: str) -> None:
    """A user of that name, and a group of its own."""
    from edge.daemon.placed import STATE

    with contextlib.suppress(KeyError):
        pwd.getpwnam(name)
        return
    home = f"/{STATE}"
    options = ["--system", "--user-group", "--home-dir", home, "--shell", "/usr/sbin/nologin"]
    _run(args, ["useradd", *options, name])


def _write(args: argparse.Namespace, placed: Iterable[Placed]) -> None:
    """Write everything, or with --dry-run say what."""
    from edge.daemon.install import USER

    owner = None
    if not args.dry_run and os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            owner = pwd.getpwnam(USER)
    for item in placed:
        path = args.root / item.path
        print(f"{'folder' if item.data is None else 'write'} {path} {item.mode:04o}")
        if args.dry_run:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if item.data is None:
                path.mkdir(exist_ok=True)
                path.chmod(item.mode)
            else:
                write_whole(path, item.data, item.mode)
            if owner is not None and item.owned:
                os.chown(path, owner.pw_uid, _gid(item.group, owner.pw_gid))
        except OSError as err:
            raise UsageError(f"cannot write {path}: {err.strerror} (root can)") from err


def _gid(group: str, own: int) -> int:
    """The number of a group; `own` where none is named, or it is not made on this machine."""
    if group:
        with contextlib.suppress(KeyError):
            return grp.getgrnam(group).gr_gid
    return own


def _run(args: argparse.Namespace, command: list[str]) -> None:
    """Run a tool of the system, where this is the system itself and it is running."""
    here = args.root == Path("/") and not args.dry_run
    path = isolation.search_path(os.environ)
    running = command[0] == "useradd" or Path("/run/systemd/system").is_dir()
    if not here or not running or shutil.which(command[0], path=path) is None:
        print(f"run   {' '.join(command)}")
        return
    late = f"{' '.join(command)}: no end after {_TOOL_S} s: journalctl says what it waits for"
    with meaning(late, subprocess.TimeoutExpired):
        done = subprocess.run(
            command, env=isolation.environment(), capture_output=True, text=True, timeout=_TOOL_S
        )
    if done.returncode != 0:
        reason = done.stderr.strip().partition("\n")[0] or f"code {done.returncode}"
        raise UsageError(f"{' '.join(command)}: {reason}")


def _remove(path: Path) -> None:
    with failing(f"cannot remove {path}"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
