"""The devices of the simulator: each with its own key and tree, honest, or cheating by seed.

A device's requests and its state are made before any clock starts; its tree is dropped
then. What a cheating device sends after its honest visits is what a thief of its key could.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.fleet.seeded import BAD, HONEST, Kind, Tree, state_of
from bench.fleet.witness import Sent
from edge.audit.note import Signer
from edge.audit.proofs.consistency import Request, written
from edge.fleet.state.findings import CLOCK_S
from edge.fleet.state.message import DeviceState, device_of

FIRST = 20  # entries at the first visit to the witness
GROWTH = 8  # and more at each later one; with few rounds every size has two digits
LATER = 12  # entries since the last visit, at most


@dataclass(frozen=True, slots=True)
class Simulated:
    """One device, as witness and broker get to know it."""

    name: str
    signer: Signer
    kind: Kind
    visits: tuple[Sent, ...]  # honest, one a round
    cheat: bytes  # a request that no witness may cosign; empty for an honest device
    state: Callable[[int], DeviceState]  # what it says at this time (POSIX), after its visits


def devices(
    count: int, cheats: int, rounds: int, seed: int, progress: Callable[[int], None]
) -> list[Simulated]:
    """`count` devices, of which `cheats` cheat; which ones and how is drawn from the seed.

    Keys are new each time: they are real ones.
    """
    chance = random.Random(seed)
    bad = frozenset(chance.sample(range(count), cheats))
    made = []
    for number in range(count):
        signer = Signer.generate(f"framegate-{number:05}/log")
        kind = chance.choice(BAD if number in bad else HONEST)
        made.append(_device(signer, kind, rounds, chance))
        progress(number + 1)
    return made


def _device(signer: Signer, kind: Kind, rounds: int, chance: random.Random) -> Simulated:
    sizes = [FIRST + GROWTH * turn for turn in range(rounds)]
    seen = sizes[-1]
    grown = seen + chance.randint(1, LATER)
    less = chance.randint(1, seen - 1)
    true = Tree(signer, grown)
    other = Tree(signer, grown, changed=chance.randrange(seen))
    visits = tuple(
        _visit(true, old, size) for old, size in zip([0, *sizes[:-1]], sizes, strict=True)
    )
    cheat = {
        Kind.SAME_SIZE: lambda: _visit(other, seen, seen).body,
        Kind.LONGER: lambda: _visit(other, seen, grown).body,
        Kind.SHORTER: lambda: _visit(true, 0, less).body,
        Kind.SHORTER_WIPED: lambda: _visit(true, 0, less).body,
    }.get(kind, bytes)()
    tree, size, before, old = {
        Kind.EQUAL: (true, seen, true, seen),
        Kind.GROWN: (true, grown, true, seen),
        Kind.LATE: (true, less, true, 0),
        Kind.SAME_SIZE: (other, seen, other, 0),
        Kind.LONGER: (other, grown, other, seen),
        Kind.SHORTER: (true, less, true, seen),
        Kind.SHORTER_WIPED: (true, less, true, 0),
    }[kind]
    # nothing but time tells a wiped device from one whose message is late: it speaks long after
    later_s = CLOCK_S + 1 if kind is Kind.SHORTER_WIPED else 0
    base = state_of(tree, size, before, old, 0)
    return Simulated(device_of(signer.name), signer, kind, visits, cheat, _dated(base, later_s))


def _dated(base: DeviceState, later_s: int) -> Callable[[int], DeviceState]:
    return lambda now_s: replace(base, time_s=now_s + later_s)


def _visit(tree: Tree, old: int, size: int) -> Sent:
    note = tree.note(size)
    return Sent(written(Request(old, tree.path(old, size), note)), note)
