"""`framegate fleet release`: hand out files to devices by TUF, as static files."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands._fleet._common import read_policy, read_signer, require_tuf
from edge.commands._options import SEVERAL, Actions
from edge.commands._output import say
from edge.errors import AuditError, PolicyError, UsageError, wrong_in

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edge.audit.note import Signer
    from edge.fleet.delivery.release import Audience
    from edge.fleet.delivery.repository import Repository
    from edge.fleet.trust_policy import TrustPolicy

EXAMPLES = """\
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
_RELEASE_LOG_KEY = "release-log"


def register(actions: Actions) -> None:
    release = actions.add(
        "release",
        "hand out policies, models and records to devices (TUF)",
        run,
        description="Make or update a TUF repository: static files that any web server serves. "
        "Each run also renews what expires. Needs framegate[tuf].",
        epilog=EXAMPLES,
    )
    release.path("repository DIR", "the folder that is served")
    release.path("--keys DIR", "folders with NAME.key", **SEVERAL)
    release.flag("--new", "make repository and keys; only once")
    release.text("--origin NAME", "with --new: name of the release log")
    for kind, what in (
        ("policy", "signed bundles"),
        ("model", "models"),
        ("record", "signed records, and their .sig files"),
        ("guard", "builds of framegate"),
    ):
        release.path(f"--{kind} FILE", what, **SEVERAL)
    release.text("--to-device ID", "for these devices", **SEVERAL)
    release.text("--to-group NAME", "for these groups (default all)", **SEVERAL)
    release.number("--share PERCENT", "of them, 0 to 100 (100)", 100)
    release.text("--withdraw PATH", "as --list prints it", **SEVERAL)
    release.text("--replace KEY", "by a new key", **SEVERAL)
    release.path("--witnesses FILE", "policy: who must see the release log first")
    release.flag("--list", "print what is handed out, and exit")


def run(args: argparse.Namespace) -> int:
    """Change the repository as the options say, and renew what expires."""
    require_tuf()
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
    with wrong_in("nothing was handed out", OSError, AuditError):
        return _changed(args, repository)


def _changed(args: argparse.Namespace, repository: Repository) -> int:
    from edge.files import write_whole
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
        write_whole(args.repository / "log" / "log.pub", signer.verifier.text.encode() + b"\n")
        say(f"release log: {size} entries")
        if args.witnesses is not None:
            _cosigned(args.repository / "log", signer, read_policy(args.witnesses))
    warnings = repository.save()
    say(f"{args.repository}: metadata signed anew")
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
        say(f"warning: {line}")
    return 0


def _cosigned(log: Path, signer: Signer, policy: TrustPolicy) -> None:
    """Have the witnesses see the release log before anything that stands in it is handed out."""
    from edge.fleet.courier import Courier
    from edge.fleet.http_post import get, post

    found = Courier(log, log, signer.verifier, policy, post, get).round(int(time.time()))
    for visit in found.visits:
        say(f"{visit.witness}: {visit.outcome.value}, {visit.detail}")
    if found.forked or not found.enough:
        raise AuditError(f"the release log has no quorum ({policy.wanted()}); {found.fork}")


def _list(repository: Repository) -> int:
    from edge.fleet.delivery.release import Kind

    for kind in Kind:
        for release, ticket in sorted(repository.releases(kind).items(), key=lambda r: r[0].path):
            print(f"{release.path}: {_whom(ticket.audience)}, entry {ticket.entry} of the log")
    return 0


def _whom(audience: Audience) -> str:
    names = [*(f"device {n}" for n in audience.devices), *(f"group {n}" for n in audience.groups)]
    return f"{audience.share} % of {', '.join(names) or 'all'}"


def _files(kind: str, paths: list[Path]) -> dict[str, bytes]:
    """The files by name, each read once; a policy must be a bundle that its own keys signed."""
    from edge.files import read_given
    from edge.fleet.delivery.release import Kind, checked_name
    from edge.policy.signed.bundle import parse_payload
    from edge.policy.signed.trust import open_envelope, peek

    found: dict[str, bytes] = {}
    most = Kind(kind).most_bytes
    for path in paths:
        name = checked_name(path.name, f"--{kind} {path}")
        data = read_given(path, most + 1)
        if not 0 < len(data) <= most:
            raise UsageError(f"{path}: expected 1 to {most} bytes, got {len(data)} or more")
        if name in found:
            raise UsageError(f"--{kind}: two files are named {name}")
        if kind == Kind.POLICY.value:
            with wrong_in(f"{path}: expected a signed bundle", PolicyError):
                open_envelope(data, parse_payload(peek(data)).root)
        found[name] = data
    return found


def _make_keys(folder: Path, origin: str | None) -> None:
    from edge.audit.note import NoteError, Signer
    from edge.files import write_new
    from edge.fleet.delivery.repository import lacking
    from edge.policy.signed import keys as policy_keys

    if origin is None:
        raise UsageError("--new: expected --origin NAME, like fleet.example/releases")
    with wrong_in("--origin", NoteError):
        signer = Signer.generate(origin)
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
    from edge.files import read_secret

    for folder in folders:
        path = folder / f"{_RELEASE_LOG_KEY}.key"
        if path.exists():
            return read_signer(path, read_secret)
    raise UsageError(f"--keys: expected {_RELEASE_LOG_KEY}.key, which signs the release log")
