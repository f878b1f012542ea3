"""The release log: everything that was ever handed out, as a public log (C2SP tiles, checkpoint).

It has the form of a device's log and is witnessed in the same way. A device takes only what is
in it. So whoever holds every key of the repository still cannot give one device a file that
nobody else ever sees: the file must stand in the log that the witnesses cosign for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.audit.files import Files
from edge.audit.note import NoteError, Signer, Verifier
from edge.audit.paths import Root, inclusion_path_of, root_from_inclusion
from edge.audit.proofs.fork import contradiction
from edge.audit.proofs.merkle import Frontier, leaf_hash
from edge.audit.proofs.tiled import Tile, entries_of, roots_from
from edge.audit.publish import CHECKPOINT, Publisher
from edge.audit.segment import signed_head
from edge.errors import AuditError
from edge.files import read_named
from edge.fleet.courier import quorum
from edge.fleet.delivery.release import logged
from edge.fleet.trust_policy import TrustPolicy

_MAX_NOTE = 64 * 1024


class ReleaseLog:
    """The log on the side of the office that publishes."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        """Read the log back; an empty one begins where there is none.

        Raises:
            AuditError: its files do not fit its checkpoint. A log that is continued all the
                same would fork.
        """
        self._signer = signer
        self._files = Files()
        self._files.make_directory(folder)
        self._publisher = Publisher(self._files, folder)
        self._tree = Frontier()
        self._numbers: dict[bytes, int] = {}
        self._serials: dict[str, int] = {}
        try:
            note = read_named(folder / CHECKPOINT, _MAX_NOTE)
        except FileNotFoundError:
            return
        size, root = signed_head(note, signer.verifier)
        for entry in entries_of(folder / "tile", size):
            self._take(entry)
        if self._tree.root() != root:
            raise AuditError(f"{folder}: the release log's files are not those of its checkpoint")

    def number(self, entry: bytes) -> int:
        """The number of an entry, which is added if it is not there yet."""
        if entry not in self._numbers:
            self._take(entry)
        return self._numbers[entry]

    def holds(self, entry: bytes) -> bool:
        """Whether an entry is in the log."""
        return entry in self._numbers

    def serial(self, place: str) -> int:
        """The highest serial that any file at `KIND/NAME` ever had; 0 for none."""
        return self._serials.get(place, 0)

    def publish(self) -> int:
        """Write what is new; returns the size.

        Raises:
            OSError: it cannot be written.
        """
        self._publisher.publish(self._tree.root(), [self._signer])
        if self._publisher.behind:
            raise OSError("the release log cannot be written")
        return self._tree.size

    def _take(self, entry: bytes) -> None:
        self._numbers.setdefault(entry, self._tree.size)
        if (release := logged(entry)) is not None:
            self._serials[release.place] = max(self.serial(release.place), release.serial)
        self._tree.append(leaf_hash(entry))
        self._publisher.add(entry)


@dataclass(frozen=True, slots=True)
class ReleaseHead:
    """The release log as a device sees it: a head that has been verified."""

    size: int
    root: bytes
    note: bytes
    roots: Root

    def require(self, entry: bytes, number: int) -> None:
        """See that an entry stands in the log at this place.

        Raises:
            AuditError: it does not.
        """
        if number >= self.size:
            raise AuditError(f"the release log ends at {self.size}, before its entry {number}")
        path = inclusion_path_of(self.size, number, self.roots)
        if root_from_inclusion(leaf_hash(entry), number, self.size, path) != self.root:
            raise AuditError(f"entry {number} of the release log is another one")


def release_head(
    note: bytes, kept: bytes, tile: Tile, key: Verifier, witnesses: TrustPolicy | None
) -> ReleaseHead:
    """The head in `note`, if it is the log's, continues `kept`, and enough witnesses saw it.

    Args:
        kept: the head that was seen last; empty for none.
        witnesses: whose cosignatures are needed; None for nobody's.

    Raises:
        AuditError: it is not, and why.
    """
    size, root = signed_head(note, key)
    if witnesses is not None:
        quorum(note, witnesses, key)
    roots = roots_from(tile, size)
    if size and roots(0, size) != root:
        raise AuditError("the release log's files are not those of its checkpoint")
    if kept and (fork := contradiction(kept, size, root, roots, key)):
        raise NoteError(f"the release log forked: {fork}")
    return ReleaseHead(size, root, note, roots)
