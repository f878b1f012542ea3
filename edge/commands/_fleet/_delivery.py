"""`framegate fleet release` and `framegate fleet fetch`: delivery by TUF over static files."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands._options import Commands, add_flag, add_number, add_path, add_text
from edge.errors import AuditError, PolicyError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edge.audit.note import Signer
    from edge.fleet.delivery.client import Client, Device, Judge
    from edge.fleet.delivery.release import Release
    from edge.fleet.delivery.repository import Repository
    from edge.fleet.trust_policy import TrustPolicy

PolicyOf = Callable[[Path], "TrustPolicy"]  # reads a file
RELEASE_EXAMPLES = """\
examples, from a new repository to a policy on every device:
  framegate fleet release repo --keys keys --new --origin fleet.example/releases
  framegate fleet release repo --keys keys --policy p2.json --to-group doors --share 1
  framegate fleet release repo --keys keys --policy p2.json --to-group doors --share 10
  framegate fleet release repo --keys keys --policy p2.json --to-group doors
  framegate fleet release repo --keys keys --record D.toml D.toml.sig --to-device framegate-0001
  framegate fleet release repo --keys keys                        each day: renews what expires
  framegate fleet release repo --keys keys --withdraw policy/p2.json/2
  framegate fleet release repo --keys keys offline --replace root-2
  framegate fleet release repo --keys keys --witnesses POLICY --model m.onnx
  framegate fleet release repo --list
Serve the folder repo with any web server. Keep root-*.key and targets.key off this machine.
"""
FETCH_EXAMPLES = """\
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
_RELEASE_LOG_KEY = "release-log"


def register(actions: Commands) -> argparse.ArgumentParser:
    """Add the parser of `release`; the caller sets its handler."""
    release = actions.add_parser(
        "release",
        help="hand out policies, models and records to devices (TUF)",
        description="Make or update a TUF repository: static files that any web server serves. "
        "Each run also renews what expires. Needs framegate[tuf].",
        epilog=RELEASE_EXAMPLES,
    )
    add_path(release, "repository", "DIR", "the folder that is served")
    add_path(release, "--keys", "DIR", "folders with NAME.key", nargs="+", default=[])
    add_flag(release, "--new", "make repository and keys; only once")
    add_text(release, "--origin", "NAME", "with --new: name of the release log")
    for kind, what in (
        ("policy", "signed bundles"),
        ("model", "models"),
        ("record", "signed records, and their .sig files"),
        ("guard", "builds of framegate"),
    ):
        add_path(release, f"--{kind}", "FILE", what, nargs="+", default=[])
    add_text(release, "--to-device", "ID", "for these devices", nargs="+", default=[])
    add_text(release, "--to-group", "NAME", "for these groups (default all)", nargs="+", default=[])
    add_number(release, "--share", "PERCENT", "of them, 0 to 100 (100)", 100)
    add_text(release, "--withdraw", "PATH", "as --list prints it", nargs="+", default=[])
    add_text(release, "--replace", "KEY", "by a new key", nargs="+", default=[])
    add_path(release, "--witnesses", "FILE", "policy: who must see the release log first")
    add_flag(release, "--list", "print what is handed out, and exit")
    return release


def register_fetch(actions: Commands) -> argparse.ArgumentParser:
    """Add the parser of `fetch`; the caller sets its handler."""
    fetch = actions.add_parser(
        "fetch",
        help="take what is handed out to this device",
        description="Take what is new for this device from a TUF repository. Metadata that is "
        "expired, rolled back or mixed is refused, and so is a file that is not in the release "
        "log. A policy counts only by its own signatures and floors. Needs framegate[tuf].",
        epilog=FETCH_EXAMPLES,
    )
    add_text(fetch, "source", "URL|DIR", "the repository")
    add_path(fetch, "--root", "FILE", "shipped with the device", required=True)
    add_path(fetch, "--log", "PUB", "key of the release log", required=True)
    add_path(fetch, "--witnesses", "FILE", "policy: who must have seen the log")
    add_text(fetch, "--device", "ID", "this device", required=True)
    add_text(fetch, "--group", "NAME", "its groups", nargs="+", default=[])
    add_path(fetch, "--state", "DIR", "what was seen; keep it", required=True)
    add_path(fetch, "--out", "DIR", "on the same file system as --state", required=True)
    add_path(fetch, "--policy", "DIR", "install policies there, if it admits them")
    add_number(fetch, "--every", "S", "stay, and fetch every S seconds", type=float)
    return fetch


def _require_tuf() -> None:
    if find_spec("tuf") is None:
        raise UsageError("tuf is not installed: pip install 'framegate[tuf]'")


def release(args: argparse.Namespace, policy_of: PolicyOf) -> int:
    """Change the repository as the options say, and renew what expires."""
    _require_tuf()
    from edge.fleet.delivery.repository import Repository

    now_s = int(time.time())
    if args.list:
        return _list(Repository(args.repository, {}, now_s))
    if not args.keys:
        raise UsageError("--keys: expected the folder with the keys")
    if args.new:
        _make_keys(args.keys[0], args.origin)
    elif args.origin is not None:
        raise UsageError("--origin: only with --new; the log has its name already")
    keys = _keys(args.keys)
    kind = Repository.create if args.new else Repository
    repository = kind(args.repository, keys, now_s)
    try:
        return _changed(args, repository, policy_of)
    except (OSError, AuditError) as err:
        raise UsageError(f"nothing was handed out: {err}") from err


def _changed(args: argparse.Namespace, repository: Repository, policy_of: PolicyOf) -> int:
    from edge.fleet.delivery.release import Audience, Kind, Release, checked_name
    from edge.fleet.delivery.release_log import ReleaseLog
    from edge.fleet.delivery.repository import newest_root

    if not 0 <= args.share <= 100:
        raise UsageError(f"--share: expected 0 to 100 per cent, got {args.share}")
    audience = Audience(
        tuple(sorted(checked_name(name, "--to-device") for name in args.to_device)),
        tuple(sorted(checked_name(name, "--to-group") for name in args.to_group)),
        args.share,
    )
    files = {kind: _files(kind.value, getattr(args, kind.value)) for kind in Kind}
    log = None
    if args.new or any(files.values()):
        signer = _log_signer(args.keys)
        log = ReleaseLog(args.repository / "log", signer)
    for name in args.replace:
        repository.replace_key(name, _fresh_key(args.keys, name))
    for path in args.withdraw:
        release = Release.parse(path)
        if release is None:
            raise UsageError(f"--withdraw: expected KIND/NAME/SERIAL, got {path!r}")
        repository.withdraw(release)
    added = []
    for kind, found in files.items():
        for name, data in found.items():
            assert log is not None
            added.append(repository.add(kind, name, data, audience, log))
    if log is not None:
        size = log.publish()  # first, because a device refuses what is not in it
        _write_key(args.repository / "log" / "log.pub", signer)
        _say(f"release log: {size} entries")
        if args.witnesses is not None:
            _cosigned(args.repository / "log", signer, policy_of(args.witnesses))
    warnings = repository.save()
    _say(f"{args.repository}: metadata signed anew")
    _keep_fresh_keys(args.keys, args.replace)
    for release in added:
        print(f"{release.path}: {_whom(audience)}")
    if args.new:
        print(f"{args.repository}: ship metadata/1.root.json and log/log.pub with each device")
    elif any(name.startswith("root") for name in args.replace):
        print(
            f"root: {len(newest_root(args.repository))} bytes, devices take it at their next round"
        )
    for line in warnings:
        _say(f"warning: {line}")
    return 0


def _cosigned(log: Path, signer: Signer, policy: TrustPolicy) -> None:
    """Have the witnesses see the release log before anything that stands in it is handed out."""
    from edge.fleet.courier import Courier
    from edge.fleet.http_post import get, post

    found = Courier(log, log, signer.verifier, policy, post, get).round(int(time.time()))
    for visit in found.visits:
        _say(f"{visit.witness}: {visit.outcome.value}, {visit.detail}")
    if found.forked or not found.enough:
        raise AuditError(f"the release log has no quorum ({policy.wanted()}); {found.fork}")


def _list(repository: Repository) -> int:
    from edge.fleet.delivery.release import Kind

    for kind in Kind:
        for release, ticket in sorted(repository.releases(kind).items(), key=lambda r: r[0].path):
            print(f"{release.path}: {_whom(ticket.audience)}, entry {ticket.entry} of the log")
    return 0


def _whom(audience: object) -> str:
    from edge.fleet.delivery.release import Audience

    assert isinstance(audience, Audience)
    names = [*(f"device {n}" for n in audience.devices), *(f"group {n}" for n in audience.groups)]
    return f"{audience.share} % of {', '.join(names) or 'all'}"


def _files(kind: str, paths: list[Path]) -> dict[str, bytes]:
    """The files by name, each read once; a policy must be a bundle that its own keys signed."""
    from edge.files import read_named
    from edge.fleet.delivery.release import Kind, checked_name
    from edge.policy.signed.bundle import parse_payload
    from edge.policy.signed.trust import open_envelope, peek

    found: dict[str, bytes] = {}
    most = Kind(kind).most_bytes
    for path in paths:
        name = checked_name(path.name, f"--{kind} {path}")
        try:
            data = read_named(path, most + 1)
        except OSError as err:
            raise UsageError(f"cannot read {path}: {err.strerror}") from err
        if not 0 < len(data) <= most:
            raise UsageError(f"{path}: expected 1 to {most} bytes, got {len(data)} or more")
        if name in found:
            raise UsageError(f"--{kind}: two files are named {name}")
        if kind == Kind.POLICY.value:
            try:
                open_envelope(data, parse_payload(peek(data)).root)
            except PolicyError as err:
                raise UsageError(f"{path}: expected a signed bundle: {err}") from err
        found[name] = data
    return found


def _make_keys(folder: Path, origin: str | None) -> None:
    from edge.audit.note import NoteError, Signer
    from edge.files import write_new
    from edge.fleet.delivery.repository import lacking
    from edge.policy.signed import keys as policy_keys

    if origin is None:
        raise UsageError("--new: expected --origin NAME, like fleet.example/releases")
    try:
        signer = Signer.generate(origin)
    except NoteError as err:
        raise UsageError(f"--origin: {err}") from err
    there = [path.stem for path in folder.glob("*.key")]
    policy_keys.make(lacking(there), folder)
    if _RELEASE_LOG_KEY not in there:
        secret = signer.secret_text.encode() + b"\n"
        write_new(folder / f"{_RELEASE_LOG_KEY}.key", secret, 0o600)


def _keys(folders: list[Path]) -> dict[str, Ed25519PrivateKey]:
    """Every key of the repository that lies in these folders, by name."""
    from edge.fleet.delivery.repository import KEY_NAMES
    from edge.policy.signed import keys as policy_keys

    found = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--keys {folder}: expected a folder")
        for name in KEY_NAMES:
            path = folder / f"{name}.key"
            if path.exists():
                found[name] = policy_keys.read_secret(path)
    return found


def _fresh_key(folders: list[Path], name: str) -> Ed25519PrivateKey:
    """A new key for `name`, as NAME.next.key until it is trusted."""
    from edge.fleet.delivery.repository import KEY_NAMES
    from edge.policy.signed import keys as policy_keys

    if name not in KEY_NAMES:
        raise UsageError(f"--replace: expected one of {', '.join(KEY_NAMES)}, got {name!r}")
    place = folders[0] / f"{name}-next.key"
    if not place.exists():  # of a run that could not be ended
        policy_keys.make([f"{name}-next"], folders[0])
    return policy_keys.read_secret(place)


def _keep_fresh_keys(folders: list[Path], names: list[str]) -> None:
    """The new keys take the names of the old ones, which are kept beside them."""
    from edge.files import move_over

    for name in names:
        for suffix in (".key", ".pub"):
            old, new = folders[0] / f"{name}{suffix}", folders[0] / f"{name}-next{suffix}"
            if old.exists():
                move_over(old, folders[0] / f"{name}-old-{int(time.time())}{suffix}")
            move_over(new, old)


def _log_signer(folders: list[Path]) -> Signer:
    from edge.audit.note import NoteError, Signer
    from edge.files import read_secret

    for folder in folders:
        path = folder / f"{_RELEASE_LOG_KEY}.key"
        if path.exists():
            try:
                return Signer.parse(read_secret(path, 4096).decode(errors="replace"))
            except NoteError as err:
                raise UsageError(f"{path}: {err}") from err
            except OSError as err:
                raise UsageError(f"cannot read {path}: {err.strerror}") from err
    raise UsageError(f"--keys: expected {_RELEASE_LOG_KEY}.key, which signs the release log")


def _write_key(path: Path, signer: Signer) -> None:
    from edge.files import write_whole

    write_whole(path, signer.verifier.text.encode() + b"\n")


def fetch(
    args: argparse.Namespace,
    until_told: Callable[[Callable[[], None]], None],
    policy_of: PolicyOf,
) -> int:
    """One round, or one every so often until SIGTERM; see `_results.run` for `until_told`."""
    _require_tuf()
    from edge.fleet.delivery.client import Device
    from edge.fleet.delivery.release import checked_name

    if args.every is not None and args.every < 1:
        raise UsageError(f"--every: expected 1 or more seconds, got {args.every:g}")
    device = Device(
        checked_name(args.device, "--device"),
        tuple(checked_name(name, "--group") for name in args.group),
    )
    client, judge = _client(args, policy_of), _judge(args.policy)
    with _locked(args.state):
        if args.every is None:
            return _round(client, device, judge)
        over = threading.Event()
        until_told(over.set)
        code = 0
        while not over.is_set():
            code = _round(client, device, judge)
            over.wait(args.every)
        return code


def _client(args: argparse.Namespace, policy_of: PolicyOf) -> Client:
    from edge.commissioning.keys import read_verifier
    from edge.files import read_trusted
    from edge.fleet.delivery.client import Client, Trust
    from edge.fleet.delivery.shelf import Shelf
    from edge.fleet.delivery.transport import base_url
    from edge.policy.signed.store import PolicyStore

    try:
        root = read_trusted(args.root, 512_000)
    except OSError as err:
        raise UsageError(f"cannot read {args.root}: {err.strerror}") from err
    witnesses = None if args.witnesses is None else policy_of(args.witnesses)
    known_s = 0 if args.policy is None else PolicyStore(args.policy).floors().time_s
    trust = Trust(root, read_verifier(args.log), witnesses, known_s)
    return Client(base_url(args.source), args.state, Shelf(args.out), trust, _say)


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
        _say(f"nothing new is taken, what is there stays: {err}")
        return 1
    for release in found.taken:
        print(f"{release.path}: taken")
    for release, why in found.refused:
        _say(f"{release.path}: refused, what is there stays: {why}")
    if not found.taken and not found.refused:
        _say("up to date")
    return 1 if found.refused else 0


class _locked:
    """One fetch at a time in a state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        from edge.audit.files import Files

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._fd = Files().lock(self._folder / "lock")
        except BlockingIOError as err:
            raise UsageError(f"{self._folder}: another fetch uses it") from err
        except OSError as err:
            raise UsageError(f"cannot write {self._folder}: {err.strerror}") from err

    def __exit__(self, *exc: object) -> None:
        from edge.audit.files import Files

        Files().close(self._fd)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
