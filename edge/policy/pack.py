"""A pack: the files a policy is made of, as bytes, and which rules it takes.

A signed bundle carries the same files as a shipped pack or a folder. A pack
names its rules by id, `GD-*` or `*`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import rfc8785

from edge.errors import PolicyError, wrong_in
from edge.policy.facts import Vocabulary
from edge.policy.naming import NAME
from edge.policy.rules import Effect, Rule, parse
from edge.policy.shipped import BASE, PACK, SHIPPED_BASE, shipped_files

__all__ = ["Pack", "read_pack", "shipped_files"]

SCHEMA = "schema.cedarschema"
VOCABULARY = "vocabulary.json"
PLACES = "places.json"
_KEYS = {"name", "title", "version", "forbid", "permit"}  # of pack.json


@dataclass(frozen=True, slots=True)
class Pack:
    """Rules, the words they use and the schema they are checked against."""

    name: str
    title: str
    version: int
    rules: tuple[Rule, ...]  # those the pack takes, in file order
    vocabulary: Vocabulary
    schema: str
    text: str  # every rule of the files, taken or not, in Cedar
    places: tuple[str, ...]  # of each policy in `text`, in order: its file and its id
    content: bytes  # canonical JSON: the digest of every file the pack is made of


def read_pack(content: Mapping[str, bytes]) -> Pack:
    """The pack made of these files, by name.

    Raises:
        PolicyError: a file is missing, unknown or malformed, or no rule is left.
    """
    families = sorted(name for name in content if name.endswith(".cedar"))
    if PACK in content:
        about = _about(content[PACK])  # first: it says where files that are missing come from
    wanted = {PACK, SCHEMA, VOCABULARY, PLACES}
    if set(content) - set(families) != wanted:
        unknown = set(content) - wanted - set(families)
        raise PolicyError(
            f"expected the files {', '.join(sorted(wanted))} and .cedar files; "
            f"missing {sorted(wanted - set(content))}, unknown {sorted(unknown)}"
        )
    rules = [rule for f in families for rule in parse(f.removesuffix(".cedar"), content[f])]
    taken = tuple(rule for rule in rules if about.takes(rule))
    if not taken:
        raise PolicyError(f"pack {about.name} takes no rule at all")
    with wrong_in(f"{SCHEMA} is not text", UnicodeDecodeError, as_=PolicyError):
        schema = content[SCHEMA].decode()
    return Pack(
        about.name,
        about.title,
        about.version,
        taken,
        Vocabulary.from_json(content[VOCABULARY], content[PLACES]),
        schema,
        "\n".join(content[family].decode() for family in families),
        tuple(f"{rule.family}.cedar, policy {rule.number + 1} ({rule.id})" for rule in rules),
        rfc8785.dumps({name: hashlib.sha256(content[name]).hexdigest() for name in content}),
    )


@dataclass(frozen=True, slots=True)
class _About:
    """What `pack.json` says."""

    name: str
    title: str
    version: int
    forbid: tuple[str, ...]  # patterns of rule ids
    permit: tuple[str, ...]

    def takes(self, rule: Rule) -> bool:
        patterns = self.forbid if rule.effect is Effect.FORBID else self.permit
        return any(fnmatchcase(rule.id, pattern) for pattern in patterns)


def _about(text: bytes) -> _About:
    with wrong_in("pack.json is not JSON", ValueError, RecursionError, as_=PolicyError):
        found = json.loads(text)
    if not isinstance(found, dict) or set(found) - {BASE} != _KEYS:
        raise PolicyError(f"pack.json: expected exactly the keys {', '.join(sorted(_KEYS))}")
    if found.get(BASE, SHIPPED_BASE) != SHIPPED_BASE:
        raise PolicyError(f"pack.json: expected {BASE} = {SHIPPED_BASE!r} or none")
    about = _About(
        found["name"],
        found["title"],
        found["version"],
        _patterns(found["forbid"]),
        _patterns(found["permit"]),
    )
    if not isinstance(about.name, str) or not isinstance(about.title, str):
        raise PolicyError("pack.json: expected text as name and title")
    if not NAME.fullmatch(about.name):
        raise PolicyError(
            "pack.json: expected a name of 1 to 32 small letters, digits, dashes or underscores, "
            f"a letter first, got {about.name!r:.60}"
        )
    if type(about.version) is not int or about.version < 1:
        raise PolicyError(f"pack.json: expected a version of 1 or more, got {about.version!r}")
    return about


def _patterns(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise PolicyError(f"pack.json: expected a list of rule ids, got {found!r}")
    return tuple(found)
