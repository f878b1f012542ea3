"""`framegate fleet fetch`: take what a fleet hands out by TUF."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands._fleet._common import read_policy, repeat, require_seconds, require_tuf
from edge.commands._options import SEVERAL, Actions
from edge.commands._output import say
from edge.errors import meaning
from edge.files import named_by_user

if TYPE_CHECKING:
    from edge.fleet.delivery.client import Client, Device, Judge
    from edge.fleet.delivery.release import Release

EXAMPLES = """\
examples:
  framegate fleet fetch https://fleet.example/repo --root root.json --log log.pub \\
    --device framegate-0001 --group doors --state state --out releases
  framegate fleet fetch https://fleet.example/repo --root root.json --log log.pub \\
    --witnesses POLICY --device framegate-0001 --state state --out releases \\
    --policy /var/lib/framegate/policy --every 3600
  framegate fleet fetch /media/usb/repo ...                        without a network
Files lie in releases/current/KIND/NAME. Exit code: 0 all is well, 1 something was refused or
not reached (what is there stays), 2 wrong use.
"""


def register(actions: Actions) -> None:
    fetch = actions.add(
        "fetch",
        "take what is handed out to this device",
        run,
        description="Take what is new for this device from a TUF repository. Metadata that is "
        "expired, rolled back or mixed is refused, and so is a file that is not in the release "
        "log. A policy counts only by its own signatures and floors. Needs framegate[tuf].",
        epilog=EXAMPLES,
    )
    fetch.text("source URL|DIR", "the repository")
    fetch.path("--root FILE", "shipped with the device", required=True)
    fetch.path("--log PUB", "key of the release log", required=True)
    fetch.path("--witnesses FILE", "policy: who must have seen the log")
    fetch.text("--device ID", "this device", required=True)
    fetch.text("--group NAME", "its groups", **SEVERAL)
    fetch.path("--state DIR", "what was seen; keep it", required=True)
    fetch.path("--out DIR", "on the same file system as --state", required=True)
    fetch.path("--policy DIR", "install policies there, if it admits them")
    fetch.number("--every S", "stay, and fetch every S seconds", type=float)


def run(args: argparse.Namespace) -> int:
    """One round, or one every so often until SIGTERM."""
    require_tuf()
    from edge.fleet.delivery.client import Device
    from edge.fleet.delivery.release import checked_name

    require_seconds(args.every)
    device = Device(
        checked_name(args.device, "--device"),
        tuple(checked_name(name, "--group") for name in args.group),
    )
    client, judge = _client(args), _judge(args.policy)
    with _locked(args.state):
        if args.every is None:
            return _round(client, device, judge)
        return repeat(lambda: _round(client, device, judge), args.every)


def _client(args: argparse.Namespace) -> Client:
    from edge.commissioning.keys import read_verifier
    from edge.files import read_trusted
    from edge.fleet.delivery.client import Client, Trust
    from edge.fleet.delivery.shelf import Shelf
    from edge.fleet.delivery.transport import base_url
    from edge.policy.signed.store import PolicyStore

    with named_by_user("read", args.root):
        root = read_trusted(args.root, 512_000)
    witnesses = None if args.witnesses is None else read_policy(args.witnesses)
    known_s = 0 if args.policy is None else PolicyStore(args.policy).floors().time_s
    trust = Trust(root, read_verifier(args.log), witnesses, known_s)
    return Client(base_url(args.source), args.state, Shelf(args.out), trust, say)


def _judge(policy: Path | None) -> Judge:
    """A policy counts by its own signers and floors, as `framegate policy install` has it."""
    from edge.files import read_named
    from edge.fleet.delivery.release import Kind
    from edge.policy.signed.store import PolicyStore
    from edge.version import VERSION

    def judge(release: Release, path: Path) -> None:
        if release.kind is Kind.POLICY and policy is not None:
            data = read_named(path, Kind.POLICY.most_bytes)
            PolicyStore(policy).install(data, wall_s=int(time.time()), guard=VERSION)

    return judge


def _round(client: Client, device: Device, judge: Judge) -> int:
    from edge.fleet.delivery.client import Refused

    try:
        found = client.round(device, judge)
    except (Refused, OSError) as err:
        say(f"nothing new is taken, what is there stays: {err}")
        return 1
    for release in found.taken:
        print(f"{release.path}: taken")
    for release, why in found.refused:
        say(f"{release.path}: refused, what is there stays: {why}")
    if not found.taken and not found.refused:
        say("up to date")
    return 1 if found.refused else 0


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One fetch at a time in a state folder."""
    from edge.audit.files import Files

    with (
        named_by_user("write", folder),
        meaning(f"{folder}: another fetch uses it", BlockingIOError),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        held = Files().lock(folder / "lock")
    try:
        yield
    finally:
        Files().close(held)
