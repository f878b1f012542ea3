"""The signed receipt for entries that were pruned: which, when, and what they added up to.

`pruned/NNNNNN.receipt` is a signed note by the device: the first segment that was
kept, how many entries lie before it, the root of their tree, and one line of
canonical JSON. The newest receipt speaks for all entries before its segment. The
certificates and the hashes of pruned entries stay in the log, so the receipt is
needed for one thing only: it tells a pruned log from a damaged one.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import rfc8785

from edge.audit.files import Files
from edge.audit.forms import wall_ns, wall_text
from edge.audit.note import NoteError, Signer, Verifier, decoded, read_note, sign_note
from edge.audit.pruning.carried import Carried
from edge.audit.segment import is_count
from edge.errors import AuditError, wrong_in

RECEIPTS = "pruned"
_TITLE = "framegate/pruned/v1"
_FACTS = ("at", "keep_months", "log_entries", "since", "until")  # beside what is carried
_NAME = re.compile(r"[0-9]{6,9}\.receipt")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Entries 0 to `entries - 1` may be gone; their hashes are not."""

    origin: str
    segments: int  # the first segment that was kept
    entries: int  # before it
    root: bytes  # of the tree of those entries
    log_entries: int  # that the log had published when it was pruned
    at: str  # when it was pruned, UTC
    since: str  # of the first pruned entry
    until: str  # of the last
    keep_months: int  # the retention that was in force
    carried: Carried  # what the pruned entries add up to

    @property
    def words(self) -> str:
        """One line of text that explains the gap."""
        return (
            f"entries 0 to {self.entries - 1} ({self.since} to {self.until}) were pruned at "
            f"{self.at}, with {self.keep_months} months kept"
        )

    def note(self, device: Signer) -> bytes:
        return sign_note(self._text(), [device])

    def _text(self) -> bytes:
        facts = {name: getattr(self, name) for name in _FACTS} | asdict(self.carried)
        facts["time_floor"] = wall_text(facts.pop("time_floor_ns"))
        root = base64.b64encode(self.root).decode()
        head = f"{_TITLE}\n{self.origin}\n{self.segments}\n{self.entries}\n{root}\n"
        return head.encode() + rfc8785.dumps(facts) + b"\n"

    @classmethod
    def read(cls, note: bytes, device: Verifier) -> Receipt:
        """The receipt in `note`, signed by the device.

        Raises:
            NoteError: malformed, or the signature is bad or missing.
        """
        text, _ = read_note(note, [device], closed=True)
        lines = text.decode(errors="replace").split("\n")
        if len(lines) != 7 or lines[0] != _TITLE or not all(map(is_count, lines[2:4])):
            raise NoteError("expected a receipt for pruned entries")
        try:
            facts = json.loads(lines[5])
            found = cls(
                origin=lines[1],
                segments=int(lines[2]),
                entries=int(lines[3]),
                root=decoded(lines[4], "the root in a receipt"),
                log_entries=int(facts["log_entries"]),
                at=str(facts["at"]),
                since=str(facts["since"]),
                until=str(facts["until"]),
                keep_months=int(facts["keep_months"]),
                carried=Carried(
                    int(facts["policy_floor"]),
                    wall_ns(facts["time_floor"]),
                    str(facts["not_yet"]),
                    str(facts["distrusted"]),
                    facts["unclean"] is True,
                ),
            )
            same = found._text() == text
        except (ValueError, TypeError, KeyError, RecursionError, AuditError) as err:
            raise NoteError("the receipt for pruned entries lacks a fact") from err
        if not same:
            raise NoteError("the receipt is not in its canonical form")
        return found


def receipt_name(segments: int) -> str:
    return f"{segments:06d}.receipt"


def newest_receipt(files: Files, directory: Path, device: Verifier) -> Receipt | None:
    """The newest receipt of the log in `directory`; None if nothing was pruned.

    Raises:
        AuditError: a receipt is not what the device signed, or a stranger lies among them.
    """
    newest = None
    for name in files.names(directory / RECEIPTS):
        if name.endswith(".receipt.new"):
            continue  # a crash left it; it was never put in its place
        if not _NAME.fullmatch(name):
            raise AuditError(f"{name[:40]!r} is no receipt, but lies among those of the log")
        note = files.read(directory / RECEIPTS / name) or b""
        with wrong_in(f"receipt {name}", NoteError, as_=AuditError):
            found = Receipt.read(note, device)
        if found.origin != device.name or receipt_name(found.segments) != name:
            raise AuditError(f"receipt {name} belongs to another place or log")
        if newest is None or found.segments > newest.segments:
            newest = found
    return newest
