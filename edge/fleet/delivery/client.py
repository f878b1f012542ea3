"""The device's side: fresh metadata, the releases that are for this device, each one checked.

What TUF refuses (expired, rolled back, mixed, not signed) ends a round before anything is taken.
What it accepts is only delivered: the release log and the file's own signatures and floors say
whether it counts. Nothing here can permit a frame, and nothing that was taken is ever removed.
"""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.audit.note import Verifier
from edge.audit.proofs.merkle import TILE_WIDTH, tile_path
from edge.errors import AuditError, GuardError, UsageError, meaning, wrong_in
from edge.files import read_named, sha256_of, write_whole
from edge.fleet.delivery.release import Kind, Release, Ticket, log_entry, newest
from edge.fleet.delivery.release_log import ReleaseHead, release_head
from edge.fleet.delivery.shelf import Item, Shelf
from edge.fleet.trust_policy import TrustPolicy

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile
    from tuf.ngclient import Updater

    from edge.fleet.delivery.transport import Transport

_MAX_METADATA = 5_000_000
_MAX_NOTE = 64 * 1024
_RELEASE_HEAD = "release.checkpoint"
Judge = Callable[[Release, Path], None]  # raises GuardError where a file does not count


class Refused(GuardError):
    """Nothing new is taken; what is there stays."""


@dataclass(frozen=True, slots=True)
class Device:
    """Who fetches."""

    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trust:
    """What a device is shipped with."""

    root: bytes  # the repository's first root, as signed
    log: Verifier  # of the release log
    witnesses: TrustPolicy | None  # of the release log; None: nobody has to have seen it
    known_s: int  # a moment that is known to have passed, POSIX


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a round came to."""

    taken: tuple[Release, ...]
    refused: tuple[tuple[Release, str], ...]


class Client:
    """Rounds of one device."""

    def __init__(
        self, url: str, state: Path, shelf: Shelf, trust: Trust, say: Callable[[str], None]
    ) -> None:
        """
        Args:
            url: of the repository, without a slash at its end.
            state: a folder of this client's own: metadata that was seen, files under way.
        """
        self._url, self._state, self._shelf, self._trust = url, state, shelf, trust
        self._say = say

    def round(self, device: Device, judge: Judge) -> Fetched:
        """Take what is new for this device and counts.

        Raises:
            Refused: the repository is not to be trusted now, or not reached.
            OSError: this side cannot write.
        """
        from tuf.ngclient import Updater

        from edge.fleet.delivery.transport import Transport

        transport = Transport()
        metadata = self._state / "metadata"
        metadata.mkdir(parents=True, exist_ok=True)
        with _translated():
            updater = Updater(
                str(metadata),
                f"{self._url}/metadata",
                target_base_url=f"{self._url}/targets",
                fetcher=transport,
                bootstrap=self._trust.root,
            )
            updater.refresh()
            tickets, files = self._listed(updater, metadata)
        self._require_fresh(metadata)
        wanted = newest(tickets, device.name, device.groups, self._shelf.serials())
        if not wanted:
            return Fetched((), ())
        head = self._head(transport)
        incoming = self._state / "incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir()
        items: dict[str, Item] = {}
        taken, refused = [], []
        for number, release in enumerate(wanted):
            path = incoming / str(number)
            try:
                self._one(release, files[release], tickets[release], head, updater, path)
                judge(release, path)
            except GuardError as err:
                refused.append((release, str(err)))
                continue
            items[release.place] = Item(release.serial, path)
            taken.append(release)
        if items:
            self._shelf.put(items)
        shutil.rmtree(incoming, ignore_errors=True)
        return Fetched(tuple(taken), tuple(refused))

    def _one(
        self,
        release: Release,
        file: TargetFile,
        ticket: Ticket,
        head: ReleaseHead,
        updater: Updater,
        path: Path,
    ) -> None:
        sha256 = file.hashes.get("sha256", "")
        if file.length > release.kind.most_bytes:
            most = release.kind.most_bytes
            raise Refused(f"expected at most {most} bytes, the metadata says {file.length}")
        with wrong_in("not in the release log", AuditError, UsageError, as_=Refused):
            head.require(log_entry(release, sha256, file.length), ticket.entry)
        self._say(f"{release.path}: {file.length} bytes")
        with _translated():
            updater.download_target(file, str(path))
        if sha256_of(path) != sha256:
            raise Refused("altered after it was fetched")
        path.chmod(0o644)

    def _listed(
        self, updater: Updater, metadata: Path
    ) -> tuple[dict[Release, Ticket], dict[Release, TargetFile]]:
        """Everything that is handed out, each by the role that may hand it out."""
        tickets: dict[Release, Ticket] = {}
        files: dict[Release, TargetFile] = {}
        for kind in Kind:
            updater.get_targetinfo(f"{kind.value}/-/0")  # there is none: loads the role
            for path in _names(metadata / f"{kind.value}.json"):
                release = Release.parse(path)
                file = updater.get_targetinfo(path) if release else None
                ticket = Ticket.parse(file.custom) if file else None
                if release is None or release.kind is not kind or file is None or ticket is None:
                    raise Refused(f"malformed: {path[:120]!r} is no release")
                tickets[release], files[release] = ticket, file
        return tickets, files

    def _require_fresh(self, metadata: Path) -> None:
        """See that nothing is expired by a time that is proven, whatever the clock says."""
        known = datetime.datetime.fromtimestamp(self._trust.known_s, datetime.timezone.utc)
        kinds = (kind.value for kind in Kind)
        for role in ("root", "timestamp", "snapshot", "targets", *kinds):
            signed = json.loads(read_named(metadata / f"{role}.json", _MAX_METADATA))["signed"]
            expires = datetime.datetime.strptime(signed["expires"], "%Y-%m-%dT%H:%M:%SZ")
            if expires.replace(tzinfo=datetime.timezone.utc) <= known:
                raise Refused(f"expired: {role} at {signed['expires']}, and it is later than that")

    def _head(self, transport: Transport) -> ReleaseHead:
        name = "checkpoint" if self._trust.witnesses is None else "checkpoint.cosigned"
        kept = self._state / _RELEASE_HEAD
        with _translated():
            note = transport.download_bytes(f"{self._url}/log/{name}", _MAX_NOTE)

        def tile(level: int, number: int, there: int) -> bytes:
            part, whole = (tile_path(level, number, width) for width in (there, TILE_WIDTH))
            with _translated():
                found = _there(transport, f"{self._url}/log/{part}")
                if found is not None:
                    return found
                return bytes(transport.download_bytes(f"{self._url}/log/{whole}", TILE_WIDTH * 32))

        before = read_named(kept, _MAX_NOTE) if kept.exists() else b""
        with wrong_in("the release log is not to be trusted", AuditError, as_=Refused):
            head = release_head(note, before, tile, self._trust.log, self._trust.witnesses)
        write_whole(kept, note)
        return head


def _there(transport: Transport, url: str) -> bytes | None:
    from tuf.api.exceptions import DownloadHTTPError

    try:
        return bytes(transport.download_bytes(url, TILE_WIDTH * 32))
    except DownloadHTTPError:
        return None


def _names(path: Path) -> list[str]:
    """What a role's metadata, which was verified just now, lists; the updater says what counts."""
    lacking = f"malformed: {path.name} lists no targets"
    with meaning(lacking, OSError, ValueError, KeyError, TypeError, as_=Refused):
        found = json.loads(read_named(path, _MAX_METADATA))["signed"]["targets"]
    return sorted(found)


@contextmanager
def _translated() -> Iterator[None]:
    """What the TUF client raises, as one line that names the kind of fault."""
    from tuf.api import exceptions

    kinds = (
        (exceptions.ExpiredMetadataError, "expired"),
        (exceptions.BadVersionNumberError, "rolled back or mixed"),
        (exceptions.UnsignedMetadataError, "not signed by enough trusted keys"),
        (exceptions.LengthOrHashMismatchError, "altered or mixed"),
        (exceptions.DownloadLengthMismatchError, "longer than its metadata says"),
        (exceptions.RepositoryError, "malformed"),
        (exceptions.DownloadError, "not reached"),
    )
    try:
        yield
    except (exceptions.RepositoryError, exceptions.DownloadError) as err:
        what = next(text for kind, text in kinds if isinstance(err, kind))
        cause = f" ({err.__cause__})" if err.__cause__ is not None else ""
        line = f"{err}{cause}".partition("\n")[0]
        raise Refused(f"{what}: {line[:200]}") from err
