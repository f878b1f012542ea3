"""Histories of made-up logs, honest and forked, and the requests a log would send of them."""

from __future__ import annotations

from collections.abc import Sequence

from edge.audit.note import Signer, sign_note
from edge.audit.paths import root_of
from edge.audit.proofs.consistency import Request, consistency_path, written
from edge.audit.proofs.merkle import leaf_hash
from edge.audit.segment import checkpoint_text


class History:
    """The leaves of one log."""

    def __init__(self, signer: Signer, entries: Sequence[str]) -> None:
        self.signer = signer
        self.leaves = [leaf_hash(entry.encode()) for entry in entries]

    def root(self, size: int) -> bytes:
        return root_of(self.leaves[:size])

    def note(self, size: int) -> bytes:
        text = checkpoint_text(self.signer.name, size, self.root(size))
        return sign_note(text, [self.signer])

    def request(self, old: int, size: int) -> bytes:
        """What a log sends; an `old` above `size` gets no path."""
        path = (
            consistency_path(old, size, lambda low, high: root_of(self.leaves[low:high]))
            if old <= size
            else []
        )
        return written(Request(old, tuple(path), self.note(size)))


def honest(signer: Signer, count: int) -> History:
    return History(signer, [f"{signer.name} {number}" for number in range(count)])


def forked(signer: Signer, count: int, at: int) -> History:
    """The same up to entry `at`, which is another one."""
    return History(
        signer, [f"{signer.name} {number}{'!' * (number == at)}" for number in range(count)]
    )
