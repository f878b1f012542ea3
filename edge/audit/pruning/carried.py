"""What a run must know of all earlier entries: the ratchets, and how the last run ended.

The writer folds every entry into one `Carried` when it opens a log. A receipt for
pruned entries holds the same value, so that no pruning lets a ratchet go back. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge.audit.forms import wall_ns
from edge.audit.schema import Kind

# Kinds in stored entries; no field holds free text that could look like these.
_STOPPED = re.compile(rb'"kind":"(stop|unclean_stop)"')
_RATCHET = re.compile(rb'"kind":"(floor|clock_reset)"')
_NEUTRAL = re.compile(rb'"kind":"(floor|gap|recovered)"')


@dataclass(frozen=True, slots=True)
class Carried:
    """What entries so far add up to."""

    policy_floor: int = 0  # the highest policy version of any `floor` entry
    time_floor_ns: int = 0  # wall time known to have passed, ns since 1970
    not_yet: str = ""  # dates from here on are wrong, by the newest `clock_reset`; "" for none
    distrusted: str = ""  # the earliest `not_yet` of any `clock_reset`; "" for none
    unclean: bool = False  # the run that wrote last has not stopped

    def after(self, entry: bytes) -> Carried:
        """With one more stored entry."""
        found = self
        if _RATCHET.search(entry):
            found = found.raised(json.loads(entry))
        if not _NEUTRAL.search(entry):
            unclean = _STOPPED.search(entry) is None
            if unclean is not found.unclean:
                found = replace(found, unclean=unclean)
        return found

    def raised(self, fields: Mapping[str, Any]) -> Carried:
        """With one more entry's ratchets; the entry is in its stored form."""
        if fields["kind"] == Kind.FLOOR.value:
            return replace(
                self,
                policy_floor=max(self.policy_floor, fields["policy_version"]),
                time_floor_ns=max(self.time_floor_ns, wall_ns(fields["time_floor"])),
            )
        if fields["kind"] == Kind.CLOCK_RESET.value:
            return replace(
                self,
                not_yet=fields["not_yet"],
                distrusted=min(self.distrusted or fields["not_yet"], fields["not_yet"]),
                time_floor_ns=wall_ns(fields["at_least"]),
            )
        return self
