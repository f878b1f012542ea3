"""Devices of a made-up fleet with real keys and trees: honest ones, and ones that cheat by seed.

What a device says and what the witness cosigned are made apart, so that whoever
compares them has what an operator has. Pure, given a source of chance.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

from edge.audit.note import Signer, sign_note
from edge.audit.paths import root_of
from edge.audit.proofs.consistency import consistency_path
from edge.audit.proofs.merkle import leaf_hash
from edge.audit.segment import checkpoint_text
from edge.fleet.state.findings import Witnessed
from edge.fleet.state.message import DeviceState, State, device_of
from edge.fleet.witness import Head

_SIZES = (8, 120)  # of a log when it was cosigned
_GROWN = 40  # entries since, at most


class Kind(Enum):
    """How a device behaves."""

    EQUAL = "honest, as cosigned"
    GROWN = "honest, grown since"
    LATE = "honest, its message is older than the visit to the witness"
    SAME_SIZE = "another tree of the cosigned size"
    LONGER = "another history, longer, with a proof of its own"
    SHORTER = "rolled back, and it still has the newer cosigned checkpoint"
    SHORTER_WIPED = "rolled back, and nothing is left of the newer one"


HONEST = (Kind.EQUAL, Kind.GROWN, Kind.LATE)
BAD = (Kind.SAME_SIZE, Kind.LONGER, Kind.SHORTER, Kind.SHORTER_WIPED)


@dataclass(frozen=True, slots=True)
class Seeded:
    """One device."""

    kind: Kind
    state: DeviceState
    witnessed: Witnessed


class Tree:
    """The leaves of one log."""

    def __init__(self, signer: Signer, count: int, changed: int = -1) -> None:
        """`changed`: the entry that is another one; none if it is negative."""
        self.signer = signer
        self.leaves = [
            leaf_hash(f"{signer.name} {n}{'!' * (n == changed)}".encode()) for n in range(count)
        ]

    def root(self, size: int) -> bytes:
        return root_of(self.leaves[:size])

    def note(self, size: int) -> bytes:
        text = checkpoint_text(self.signer.name, size, self.root(size))
        return sign_note(text, [self.signer])

    def path(self, old: int, size: int) -> tuple[bytes, ...]:
        if not 0 < old < size:
            return ()
        leaves = self.leaves
        return tuple(consistency_path(old, size, lambda low, high: root_of(leaves[low:high])))


def seeded(signer: Signer, chance: random.Random, *, bad: bool, now_s: int) -> Seeded:
    """One device: honest, or with one of the ways to cheat."""
    kind = chance.choice(BAD if bad else HONEST)
    seen = chance.randint(*_SIZES)
    grown = seen + chance.randint(1, _GROWN)
    less = chance.randint(1, seen - 1)
    true = Tree(signer, grown)
    other = Tree(signer, grown, changed=chance.randrange(seen))
    ago_s = 400 if kind is Kind.SHORTER_WIPED else 60
    witnessed = Witnessed(Head(seen, true.root(seen), true.note(seen)), now_s - ago_s, False)
    parts = {
        Kind.EQUAL: (true, seen, true, seen),
        Kind.GROWN: (true, grown, true, seen),
        Kind.LATE: (true, less, true, 0),
        Kind.SAME_SIZE: (other, seen, other, 0),
        Kind.LONGER: (other, grown, other, seen),
        Kind.SHORTER: (true, less, true, seen),
        Kind.SHORTER_WIPED: (true, less, true, 0),
    }[kind]
    return Seeded(kind, state_of(*parts, now_s - 20), witnessed)


def state_of(tree: Tree, size: int, before: Tree, old: int, time_s: int) -> DeviceState:
    """What a device says whose log is the first `size` leaves of `tree`."""
    return DeviceState(
        device=device_of(tree.signer.name),
        time_s=time_s,
        period_s=30,
        state=State.PASSING,
        reasons=(),
        version="0.1.0",
        pack="strict",
        policy="00" * 32,
        record="00" * 32,
        size=size,
        root=tree.root(size),
        checkpoint=tree.note(size).decode(),
        cosigned=before.note(old).decode() if old else "",
        old=old,
        old_root=before.root(old) if old else b"",
        path=tree.path(old, size),
        forked=False,
    )
