"""Which policy a guard runs under: the installed bundle, or a shipped pack where none is trusted.

Parent and decider each choose for themselves from the same words, and compare
digests, so a policy that changes between the two readings starts nothing. What
a bundle says beside its rules, limits and model digests, is applied here.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.clock import MS
from edge.lease import MIN_VIEW_SCORE
from edge.policy.engine import Policy
from edge.policy.signed.bundle import Floors, mended
from edge.policy.signed.store import PolicyStore, check_model, in_force, newest, since
from edge.policy.signed.term import PolicyTerm
from edge.version import BUILT, BUILT_S, VERSION


@dataclass(frozen=True, slots=True)
class Chosen:
    """A policy, and for one from a bundle what watches over its term."""

    policy: Policy
    term: PolicyTerm | None
    floor_s: int  # UTC second that has passed: of the build, the log, the bundle or the record

    @property
    def version(self) -> int:
        """Of the bundle; 0 for a shipped pack."""
        return 0 if self.term is None else self.term.floors.version

    @property
    def first_day(self) -> datetime.date:
        """The first day that today can be, by what is signed: rules hold from here on."""
        return BUILT if self.term is None else since(self.term.bundle)

    @property
    def min_view_score(self) -> float:
        """Share of agreeing signs that a frame needs: the bundle's where it is stricter."""
        return max(MIN_VIEW_SCORE, self._limit("min_view_score", 0.0))

    @property
    def max_age_ns(self) -> int | None:
        """How old evidence may be, where the bundle says so."""
        age_ms = self._limit("evidence_max_age_ms", 0.0)
        return round(age_ms * MS) or None

    def dwell_s(self, recorded_s: float) -> float:
        """The dwell of the commissioning record, or the bundle's where that is longer."""
        return max(recorded_s, self._limit("dwell_s", 0.0))

    def check_models(self, models: Iterable[tuple[Path, str]]) -> None:
        """See that every model in use, by its path and the SHA-256 of its bytes, is one it names.

        A bundle that names none leaves them to the digests pinned in the product.

        Raises:
            BundleError: `MODEL_DIGEST`, and which file.
        """
        if self.term is not None and self.term.bundle.models:
            for path, sha256 in models:
                check_model(self.term.bundle, path, sha256)

    def _limit(self, name: str, default: float) -> float:
        return default if self.term is None else self.term.bundle.thresholds.get(name, default)


def choose(
    pack: str,
    store: Path | None,
    known: Iterable[Floors] = (),
    *,
    not_yet_s: int | None = None,
    at_least_s: int = 0,
) -> Chosen:
    """The bundle installed in the folder `store`, or the shipped `pack` if no keys are trusted.

    Args:
        pack: its name, or the path of a signed bundle to use in place of the installed one.
        known: what the audit log has seen; nothing older counts again.
        not_yet_s, at_least_s: what the signed record says of the time; see `bundle.mended`.

    Raises:
        PolicyError: no such pack, or the installed bundle does not hold (any more).
    """
    known = tuple(known)
    found = in_force(
        pack,
        PolicyStore(store),
        wall_s=int(time.time()),
        guard=VERSION,
        known=known,
        not_yet_s=not_yet_s,
        at_least_s=at_least_s,
    )
    floors = [Floors() if found[1] is None else found[1].floors, *known]
    floor_s = newest(mended(seen, not_yet_s, at_least_s) for seen in floors).time_s
    return Chosen(*found, max(BUILT_S, floor_s))
