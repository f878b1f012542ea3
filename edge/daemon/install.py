"""What an installed guard is made of: files under a root, made from a site's folder.

Several guards stand beside each other as `framegate@NAME.service`, each with its own
configuration, log, run folder and status port. `install` takes a site as `framegate
init` makes it; the key that signs records stays behind. Everything is computed first,
so that a dry run and an installation say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from edge.commissioning.toml_text import toml_value
from edge.daemon import fleet_units
from edge.daemon.placed import STATE, UNITS, Placed, read, shipped, template
from edge.daemon.settings import Settings, load_settings
from edge.errors import UsageError
from edge.guard.plan import VIRTUAL, Plan

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
USER = "framegate"
ETC, CACHE, RUN = "etc/framegate", "var/cache/framegate", "run/framegate"
PACKAGED = "usr/lib/systemd/system"  # units of a Debian package, which are not ours to write
RULES = "etc/udev/rules.d/70-framegate.rules"
_KEYS = {"log.key": 0o600, "board.key": 0o600, "record.pub": 0o644, "log.pub": 0o644}
_ALLOWED = (VIRTUAL, "/dev/ttyACM", "/dev/framegate-board")  # boards, by the unit and the rule
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # from the service, by its unit


def machine_files(
    program: str, models: Mapping[str, bytes], *, packaged: bool = False
) -> Iterator[Placed]:
    """What all guards of a machine share: units, the udev rule, the fetched models.

    Args:
        models: by their file names; the service has no network to fetch them.
        packaged: units and rule came with a package of the system, which upgrades them.

    Raises:
        UsageError: the service would not see the program.
    """
    if program.startswith(tuple(f"{folder}/" for folder in _HIDDEN)):
        raise UsageError(
            f"the service does not see {program}: install framegate into /opt/framegate "
            "(python3 -m venv /opt/framegate), or name its command with --program"
        )
    if not packaged:
        yield Placed(f"{UNITS}/framegate@.service", _unit(program).encode(), 0o644, False)
        yield Placed(f"{UNITS}/framegate-status@.socket", _socket().encode(), 0o644, False)
        yield from fleet_units.units(program)
        yield Placed(RULES, shipped("70-framegate.rules").encode(), 0o644, False)
    yield Placed(CACHE, None, 0o750, True)
    for name, data in models.items():
        yield Placed(f"{CACHE}/{name}", data, 0o644, True)


def site_files(name: str, site: Path, *, own_user: bool) -> Iterator[Placed]:
    """What one guard has of its own, from a site's folder.

    Raises:
        UsageError: no such name or site, a file of it cannot be read, or two share a name.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"expected a name of small letters, digits, - and _, got {name!r}")
    settings = load_settings(site / "guard.toml")
    home = f"{ETC}/{name}"
    for folder in (home, f"{home}/keys", f"{STATE}/{name}"):
        yield Placed(folder, None, 0o700, True)
    yield Placed(f"{home}/guard.toml", config_text(name, settings).encode(), 0o644, True)
    sessions = (settings.plan.session, *(other.session for other in settings.plan.others))
    records = (settings.plan.device, *sessions, _view(settings))
    _refuse_a_shared_name(site / "guard.toml", records)
    for path in records:
        yield Placed(f"{home}/{path.name}", read(path), 0o644, True)
        signature = _signature(path)
        yield Placed(f"{home}/{signature.name}", read(signature), 0o644, True)
    for key, mode in _KEYS.items():
        yield Placed(f"{home}/keys/{key}", read(settings.keys / key), mode, True)
    if settings.listen is not None:
        listen = f"[Socket]\nListenStream=\nListenStream={_address(settings)}\n"
        drop_in = f"{UNITS}/framegate-status@{name}.socket.d/listen.conf"
        yield Placed(drop_in, listen.encode(), 0o644, False)
    if not settings.plan.board.startswith(_ALLOWED):
        port = ("/dev/ttyAMA0", settings.plan.board)
        drop_in = f"{UNITS}/framegate@{name}.service.d/board.conf"
        yield Placed(drop_in, template("board.conf", port).encode(), 0o644, False)
    if own_user:
        drop_in = f"{UNITS}/framegate@{name}.service.d/own-user.conf"
        yield Placed(drop_in, shipped("own-user.conf").encode(), 0o644, False)


def _refuse_a_shared_name(config: Path, records: Iterable[Path]) -> None:
    """See that no two files share a name, because they are installed in one folder.

    Raises:
        UsageError: two records, signatures, `guard.toml` or the keys' folder share a name.
    """
    taken = {config.name: config, "keys": config.with_name("keys")}
    for path in records:
        for file in (path, _signature(path)):
            other = taken.setdefault(file.name, file)
            if other is not file:
                raise UsageError(
                    f"{config}: expected a file name of its own for each record, for they are "
                    f"installed into one folder, got {other} and {file}: rename one and its .sig"
                )


def _signature(path: Path) -> Path:
    return path.with_name(f"{path.name}.sig")


def own_units(name: str) -> tuple[str, ...]:
    """The folders of drop-ins that belong to one guard."""
    return (f"{UNITS}/framegate@{name}.service.d", f"{UNITS}/framegate-status@{name}.socket.d")


def config_text(name: str, settings: Settings) -> str:
    """The installed `guard.toml`: records and keys beside it, log and status in their places."""
    plan = settings.plan
    values = {
        "source": plan.source,
        "device": plan.device.name,
        "session": plan.session.name,
        "keys": "keys",
        "board": plan.board,
        "pack": plan.pack,
        "policy": f"/{STATE}/{name}/policy",
        "release": plan.release,
        "start_limit_s": plan.start_limit_s,
        "audit": f"/{STATE}/{name}/audit",
        "desk": _absolute(plan.inbox),
    }
    lines = [
        "# framegate config show prints every key and what it means.",
        *_lines(values),
        "[matcher]",
        *_lines(_matcher(plan)),
        "[status]",
        f"listen = {toml_value('' if settings.listen is None else _address(settings))}",
        f'file = "/{RUN}/{name}/status.json"',
        "[log]",
        f"keep_months = {settings.keep_months}",
        f"witnesses = {toml_value(_absolute(settings.log_witnesses))}",
    ]
    for other in plan.others:
        audit = f"/{STATE}/{name}/also/{other.name}/audit"
        own = {"session": other.session.name, "name": other.name, "audit": audit}
        lines += ["[[also]]", *_lines(own | _matcher(other))]
    return "\n".join(lines) + "\n"


def _lines(table: Mapping[str, object]) -> list[str]:
    return [f"{key} = {toml_value(value)}" for key, value in table.items()]


def _matcher(plan: Plan) -> dict[str, object]:
    """What `[matcher]` and `[[also]]` say of a matcher and its sandbox."""
    confinement = plan.confinement
    assert confinement is not None
    return {
        "command": list(plan.matcher),
        "uid": confinement.uid,
        "read": [str(path.absolute()) for path in confinement.reads],
        "write": [str(path.absolute()) for path in confinement.writes],
        "results": plan.results,
        "cwd": _absolute(confinement.cwd),
        "env": dict(confinement.env),
    }


def _absolute(path: Path | None) -> str:
    return "" if path is None else str(path.absolute())


def _address(settings: Settings) -> str:
    assert settings.listen is not None
    host, port = settings.listen.host, settings.listen.port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _view(settings: Settings) -> Path:
    from edge.commissioning.records import load_device

    view = load_device(settings.plan.device).fingerprint
    if view is None or view.parent != settings.plan.device.parent:
        raise UsageError(f"{settings.plan.device}: expected [view] fingerprint beside it")
    return view


def _unit(program: str) -> str:
    """The shipped unit as a template: `%i` is the guard's name."""
    return template(
        "framegate.service",
        (
            "ExecStart=/opt/framegate/bin/framegate daemon --config /etc/framegate/guard.toml",
            f"ExecStart={program} daemon --config /{ETC}/%i/guard.toml",
        ),
        ("StateDirectory=framegate\n", "StateDirectory=framegate/%i\n"),
        ("RuntimeDirectory=framegate\n", "RuntimeDirectory=framegate/%i\n"),
        ("ReadOnlyPaths=/etc/framegate\n", f"ReadOnlyPaths=/{ETC}/%i\n"),
        ("Sockets=framegate-status.socket\n", "Sockets=framegate-status@%i.socket\n"),
        ("Also=framegate-status.socket\n", "Also=framegate-status@%i.socket\n"),
        ("between camera and face matcher\n", "between camera and face matcher (%i)\n"),
    )


def _socket() -> str:
    text = shipped("framegate-status.socket")
    return text.replace("Service=framegate.service", "Service=framegate@%i.service")
