"""Proof that a log forked: two heads that its key signed, and neither continues the other.

Somebody's word that there are two is no proof, whoever says it: without the other head,
signed by the log's own key, anybody could raise the alarm. Pure: notes and roots come in.
"""

from __future__ import annotations

from edge.audit.note import NoteError, Verifier
from edge.audit.paths import Root
from edge.audit.segment import signed_head
from edge.errors import AuditError


def contradiction(other: bytes, size: int, root: bytes, roots: Root, key: Verifier) -> str:
    """How another head of a log contradicts its newest one; empty if it does not prove that.

    Args:
        other: a head that is said to be the log's, from whomever.
        size: of the newest head, whose signature has been verified.
        root: of the newest head.
        roots: gives the root over entries `low` to `high - 1` of the newest head's tree.

    Raises:
        AuditError: the tree that `roots` reads is not that of the newest head.
    """
    try:
        seen_size, seen_root = signed_head(other, key)
    except NoteError:
        return ""  # no head by this key
    if seen_size > size:
        return f"it signed {seen_size} entries, and shows {size}"
    if seen_size == size:
        return "" if seen_root == root else f"it signed two histories of {size} entries"
    if seen_size == 0:
        return ""
    if roots(0, size) != root:
        raise AuditError("the log's files are not those of its checkpoint")
    if roots(0, seen_size) == seen_root:
        return ""
    return f"its {size} entries do not continue the {seen_size} that it signed before"
