"""Consistency proofs (RFC 6962, 2.1.2): a tree continues an older one, and nothing of it changed.

A proof on paper is the body of an `add-checkpoint` request (C2SP tlog-witness):
the old size, a hash a line, an empty line and the newer checkpoint as signed. A
witness takes it as it is; who holds the older checkpoint checks it alone. Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from edge.audit.note import Verifier, decoded, first_signature_alone
from edge.audit.paths import Root
from edge.audit.proofs.merkle import EMPTY_ROOT, HASH_BYTES, node_hash
from edge.audit.segment import is_count, signed_head
from edge.errors import AuditError

MAX_HASHES = 63  # as the witness protocol says: enough for any tree
MAX_REQUEST_BYTES = 64 * 1024  # of a request; 63 hashes are 2,900 bytes, a checkpoint some hundred


class Inconsistent(AuditError):
    """The newer tree does not continue the older one."""


@dataclass(frozen=True, slots=True)
class Request:
    """A checkpoint, and the path from an older size to it."""

    old: int  # entries of the older tree
    path: tuple[bytes, ...]
    note: bytes  # the newer checkpoint, as signed


def consistency_path(old: int, size: int, root: Root) -> list[bytes]:
    """The path from the tree of the first `old` leaves to that of `size`.

    Args:
        root: gives the root over leaves `low` to `high - 1` of the newer tree.
    """
    if not 0 <= old <= size:
        raise AuditError(f"expected an older size from 0 to {size}, got {old}")
    if old in (0, size):
        return []
    beside: list[tuple[int, int]] = []
    low, high = 0, size
    while high != old:
        middle = low + (1 << ((high - low - 1).bit_length() - 1))
        beside.append((middle, high) if old <= middle else (low, middle))
        low, high = (low, middle) if old <= middle else (middle, high)
    if low > 0:  # else what is left is the older tree, whose root is known
        beside.append((low, high))
    return [root(*span) for span in reversed(beside)]


def check_consistency(
    old: int, old_root: bytes, size: int, size_root: bytes, path: Sequence[bytes]
) -> None:
    """See that the tree of `size` leaves continues the one of `old`, as RFC 9162 2.1.4.2 does it.

    Raises:
        Inconsistent: it does not, or the path is no proof of it.
    """
    if old > size:
        raise Inconsistent(f"a tree of {size} cannot continue one of {old}")
    if old in (0, size):
        known = EMPTY_ROOT if old == 0 else size_root
        if path or old_root != known:
            raise Inconsistent(f"another tree of {old} entries, or a path where none is needed")
        return
    older, newer = _rebuilt(old, old_root, size, path)
    if older != old_root or newer != size_root:
        raise Inconsistent(f"the tree of {size} entries does not continue that of {old}")


def shows_fork(
    old: int, old_root: bytes, size: int, size_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether a path proves that the tree of `size` leaves begins with another one of `old`.

    A path that leads to the newer root and to another older one is such a proof; one that does not
    lead to the newer root proves nothing, and anybody can make one. If `old` is a power of two, a
    path holds no part of the older tree, so none can prove it.
    """
    if not 0 < old < size:
        return old == size and not path and old_root != size_root
    try:
        older, newer = _rebuilt(old, old_root, size, path)
    except Inconsistent:
        return False
    return newer == size_root and older != old_root


def _rebuilt(old: int, old_root: bytes, size: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of the older and of the newer tree that a path leads to; 0 < old < size.

    Raises:
        Inconsistent: it has too many hashes, or too few.
    """
    hashes = list(path) if old & (old - 1) else [old_root, *path]
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    if not hashes:
        raise Inconsistent("the path is too short")
    older = newer = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise Inconsistent("the path is too long")
        if place & 1 or place == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise Inconsistent("the path is too short")
    return older, newer


def written(request: Request) -> bytes:
    """The request as it is sent, or kept as a proof."""
    hashes = "".join(base64.b64encode(found).decode() + "\n" for found in request.path)
    return f"old {request.old}\n{hashes}\n".encode() + request.note


def read_request(body: bytes) -> Request:
    """The request in `body`; nothing is verified.

    Raises:
        AuditError: it is none.
    """
    if len(body) > MAX_REQUEST_BYTES:
        raise AuditError(f"expected at most {MAX_REQUEST_BYTES} bytes, got {len(body)}")
    head, gap, note = body.partition(b"\n\n")
    lines = head.decode(errors="replace").split("\n")
    size = lines[0].removeprefix("old ")
    if not gap or lines[0] == size or not is_count(size) or str(int(size)) != size:
        raise AuditError("expected `old N`, hashes, an empty line and a checkpoint")
    if len(lines) - 1 > MAX_HASHES:
        raise AuditError(f"expected at most {MAX_HASHES} hashes, got {len(lines) - 1}")
    path = tuple(decoded(line, "a hash of the path") for line in lines[1:])
    if any(len(found) != HASH_BYTES for found in path):
        raise AuditError(f"expected hashes of {HASH_BYTES} bytes")
    return Request(int(size), path, note)


def prove_consistency(old_note: bytes, note: bytes, root: Root, key: Verifier) -> bytes:
    """The proof that the log of `note` continues that of `old_note`.

    Args:
        root: of the newer tree; see `consistency_path`.

    Raises:
        Inconsistent: it does not.
        AuditError: one of them is no checkpoint by this key.
    """
    (old, old_root), (size, size_root) = (signed_head(one, key) for one in (old_note, note))
    path = consistency_path(old, size, root) if old <= size else []
    check_consistency(old, old_root, size, size_root, path)
    alone = first_signature_alone(note.decode()).encode()
    return written(Request(old, tuple(path), alone))


def verify_consistency(proof: bytes, old_note: bytes, key: Verifier) -> tuple[int, int]:
    """The sizes of the older and the newer tree, if the proof shows that one continues the other.

    Raises:
        AuditError: it does not, and why.
    """
    request = read_request(proof)
    (old, old_root), (size, size_root) = (signed_head(one, key) for one in (old_note, request.note))
    if request.old != old:
        raise AuditError(f"the proof is from size {request.old}, the older checkpoint has {old}")
    check_consistency(old, old_root, size, size_root, request.path)
    return old, size
