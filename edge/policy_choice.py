"""Which policy a guard runs under: the installed bundle, or a shipped pack where none is trusted.

Parent and decider each choose for themselves from the same words, and compare
digests, so a policy that changes between the two readings starts nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from edge.decision.policy import Policy
from edge.decision.tenure import Tenure
from edge.policy_store import PolicyStore, in_force
from edge.version import VERSION


@dataclass(frozen=True, slots=True)
class Chosen:
    """A policy, and for one from a bundle what watches over its term."""

    policy: Policy
    tenure: Tenure | None

    @property
    def version(self) -> int:
        """Of the bundle; 0 for a shipped pack."""
        return 0 if self.tenure is None else self.tenure.floors.version


def choose(pack: str, store: Path | None) -> Chosen:
    """The bundle installed in the folder `store`, or the shipped `pack` if no keys are trusted.

    Raises:
        PolicyError: no such pack, or the installed bundle does not hold (any more).
    """
    found = in_force(pack, PolicyStore(store), wall_s=int(time.time()), guard=VERSION)
    return Chosen(*found)
