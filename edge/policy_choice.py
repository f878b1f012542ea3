"""Which policy a guard runs under: a shipped pack, or the bundle that is installed.

Parent and decider each choose for themselves from the same words, and compare
digests, so a policy that changes between the two readings starts nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from edge.decision.policy import Policy
from edge.policy_store import PolicyStore
from edge.version import VERSION


@dataclass(frozen=True, slots=True)
class Chosen:
    """A policy, and the version of the bundle it came in (0 for a shipped pack)."""

    policy: Policy
    version: int


def choose(pack: str, installed: Path | None) -> Chosen:
    """The bundle installed in the folder `installed`, or else the shipped `pack`.

    Raises:
        PolicyError: no such pack, or the installed bundle does not hold (any more).
    """
    if installed is None:
        return Chosen(Policy.load(pack), 0)
    found = PolicyStore(installed).load(wall_s=int(time.time()), guard=VERSION)
    return Chosen(found.policy, found.bundle.version)
