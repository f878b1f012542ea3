"""The packs that come with the product: folders of data, found and never listed.

`edge/policies` holds what packs share: rules, vocabulary, places, schema. Each
folder in `edge/policies/packs` is a pack: its `pack.json` and, if it has any,
rules of its own. A pack elsewhere may build on the same files: see `completed`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from edge.errors import PolicyError
from edge.files import packaged
from edge.policy.facts import Vocabulary

DEFAULT = "strict"
PACK = "pack.json"
BASE = "base"  # key of pack.json: what the folder lacks comes from there
SHIPPED_BASE = "shipped"
_DATA = ("schema.cedarschema", "vocabulary.json", "places.json")


@cache
def names() -> tuple[str, ...]:
    """Every shipped pack, the default one first."""
    folder = packaged("edge.policies").joinpath("packs")
    found = {entry.name for entry in folder.iterdir() if entry.joinpath(PACK).is_file()}
    return (DEFAULT, *sorted(found - {DEFAULT}))


def shared_files() -> dict[str, bytes]:
    """The files that all shipped packs are made of."""
    return {
        entry.name: entry.read_bytes()
        for entry in packaged("edge.policies").iterdir()
        if entry.name.endswith(".cedar") or entry.name in _DATA
    }


def shipped_files(name: str) -> dict[str, bytes]:
    """The files of a pack that comes with the product.

    Raises:
        PolicyError: no such pack.
    """
    if name not in names():
        raise PolicyError(f"expected a pack named {' or '.join(names())}, got {name!r}")
    folder = packaged("edge.policies").joinpath("packs").joinpath(name)
    own = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
    return {**shared_files(), **own}


def known_place(jurisdiction: str) -> bool:
    """Whether the product's rules know where this is."""
    data = shared_files()
    vocabulary = Vocabulary.from_json(data["vocabulary.json"], data["places.json"])
    return vocabulary.place_of(jurisdiction) is not None


def completed(own: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a pack's folder, with the product's where it builds on them.

    `"base": "shipped"` in `pack.json` says so: a file of the folder replaces the
    product's of the same name, and new rules stand in a file of a new name.
    """
    try:
        about = json.loads(own.get(PACK, b"{}"))
    except (ValueError, RecursionError):
        about = {}  # read_pack says what is wrong with it
    if not isinstance(about, dict) or about.get(BASE) != SHIPPED_BASE:
        return dict(own)
    return {**shared_files(), **own}
