"""Hash paths (RFC 6962): one entry, or a run of entries, belongs to a tree.

A run's path is the roots of the widest subtrees beside it, left to right: with
the run's own leaves they give the tree's root. An entry's inclusion path is
the one of the standard, from the leaf up. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edge.audit.proofs.merkle import Frontier, node_hash
from edge.errors import AuditError

Root = Callable[[int, int], bytes]  # the root over leaves `low` to `high - 1`


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings of leaf `index`, from the leaf up."""
    return inclusion_path_of(len(leaves), index, lambda low, high: root_of(leaves[low:high]))


def inclusion_path_of(size: int, index: int, root: Root) -> list[bytes]:
    """The same in a tree of `size` leaves of which `root` gives any subtree's root."""
    if not 0 <= index < size:
        raise AuditError(f"no entry {index} in a tree of {size}")
    siblings = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        siblings.append((middle, high) if index < middle else (low, middle))
        low, high = (low, middle) if index < middle else (middle, high)
    return [root(*sibling) for sibling in reversed(siblings)]


def subtree(perfect: Callable[[int, int], bytes]) -> Root:
    """`Root` for a tree of which `perfect` gives the roots of (low, a power of two of leaves)."""

    def root(low: int, high: int) -> bytes:
        width = high - low
        if width & (width - 1) == 0:
            return perfect(low, width)
        middle = low + _split(width)
        return node_hash(root(low, middle), root(middle, high))

    return root


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that the path leads to.

    Raises:
        AuditError: the path is too short or too long for that place.
    """
    if not 0 <= index < size:
        raise AuditError(f"no entry {index} in a tree of {size}")
    turns: list[bool] = []  # whether the leaf lies left, from the root down
    while size > 1:
        split = _split(size)
        turns.append(index < split)
        index, size = (index, split) if index < split else (index - split, size - split)
    if len(path) != len(turns):
        raise AuditError(f"expected a path of {len(turns)} hashes, got {len(path)}")
    root = leaf
    for left, sibling in zip(reversed(turns), path, strict=True):
        root = node_hash(root, sibling) if left else node_hash(sibling, root)
    return root


def run_path(leaves: Sequence[bytes], first: int, end: int) -> list[bytes]:
    """The subtree roots beside the leaves `first` to `end - 1`, left to right."""
    if not 0 <= first < end <= len(leaves):
        raise AuditError(f"no run {first} to {end} in a tree of {len(leaves)}")
    return [root_of(leaves[low:high]) for low, high in _beside(0, len(leaves), first, end)]


def root_from_run(run: Sequence[bytes], first: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root of the tree of `size` leaves that holds `run` from `first` on.

    Raises:
        AuditError: the path is too short or too long for that place.
    """
    end = first + len(run)
    if not 0 <= first < end <= size:
        raise AuditError(f"no run {first} to {end} in a tree of {size}")
    needed = sum(1 for _ in _beside(0, size, first, end))
    if len(path) != needed:
        raise AuditError(f"expected a path of {needed} hashes, got {len(path)}")
    rest = iter(path)

    def root(low: int, high: int) -> bytes:
        if high <= first or low >= end:
            return next(rest)
        if high - low == 1:
            return run[low - first]
        middle = low + _split(high - low)
        left = root(low, middle)
        return node_hash(left, root(middle, high))

    return root(0, size)


def _beside(low: int, high: int, first: int, end: int) -> Iterator[tuple[int, int]]:
    """The widest subtrees of [low, high) that hold nothing of [first, end), in order."""
    if high <= first or low >= end:
        yield low, high
    elif high - low > 1 and not (first <= low and high <= end):
        middle = low + _split(high - low)
        yield from _beside(low, middle, first, end)
        yield from _beside(middle, high, first, end)


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
