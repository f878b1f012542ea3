"""Facts: what is known of one use of the camera, read against a fixed vocabulary.

Sits between the guard (or a scenario file) and the policy engine. A key that is
missing, of the wrong type or not in the vocabulary is *unread*: it takes its
strictest value, and the rules see its name in `unread`. Keys outside the
vocabulary, such as `capture_to_match_s`, are not looked at and decide nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.errors import PolicyError

Value = str | bool

JURISDICTION = "jurisdiction"
UNKNOWN_PLACE = "unknown"
_PRINCIPAL, _ACTION, _RESOURCE = "user", "operation", "camera"
_CLASSED = {_PRINCIPAL: ("User", "UserClass"), _RESOURCE: ("Camera", "CameraClass")}


@dataclass(frozen=True, slots=True)
class Term:
    """One key of the vocabulary: its values, and the strictest, used when unread."""

    key: str
    values: tuple[Value, ...]
    strictest: Value


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts as the engine is asked about them; `unread` names what could not be read."""

    values: Mapping[str, Value]  # every key of the vocabulary, and `jurisdiction`
    place: str  # the listed place that contains the jurisdiction
    unread: tuple[str, ...]

    @property
    def live(self) -> bool:
        """Whether the material may still be of the moment.

        Real-time is a state, not a number of seconds: an unfinished capture
        session is live whatever the delay, and only a sealed recording is not.
        """
        return bool(self.values["session_open"]) or self.values["source"] != "sealed_recording"

    def request(self) -> dict[str, Any]:
        """The facts as one request to the Cedar engine."""
        context: dict[str, Any] = {
            key: value
            for key, value in self.values.items()
            if key not in (_PRINCIPAL, _ACTION, _RESOURCE, JURISDICTION)
        }
        context["place"] = {"__entity": {"type": "Place", "id": self.place}}
        context["unread"] = list(self.unread)
        context["live"] = self.live
        return {
            "principal": {"type": "User", "id": self.values[_PRINCIPAL]},
            "action": {"type": "Action", "id": self.values[_ACTION]},
            "resource": {"type": "Camera", "id": self.values[_RESOURCE]},
            "context": context,
        }


class Vocabulary:
    """Every known key and value, and the tree of places."""

    def __init__(self, words: Mapping[str, Any], places: Mapping[str, list[str]]) -> None:
        self._words = words
        self.terms = tuple(
            Term(key, tuple(word["values"]), word["unread"]) for key, word in words.items()
        )
        self.children = {parent: tuple(found) for parent, found in places.items()}
        self._places = {place for found in places.values() for place in found}

    @classmethod
    def from_json(cls, words: bytes, places: bytes) -> Vocabulary:
        """Read both files of a pack.

        Raises:
            PolicyError: a file is not what it should be.
        """
        try:
            return cls(json.loads(words), json.loads(places))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
            raise PolicyError(f"the vocabulary cannot be read: {err}") from err

    @property
    def places(self) -> tuple[str, ...]:
        """Every listed place, sorted."""
        return tuple(sorted(self._places))

    def place_of(self, jurisdiction: object) -> str | None:
        """The listed place a jurisdiction lies in, or None if there is no such place.

        `AU-NSW` lies in `AU`, of which no part is listed. `US-ZZ` lies nowhere:
        the parts of `US` are listed, it is not one of them, and an unknown part
        could be the strictest of them.
        """
        if not isinstance(jurisdiction, str):
            return None
        if jurisdiction in self._places:
            return jurisdiction
        parent, dash, _ = jurisdiction.rpartition("-")
        if not dash or jurisdiction.endswith("-"):
            return None
        place = self.place_of(parent)
        if place is None or any(p.startswith(f"{place}-") for p in self.children.get(place, ())):
            return None
        return place

    def read(self, facts: Mapping[str, object]) -> Facts:
        """Read facts; never raises, whatever the mapping holds."""
        values: dict[str, Value] = {}
        unread = []
        for term in self.terms:
            given = facts.get(term.key)
            # `is` for the type: True would otherwise equal 1, and 1 is not a boolean
            known = [v for v in term.values if type(v) is type(given) and v == given]
            if known:
                values[term.key] = known[0]
            else:
                values[term.key] = term.strictest
                unread.append(term.key)
        place = self.place_of(facts.get(JURISDICTION))
        if place is None:
            unread.append(JURISDICTION)
            place = UNKNOWN_PLACE
        values[JURISDICTION] = place
        return Facts(values, place, tuple(unread))

    def entities(self) -> list[dict[str, Any]]:
        """Users, cameras and places with what they belong to, as Cedar entities."""
        found = []
        for key, (kind, group) in _CLASSED.items():
            word = self._words[key]
            for name, classes in {**word["values"], **word.get("reserved", {})}.items():
                found.append(_entity(kind, name, [(group, c) for c in classes]))
        parents: dict[str, list[str]] = {}
        for parent, children in self.children.items():
            for child in children:
                parents.setdefault(child, []).append(parent)
        for place in sorted(self._places | set(self.children)):
            found.append(_entity("Place", place, [("Place", p) for p in parents.get(place, [])]))
        smallest = sorted(self._places - set(self.children))  # the others contain them
        everywhere = [("Place", place) for place in smallest]
        found.append(_entity("Place", UNKNOWN_PLACE, everywhere))
        return found


def written(value: object) -> str:
    """A value as a command line has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _entity(kind: str, name: str, parents: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "uid": {"type": kind, "id": name},
        "attrs": {},
        "parents": [{"type": t, "id": i} for t, i in parents],
    }
