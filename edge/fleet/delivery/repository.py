"""The office's side: a TUF repository of static files, made and renewed with keys in files.

    metadata/   N.root.json, N.targets.json, N.ROLE.json, N.snapshot.json, timestamp.json
    targets/    KIND/NAME/DIGEST.SERIAL
    log/        the release log: checkpoint, tile/, log.pub

Root (2 of 3 keys) names the keys of targets, snapshot and timestamp; targets names one key for
each kind of release. `timestamp.json` is written last: until then a client sees what was there.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from edge.errors import UsageError, wrong_in
from edge.files import read_given, read_named, write_whole
from edge.fleet.delivery.release import Audience, Kind, Release, Ticket, log_entry
from edge.fleet.delivery.release_log import ReleaseLog

ROOT_KEYS = ("root-1", "root-2", "root-3")
ROOT_THRESHOLD = 2
ROLES = ("targets", "snapshot", "timestamp")
DAYS = {"root": 365, "targets": 365, "snapshot": 7, "timestamp": 1}
_KIND_DAYS = 90
_SPARE = 3  # what has less than a third of its life left is renewed
_MAX_METADATA = 5_000_000
KEY_NAMES = (*ROOT_KEYS, *ROLES, *(kind.value for kind in Kind))


class Repository:
    """The folder that is served, and the keys that are at hand."""

    def __init__(self, folder: Path, keys: dict[str, Ed25519PrivateKey], now_s: int) -> None:
        self._folder, self._keys = folder, keys
        self._now = datetime.datetime.fromtimestamp(now_s, datetime.timezone.utc)
        self._files: list[tuple[Path, bytes]] = []  # targets to be written
        self._changed: dict[str, Metadata] = {}
        self._loaded: dict[str, Metadata] = {}

    @classmethod
    def create(cls, folder: Path, keys: dict[str, Ed25519PrivateKey], now_s: int) -> Repository:
        """A repository that hands out nothing yet; `save` writes it.

        Raises:
            UsageError: there is one already, or a key is missing.
        """
        made = cls(folder, keys, now_s)
        if (folder / "metadata").exists():
            raise UsageError(f"{folder} is a repository already; leave out --new")
        root = Root(expires=made._until("root"), consistent_snapshot=True)
        for name in ROOT_KEYS:
            root.add_key(made._public(name), "root")
        root.roles["root"].threshold = ROOT_THRESHOLD
        for name in ROLES:
            root.add_key(made._public(name), name)
        publics = {kind: made._public(kind.value) for kind in Kind}
        roles = {kind.value: _delegated(kind, publics[kind].keyid) for kind in Kind}
        delegations = Delegations({key.keyid: key for key in publics.values()}, roles)
        made._changed = {
            "root": Metadata(root),
            "targets": Metadata(Targets(expires=made._until("targets"), delegations=delegations)),
            **{kind.value: Metadata(Targets(expires=made._until(kind.value))) for kind in Kind},
            "snapshot": Metadata(Snapshot(expires=made._until("snapshot"))),
            "timestamp": Metadata(Timestamp(expires=made._until("timestamp"))),
        }
        return made

    def add(
        self, kind: Kind, name: str, data: bytes, audience: Audience, log: ReleaseLog
    ) -> Release:
        """Hand out a file: a new serial, or another audience of the newest one if it is the same.

        Raises:
            UsageError: the key of its kind is not at hand.
        """
        signed = self._edit(kind.value).signed
        digest = hashlib.sha256(data).hexdigest()
        same = [release for release in self.releases(kind) if release.name == name]
        newest = max(same, key=lambda one: one.serial, default=None)
        if newest is None or signed.targets[newest.path].hashes["sha256"] != digest:
            last = log.serial(f"{kind.value}/{name}")
            newest = Release(kind, name, last)  # of a run that ended before it was handed out
            if not log.holds(log_entry(newest, digest, len(data))):
                newest = Release(kind, name, last + 1)
        entry = log.number(log_entry(newest, digest, len(data)))
        custom = Ticket(audience, entry).data()
        file = TargetFile(len(data), {"sha256": digest}, newest.path, {"custom": custom})
        signed.targets[newest.path] = file
        if audience == Audience():  # for all: nobody needs the earlier ones
            for release in same:
                if release.serial < newest.serial:
                    del signed.targets[release.path]
        (place,) = file.get_prefixed_paths()
        self._files.append((self._folder / "targets" / place, data))
        return newest

    def withdraw(self, release: Release) -> None:
        """Hand a release out to nobody from now on.

        Raises:
            UsageError: it is not handed out.
        """
        targets = self._edit(release.kind.value).signed.targets
        if targets.pop(release.path, None) is None:
            raise UsageError(f"{release.path} is not handed out")

    def releases(self, kind: Kind) -> dict[Release, Ticket]:
        """What is handed out of a kind."""
        found = {}
        for path, file in self._load(kind.value).signed.targets.items():
            release, ticket = Release.parse(path), Ticket.parse(file.custom)
            if release is None or ticket is None:
                raise UsageError(f"{self._folder}: {path!r} is no release of ours")
            found[release] = ticket
        return found

    def replace_key(self, name: str, key: Ed25519PrivateKey) -> None:
        """Trust another key in the place of `name`, which may be lost or stolen.

        Root's other keys sign the change. For a kind of release the key of targets signs it.

        Raises:
            UsageError: there is no such key, or too few keys are at hand to sign it.
        """
        public, role = SSlibKey.from_crypto(key.public_key()), name.partition("-")[0]
        self._keys[name] = key
        if role in ("root", *ROLES):
            root = self._edit("root").signed
            place = ROOT_KEYS.index(name) if role == "root" else 0
            old = root.roles[role].keyids[place]
            root.revoke_key(old, role)
            root.add_key(public, role)
            keyids = root.roles[role].keyids
            keyids.insert(place, keyids.pop())
            if role != "root":
                self._edit(role)
            return
        targets = self._edit("targets").signed
        assert targets.delegations is not None and targets.delegations.roles is not None
        (old,) = targets.delegations.roles[role].keyids
        targets.revoke_key(old, role)
        targets.add_key(public, role)
        self._edit(role)

    def save(self) -> list[str]:
        """Sign and write what changed, then snapshot and timestamp; returns what will expire.

        Raises:
            UsageError: a key is not at hand.
            OSError: it cannot be written; clients see what was there.
        """
        warnings = self._renew()
        snapshot, timestamp = self._edit("snapshot").signed, self._edit("timestamp").signed
        for role in ("targets", *(kind.value for kind in Kind)):
            snapshot.meta[f"{role}.json"] = MetaFile(version=self._load(role).signed.version)
        others = [name for name in self._changed if name not in ("snapshot", "timestamp")]
        signed = {name: self._signed(name) for name in (*others, "snapshot")}
        data = signed["snapshot"]
        timestamp.snapshot_meta = MetaFile(
            snapshot.version, len(data), {"sha256": hashlib.sha256(data).hexdigest()}
        )
        for path, content in self._files:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        (self._folder / "metadata").mkdir(parents=True, exist_ok=True)
        for name, data in signed.items():
            version = self._changed[name].signed.version
            write_whole(self._folder / "metadata" / f"{version}.{name}.json", data)
        write_whole(self._folder / "metadata" / "timestamp.json", self._signed("timestamp"))
        return warnings

    def _renew(self) -> list[str]:
        """Renew what is near its end and whose keys are at hand; say what is near and cannot be."""
        warnings = []
        for role in ("root", "targets", *(kind.value for kind in Kind)):
            signed = self._load(role).signed
            left = signed.expires - self._now
            if role in self._changed or left > datetime.timedelta(self._days(role)) / _SPARE:
                continue
            if len([1 for name in self._signers(role) if name in self._keys]) < _needed(role):
                warnings.append(f"{role} expires at {signed.expires:%Y-%m-%d}: its keys are needed")
                continue
            self._edit(role)
        return warnings

    def _edit(self, role: str) -> Metadata:
        """The role's metadata as its next version."""
        if role not in self._changed:
            found = self._load(role)
            found.signed.version += 1
            found.signed.expires = self._until(role)
            self._changed[role] = found
        return self._changed[role]

    def _load(self, role: str) -> Metadata:
        if role in self._changed:
            return self._changed[role]
        if role not in self._loaded:
            path = self._newest(role)
            with wrong_in(f"{path}: expected TUF metadata", RepositoryError):
                self._loaded[role] = Metadata.from_bytes(read_given(path, _MAX_METADATA))
        return self._loaded[role]

    def _newest(self, role: str) -> Path:
        folder = self._folder / "metadata"
        if role == "timestamp":
            return folder / "timestamp.json"
        named = re.compile(rf"(\d{{1,9}})\.{role}\.json")
        found = [int(m[1]) for path in folder.glob("*.json") if (m := named.fullmatch(path.name))]
        if not found:
            raise UsageError(f"{self._folder}: expected a repository; make one with --new")
        return folder / f"{max(found)}.{role}.json"

    def _signed(self, role: str) -> bytes:
        """The role's metadata, signed by all of its keys that are at hand.

        Raises:
            UsageError: they are too few.
        """
        metadata = self._changed[role]
        metadata.signatures.clear()
        names = [name for name in self._signers(role) if name in self._keys]
        for name in names:
            metadata.sign(CryptoSigner(self._keys[name]), append=True)
        parents = [self._delegator(role)]
        if role == "root" and metadata.signed.version > 1:  # the keys before it agree as well
            parents.append(Metadata.from_bytes(newest_root(self._folder)).signed)
        try:
            for parent in parents:
                parent.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
        except RepositoryError as err:
            wanted = " and ".join(self._signers(role)[: _needed(role)])
            raise UsageError(
                f"{role} must be signed by its keys, such as {wanted}: "
                "name their folder with --keys"
            ) from err
        return bytes(metadata.to_bytes())

    def _delegator(self, role: str) -> Any:
        parent = "targets" if role in {kind.value for kind in Kind} else "root"
        return self._load(parent).signed

    def _signers(self, role: str) -> tuple[str, ...]:
        return ROOT_KEYS if role == "root" else (role,)

    def _public(self, name: str) -> SSlibKey:
        if name not in self._keys:
            raise UsageError(f"the key {name} is not at hand")
        return SSlibKey.from_crypto(self._keys[name].public_key())

    def _days(self, role: str) -> int:
        return DAYS.get(role, _KIND_DAYS)

    def _until(self, role: str) -> datetime.datetime:
        return self._now.replace(microsecond=0) + datetime.timedelta(self._days(role))


def _needed(role: str) -> int:
    return ROOT_THRESHOLD if role == "root" else 1


def _delegated(kind: Kind, keyid: str) -> DelegatedRole:
    return DelegatedRole(kind.value, [keyid], 1, True, paths=[f"{kind.value}/*/*"])


def newest_root(folder: Path) -> bytes:
    """The root that new devices are shipped with.

    Raises:
        UsageError: there is none.
    """
    path = Repository(folder, {}, 0)._newest("root")
    return read_named(path, _MAX_METADATA)


def lacking(keys: Iterable[str]) -> tuple[str, ...]:
    """The names of keys that a new repository needs beside these."""
    there = set(keys)
    return tuple(name for name in KEY_NAMES if name not in there)
