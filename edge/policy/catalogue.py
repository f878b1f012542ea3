"""The catalogue: texts that were weighed and decide nothing, and why.

So that `framegate explain EU-03` has an answer, and nobody adds twice what was
left out on purpose. The rules that do decide are the `.cedar` files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from edge.files import packaged


@dataclass(frozen=True, slots=True)
class Note:
    """One text that is no rule here."""

    source: str
    says: str
    status: str
    why_not: str  # it decides nothing
    checked: str  # the day its source was last looked at


def catalogue() -> dict[str, Note]:
    """Every note by its id."""
    found = json.loads(packaged("edge.policies").joinpath("catalogue.json").read_bytes())
    return {name: Note(**note) for name, note in found.items()}
