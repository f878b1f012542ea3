"""What a witness answers to `add-checkpoint` (C2SP tlog-witness), and what it keeps.

It remembers the newest tree of each log that it cosigned, and cosigns another one
only if that continues it. So the second history of a log is never
cosigned. Pure except for the store: body and time come in, the answer goes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

from edge.audit.cosignature import cosign
from edge.audit.note import NoteError, Signer, Verifier, decoded, read_note
from edge.audit.proofs.consistency import (
    Inconsistent,
    Request,
    check_consistency,
    read_request,
    shows_fork,
)
from edge.audit.proofs.merkle import EMPTY_ROOT, HASH_BYTES
from edge.audit.segment import is_count
from edge.errors import AuditError, meaning

SIZE_TYPE = "text/x.tlog.size"
PROOFS = 16  # pieces of evidence kept of a log; the first ones say it
DOUBTS = 4  # of them what proves nothing, and leaves room for proofs
_TEXT_TYPE = "text/plain; charset=utf-8"


class NotKept(AuditError):
    """A witness's memory cannot be used; nothing is cosigned."""


class Status(IntEnum):
    """The protocol's answers."""

    COSIGNED = 200
    MALFORMED = 400  # no request, or an old size above the new one
    NOT_SIGNED = 403  # by no key that is trusted for the log
    UNKNOWN_LOG = 404
    CONFLICT = 409  # not from the size that was cosigned last, or another tree of that size
    NOT_CONSISTENT = 422
    NOT_KEPT = 503  # the memory cannot be written, so nothing is cosigned


@dataclass(frozen=True, slots=True)
class Head:
    """The newest tree of a log that was cosigned."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    note: bytes = b""  # its checkpoint, as the log signed it


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: Status
    body: bytes
    content_type: str = _TEXT_TYPE
    forked: str = ""  # the origin of a log that signed another history than the one cosigned
    unproven: str = ""  # of one that may have: it signed a tree, and the proof sent with it is none
    head: bytes = b""  # the head cosigned last, where the request does not start from it


class Store(Protocol):
    """What a witness must never forget."""

    def logs(self, origin: str) -> Sequence[Verifier]:
        """The keys that are trusted for a log; none for one that is unknown."""

    def origin(self, digest: str) -> str:
        """The known log whose origin has this SHA-256 in hexadecimal; empty if none has."""

    def head(self, origin: str) -> Head:
        """The newest tree cosigned, an empty one before the first."""

    def advance(self, origin: str, seen: Head, head: Head, time_s: int) -> bool:
        """Keep `head` for good, if `seen` is still what is kept: both in one step."""

    def keep_evidence(self, origin: str, head: Head, body: bytes, time_s: int, most: int) -> None:
        """Keep a signed request that contradicts what was cosigned, or may.

        Args:
            most: pieces of a log; if so many are kept, it is not.
        """


@dataclass(frozen=True, slots=True)
class _Tree:
    origin: str
    size: int
    root: bytes
    text: bytes  # that is signed


def answer(body: bytes, store: Store, signer: Signer, time_s: int) -> Answer:
    """The answer to one request; nothing of a refused one changes what is kept.

    Args:
        time_s: POSIX, of the witness's clock.
    """
    try:
        request = read_request(body)
        tree = _tree(request.note)
    except AuditError as err:
        return _refused(Status.MALFORMED, str(err))
    keys = store.logs(tree.origin)
    if not keys:
        return _refused(Status.UNKNOWN_LOG, f"no log {tree.origin[:80]!r} is known here")
    try:
        read_note(request.note, keys)
    except NoteError as err:
        return _refused(Status.NOT_SIGNED, str(err))
    if request.old > tree.size:
        return _refused(
            Status.MALFORMED, f"old size {request.old} is above the checkpoint's {tree.size}"
        )
    if tree.size == 0 and tree.root != EMPTY_ROOT:  # no second history, but no tree either
        return _refused(Status.NOT_CONSISTENT, "an empty tree has another root")
    return _advanced(request, tree, body, store, signer, time_s)


def _advanced(
    request: Request, tree: _Tree, body: bytes, store: Store, signer: Signer, time_s: int
) -> Answer:
    seen = store.head(tree.origin)
    if request.old != seen.size:
        return _conflict(seen)
    if request.old == tree.size and tree.root != seen.root:
        store.keep_evidence(tree.origin, seen, body, time_s, PROOFS)
        return replace(_conflict(seen), forked=tree.origin)
    try:
        check_consistency(seen.size, seen.root, tree.size, tree.root, request.path)
    except Inconsistent as err:
        refused = replace(_refused(Status.NOT_CONSISTENT, str(err)), head=seen.note)
        if request.old in (0, tree.size):  # nothing, or all of it, was cosigned: a path too many
            return refused
        shown = shows_fork(seen.size, seen.root, tree.size, tree.root, request.path)
        store.keep_evidence(tree.origin, seen, body, time_s, PROOFS if shown else DOUBTS)
        if shown:
            return replace(refused, forked=tree.origin)
        return replace(refused, unproven=tree.origin)
    if not store.advance(tree.origin, seen, Head(tree.size, tree.root, request.note), time_s):
        return _conflict(store.head(tree.origin))  # another request was faster
    return Answer(Status.COSIGNED, cosign(tree.text, signer, time_s))


def is_proof(head: bytes, body: bytes) -> bool:
    """Whether a request that was kept proves a fork from the head that was cosigned before it."""
    try:
        request, seen = read_request(body), _tree(head)
        tree = _tree(request.note)
    except AuditError:
        return False
    if tree.size == seen.size:
        return tree.root != seen.root
    return shows_fork(seen.size, seen.root, tree.size, tree.root, request.path)


def _tree(note: bytes) -> _Tree:
    """What a checkpoint says, by whomever it is signed; lines after the root are let stand."""
    text, gap, _ = note.rpartition(b"\n\n")
    with meaning("a checkpoint must be UTF-8", UnicodeDecodeError, as_=NoteError):
        lines = text.decode().split("\n")
    if not gap or len(lines) < 3 or not all(lines):
        raise NoteError("expected a checkpoint: origin, size and root, a line each")
    origin, size, root = lines[:3]
    if not is_count(size) or str(int(size)) != size:
        raise NoteError("the size of a checkpoint is a whole number without leading zeroes")
    found = decoded(root, "the root of a checkpoint")
    if len(found) != HASH_BYTES:
        raise NoteError(f"expected a root of {HASH_BYTES} bytes")
    return _Tree(origin, int(size), found, text + b"\n")


def _refused(status: Status, why: str) -> Answer:
    return Answer(status, f"{why}\n".encode())


def _conflict(seen: Head) -> Answer:
    return Answer(Status.CONFLICT, b"%d\n" % seen.size, SIZE_TYPE, head=seen.note)


def shown(path: str, store: Store) -> Answer:
    """The head of a log that was cosigned last, as the log signed it.

    This is not in the protocol. With it a log that forked is proven, not claimed.

    Args:
        path: what follows `/head/`: the SHA-256 of the log's origin, in hexadecimal.
    """
    note = store.head(store.origin(path)).note
    if not note:
        return _refused(Status.UNKNOWN_LOG, "no head of such a log was cosigned here")
    return Answer(Status.COSIGNED, note)


def by_origin(keys: Sequence[Verifier]) -> Mapping[str, tuple[Verifier, ...]]:
    """The keys of each log: a log's name is its key's."""
    found: dict[str, tuple[Verifier, ...]] = {}
    for key in keys:
        found[key.name] = (*found.get(key.name, ()), key)
    return found
