"""The words a record, a claim and a policy request may use; anything else is unknown.

Unknown is always read as the strictest value, and a record that holds an
unknown word is refused where it is read. The words are those of the shipped
packs: `edge/policies/vocabulary.json` is their one place.
"""

from __future__ import annotations

import json

from edge.files import packaged


def _shipped() -> dict[str, tuple[str, ...]]:
    found = json.loads(packaged("edge.policies").joinpath("vocabulary.json").read_bytes())
    words = {key: tuple(word["values"]) for key, word in found.items()}
    return {key: values for key, values in words.items() if True not in values}


VOCABULARY: dict[str, tuple[str, ...]] = _shipped()  # key to its words; flags are left out
