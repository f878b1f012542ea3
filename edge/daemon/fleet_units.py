"""What an installed guard has of the fleet: a courier to witnesses, and what fetches releases.

Both are users of their own, with folders of their own in /etc and /var/lib. Neither holds a
key of the device, and the guard waits for neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.daemon.placed import STATE, UNITS, Placed, read, shipped, template
from edge.errors import UsageError

COURIER = "framegate-courier"  # its user, its group, and its folders
FETCH = "framegate-fetch"
COURIER_UNIT, FETCH_UNIT, FETCH_TIMER = (
    f"{COURIER}@.service",
    f"{FETCH}@.service",
    f"{FETCH}@.timer",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_URL = re.compile(r"https?://[!#-[\]-~]+", re.ASCII)  # no quotation mark and no backslash


def units(program: str) -> Iterator[Placed]:
    """The units of all guards of a machine; `%i` is the guard's name."""
    yield Placed(f"{UNITS}/{COURIER_UNIT}", _courier_unit(program).encode(), 0o644, False)
    yield Placed(f"{UNITS}/{FETCH_UNIT}", _fetch_unit(program).encode(), 0o644, False)
    timer = template(f"{FETCH}.timer", ("to this device\n", "to this device (%i)\n"))
    yield Placed(f"{UNITS}/{FETCH_TIMER}", timer.encode(), 0o644, False)


def courier_files(name: str, log_key: Path, policy: bytes) -> Iterator[Placed]:
    """What a guard's courier reads: policy, the log's public key, and the log by its group.

    Args:
        policy: a C2SP tlog-policy with the witnesses to visit.
    """
    yield Placed(f"etc/{COURIER}", None, 0o755, False)
    yield Placed(f"etc/{COURIER}/{name}.policy", policy, 0o644, False)
    yield Placed(f"etc/{COURIER}/{name}.pub", read(log_key), 0o644, False)
    yield Placed(f"{STATE}/{name}/audit", None, 0o710, True, COURIER)
    drop_in = f"{UNITS}/framegate@{name}.service.d/courier.conf"
    yield Placed(drop_in, shipped("courier.conf").encode(), 0o644, False)


def fetch_files(
    name: str, url: str, trust: Path, device: str, groups: Sequence[str]
) -> Iterator[Placed]:
    """What fetches a guard's releases: where from, for whom, and whom it trusts.

    Args:
        trust: a folder with `root.json` and `log.pub`, and `witnesses` where a quorum must have
            seen the release log.
        device: the name that the fleet knows the device by.

    Raises:
        UsageError: no such URL, name or file.
    """
    if not _URL.fullmatch(url):
        raise UsageError(f"--fetch: expected http:// or https:// and an address, got {url[:80]!r}")
    for one in (device, *groups):
        if not _NAME.fullmatch(one):
            raise UsageError(f"expected a name of letters, digits, ., - and _, got {one[:80]!r}")
    options = f"--device {device}" + (f" --group {' '.join(groups)}" if groups else "")
    home = f"etc/{FETCH}"
    yield Placed(home, None, 0o755, False)
    yield Placed(f"{home}/{name}.root.json", read(trust / "root.json"), 0o644, False)
    yield Placed(f"{home}/{name}.log.pub", read(trust / "log.pub"), 0o644, False)
    if (trust / "witnesses").exists():
        yield Placed(f"{home}/{name}.witnesses", read(trust / "witnesses"), 0o644, False)
        options += f" --witnesses /{home}/{name}.witnesses"
    values = f'SOURCE="{url}"\nOPTIONS="{options}"\n'
    yield Placed(f"{home}/{name}.env", values.encode(), 0o644, False)


def own_files(name: str) -> tuple[str, ...]:
    """The files in /etc that belong to one guard's courier and fetcher."""
    return (
        *(f"etc/{COURIER}/{name}.{kind}" for kind in ("policy", "pub")),
        *(f"etc/{FETCH}/{name}.{kind}" for kind in ("env", "root.json", "log.pub", "witnesses")),
    )


def _courier_unit(program: str) -> str:
    return template(
        f"{COURIER}.service",
        ("ExecStart=/opt/framegate/bin/framegate ", f"ExecStart={program} "),
        ("/var/lib/framegate/audit --key", f"/{STATE}/%i/audit --key"),
        ("=/var/lib/framegate/audit\n", f"=/{STATE}/%i/audit\n"),
        (f"/etc/{COURIER}/log.pub", f"/etc/{COURIER}/%i.pub"),
        (f"/etc/{COURIER}/policy ", f"/etc/{COURIER}/%i.policy "),
        (f"--out /var/lib/{COURIER} ", f"--out /var/lib/{COURIER}/%i "),
        (f"StateDirectory={COURIER}\n", f"StateDirectory={COURIER}/%i\n"),
        ("to its witnesses\n", "to its witnesses (%i)\n"),
    )


def _fetch_unit(program: str) -> str:
    return template(
        f"{FETCH}.service",
        ("ExecStart=/opt/framegate/bin/framegate ", f"ExecStart={program} "),
        (f"/etc/{FETCH}/source.env", f"/etc/{FETCH}/%i.env"),
        (f"/etc/{FETCH}/root.json", f"/etc/{FETCH}/%i.root.json"),
        (f"/etc/{FETCH}/log.pub", f"/etc/{FETCH}/%i.log.pub"),
        (f"/var/lib/{FETCH}/state", f"/var/lib/{FETCH}/%i/state"),
        (f"/var/lib/{FETCH}/releases", f"/var/lib/{FETCH}/%i/releases"),
        (f"StateDirectory={FETCH}\n", f"StateDirectory={FETCH}/%i\n"),
        ("to this device\n", "to this device (%i)\n"),
    )
