"""Random requests decided twice, by the engine and by the plain reference.

    python -m tests.conformance.differential --requests 100000

Two thirds of the requests use known values only; in the rest one value is
missing, mistyped or out of the vocabulary. Exits 1 if any answer differs.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator

from edge.policy.engine import Policy
from tests.conformance import reference

ODD = (None, "", "unheard_of", 1, 0, True, 2.5, [], {}, "LIVE", "None")


def requests(count: int, seed: int) -> Iterator[dict[str, object]]:
    """Random facts, the same for the same seed."""
    rng = random.Random(seed)
    keys = [*reference.VALUES, "jurisdiction"]
    for _ in range(count):
        facts = {key: rng.choice(values) for key, values in reference.VALUES.items()}
        facts["jurisdiction"] = rng.choice(reference.PLACES)
        if rng.random() < 0.5:  # most of the table lies where nothing is broken
            facts["injected_fault"] = "none"
        spoilt = rng.random()
        if spoilt < 1 / 6:
            del facts[rng.choice(keys)]
        elif spoilt < 1 / 3:
            facts[rng.choice(keys)] = rng.choice(ODD)
        if rng.random() < 0.05:
            facts["jurisdiction"] = rng.choice(reference.NOWHERE)
        yield facts


def disagreements(policy: Policy, pack: str, count: int, seed: int) -> list[str]:
    """Each request on which the two readings differ, with both answers."""
    found = []
    asked = list(requests(count, seed))
    for facts, answer in zip(asked, policy.decide_many(asked), strict=True):
        ours = (answer.verdict.value, answer.outcome.value, list(answer.rules))
        theirs = reference.decide(facts, pack)
        if ours != theirs:
            found.append(f"{pack}: engine {ours}, reference {theirs}, facts {facts}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20260501)
    args = parser.parse_args()
    started = time.monotonic()
    found = []
    for number, pack in enumerate(("strict", "police")):
        policy = Policy.load(pack)
        share = args.requests // 2
        for done in range(0, share, 5_000):
            count = min(5_000, share - done)
            found += disagreements(policy, pack, count, args.seed + 2 * done + number)
    for line in found[:20]:
        print(line)
    taken_s = time.monotonic() - started
    print(f"{args.requests} requests, {len(found)} disagreements, {taken_s:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
