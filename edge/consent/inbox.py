"""The consent inbox: a watched folder where a session's tokens are handed in and withdrawn.

    NAME.token       a receipt or an authorisation: a signed note
    NAME.withdrawn   the number of a receipt that is taken back
    NAME.optout      the digest of a person who opted out
    claim            the digest of the person who now says who they are (card, PIN, code)

Each file but a token holds one line. Move files in whole. A file that only blocks
needs no signature. The guard reads a file once; removing it changes nothing while
the guard runs, except that a removed claim ends. A claim counts only if it is made
while the guard runs: an older file belongs to another session. The same bytes count
once. If new files come faster than the log accepts, everything is blocked until the
guard may take them. The folder belongs to the customer's own program: it can end a
session and name a person, but it cannot consent for anybody.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.audit.note import Verifier
from edge.audit.schema import Handing, Stamp, Token
from edge.clock import MS, S
from edge.consent.consent import Consent
from edge.consent.tokens import read_authorisation, read_receipt
from edge.errors import RecordError, SignatureError
from edge.files import read_plain

LOOK_NS = 50 * MS  # the folder is read this often
MAX_FILES = 4096
BURST = 60  # new files that may come at once, beyond those that lie there at the start
MAX_READS = 256  # files read at one look; the others are read at the next
REGAIN_NS = 10 * S  # then one more in this time; each is an entry in the log
_MAX_BYTES = 4096
_PERSON = re.compile("[0-9a-f]{64}")
_CLAIM = "claim"
_Mark = tuple[int, int, int]  # inode, time of change, size


@dataclass(frozen=True, slots=True)
class Handed:
    """One file, taken or refused; `digest` is the SHA-256 of its bytes."""

    handing: Handing
    digest: bytes
    message: str  # for the operator, never for the log

    def entry(self, stamp: Stamp) -> Token:
        """What the log keeps of it."""
        return Token(stamp, self.handing, self.digest)


class ConsentInbox:
    """Reads the folder into a `Consent`."""

    def __init__(
        self,
        folder: Path,
        consent: Consent,
        *,
        receipt_keys: Sequence[Verifier],
        authorities: Sequence[Verifier],
    ) -> None:
        """`receipt_keys` sign receipts, `authorities` sign authorisations."""
        self._folder = folder
        self._consent = consent
        self._receipt_keys = tuple(receipt_keys)
        self._authorities = tuple(authorities)
        self._seen: dict[str, _Mark] = {}
        self._known: set[tuple[str, bytes]] = set()  # (suffix, digest) of what was taken
        self._left = BURST  # new files that may be taken now
        self._regained_ns: int | None = None
        self._first = True
        self._looked_ns: int | None = None
        self.readable = False  # not read yet

    def look(self, now_ns: int) -> tuple[Handed, ...]:
        """Take what is new; cheap to ask at every turn, the folder is read every 50 ms."""
        if self._looked_ns is not None and now_ns - self._looked_ns < LOOK_NS:
            return ()
        self._looked_ns = now_ns
        found: dict[str, _Mark] = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name == _CLAIM or entry.name.endswith(tuple(_TAKES)):
                        status = entry.stat(follow_symlinks=False)
                        found[entry.name] = (status.st_ino, status.st_mtime_ns, status.st_size)
        except OSError:
            self.readable = False
            return ()
        self.readable = len(found) <= MAX_FILES
        if not self.readable:
            return ()
        self._claim(found.pop(_CLAIM, None), now_ns)
        # what closes comes first: a receipt and its withdrawal may arrive together
        fresh = sorted(
            (name for name, mark in found.items() if self._seen.get(name) != mark),
            key=lambda name: (name.endswith(".token"), name),
        )
        if self._first:
            self._left = len(fresh) + BURST
        self._first = False
        self._regain(now_ns)
        handed = []
        for place, name in enumerate(fresh):
            data = self._read(name) if place < MAX_READS else None
            if data is None:
                self.readable = False  # it may be a withdrawal; look again
                continue
            what = (_kind(name), hashlib.sha256(data).digest())
            if what not in self._known:
                if not self._left:
                    self.readable = False  # blocked until it may be taken
                    continue
                self._left -= 1
                self._known.add(what)
                handed.append(self._take(name, data))
            self._seen[name] = found[name]
        return tuple(handed)

    def _regain(self, now_ns: int) -> None:
        if self._left >= BURST or self._regained_ns is None:
            self._regained_ns = now_ns
            return
        more = (now_ns - self._regained_ns) // REGAIN_NS
        self._regained_ns += more * REGAIN_NS
        self._left = min(BURST, self._left + more)

    def _claim(self, mark: _Mark | None, now_ns: int) -> None:
        before = self._seen.get(_CLAIM)
        if mark == before:
            return
        if mark is None:
            del self._seen[_CLAIM]
            self._consent.unclaim()
            return
        self._seen[_CLAIM] = mark
        person = (self._read(_CLAIM) or b"").decode(errors="replace").strip()
        if self._first or not _PERSON.fullmatch(person):
            self._consent.unclaim()
        else:
            self._consent.claim(person, now_ns)

    def _take(self, name: str, data: bytes) -> Handed:
        digest = hashlib.sha256(data).digest()
        shown = "".join(sign if sign.isprintable() else "?" for sign in name)
        try:
            handing = _TAKES[_kind(name)](self, data)
        except (RecordError, SignatureError) as err:
            return Handed(Handing.REFUSED, digest, f"{shown} is refused: {err}")
        return Handed(handing, digest, f"{shown} is taken: {handing.value}")

    def _token(self, data: bytes) -> Handing:
        try:
            receipt = read_receipt(data, self._receipt_keys)
        except (RecordError, SignatureError) as not_receipt:
            try:
                authorisation = read_authorisation(data, self._authorities)
            except SignatureError:
                raise not_receipt from None
            self._consent.hand_in(authorisation)
            return Handing.AUTHORISATION
        self._consent.hand_in(receipt)
        return Handing.RECEIPT

    def _withdrawn(self, data: bytes) -> Handing:
        self._consent.withdraw(_line(data))
        return Handing.WITHDRAWAL

    def _optout(self, data: bytes) -> Handing:
        person = _line(data)
        if not _PERSON.fullmatch(person):
            raise RecordError("expected the digest of a person, 64 hexadecimal digits")
        self._consent.opt_out(person)
        return Handing.OPT_OUT

    def _read(self, name: str) -> bytes | None:
        try:
            return read_plain(self._folder / name, _MAX_BYTES + 1)
        except OSError:
            return None


_TAKES = {
    ".token": ConsentInbox._token,
    ".withdrawn": ConsentInbox._withdrawn,
    ".optout": ConsentInbox._optout,
}


def _kind(name: str) -> str:
    """The ending that says what a file is; one that has no more than the ending has one, too."""
    return next(kind for kind in _TAKES if name.endswith(kind))


def _line(data: bytes) -> str:
    lines = data.decode(errors="replace").split()
    if len(lines) != 1:
        raise RecordError("expected one word on one line")
    return lines[0]
