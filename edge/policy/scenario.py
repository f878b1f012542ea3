"""Scenario files: what-if cases for the policy, in a plain subset of YAML.

A file is a list of mappings (or one mapping). Only the vocabulary's keys are
used; a case may carry a title, notes or expected answers. Refused before
anything is decided: anchors, aliases and tags, duplicate keys, deep nesting, files
over 4 MB. Only `true` and `false` are booleans, so `NO` is Norway.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from edge.errors import UsageError

MAX_BYTES = 4_000_000
_MAX_DEPTH = 20
# what a case may say besides facts: words about it, and answers to compare with
_ABOUT = ("id", "title", "note", "notes", "reason", "verdicts", "expected")
_ANSWERS = ("guard_verdict", "deciding_rules")  # and the same with a pack's name behind
_NO_FACT = "capture_to_match_s"  # never decides


@dataclass(frozen=True, slots=True)
class Scenario:
    """One case: its id and everything its mapping holds."""

    id: str
    facts: Mapping[str, object]


class _Loader(yaml.SafeLoader):
    """YAML without aliases, duplicate keys or surprising scalars."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise UsageError(f"a YAML alias in line {self._line()}; expected plain values")
        for what in ("anchor", "tag"):
            if getattr(self._next(), what, None):
                raise UsageError(f"a YAML {what} in line {self._line()}; expected plain values")
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise UsageError(f"nested deeper than {_MAX_DEPTH} levels in line {self._line()}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise UsageError(f"a key that is no plain word in line {line}")
            if key.value in seen:
                raise UsageError(f"key {key.value!r} given twice, again in line {line}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def _line(self) -> int:
        return int(self._next().start_mark.line) + 1

    def _next(self) -> Any:
        return self.peek_event()  # type: ignore[no-untyped-call]


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(?:null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile("^-?(?:0|[1-9][0-9]{0,17})$"), list("-0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?$"),
    list("-0123456789"),
)


def read_scenarios(text: bytes) -> tuple[Scenario, ...]:
    """The cases in a scenario file.

    Raises:
        UsageError: not YAML of this kind, or not a list of mappings with ids.
    """
    if len(text) > MAX_BYTES:
        raise UsageError(f"expected at most {MAX_BYTES} bytes, got {len(text)}")
    try:
        found = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as err:
        raise UsageError(f"not YAML: {' '.join(str(err).split())[:200]}") from err
    except (ValueError, UnicodeDecodeError) as err:
        raise UsageError(f"not YAML: {err}") from err
    cases = [found] if isinstance(found, dict) else found
    if not isinstance(cases, list) or not cases:
        raise UsageError("expected a list of scenarios, each a mapping of facts")
    return _named(cases)


def _named(cases: list[Any]) -> tuple[Scenario, ...]:
    scenarios = []
    seen = set()
    for number, case in enumerate(cases, 1):
        if not isinstance(case, dict):
            raise UsageError(f"scenario {number}: expected a mapping of facts, got {case!r:.60}")
        name = str(case.get("id", number))
        if name in seen:
            raise UsageError(f"scenario {number}: id {name!r} was used before")
        seen.add(name)
        scenarios.append(Scenario(name, case))
    return tuple(scenarios)


def unknown_keys(scenario: Scenario, known: Collection[str]) -> list[str]:
    """Keys of a case that are neither facts (`known`) nor words about it: misspelt, most likely."""
    return [
        key
        for key in scenario.facts
        if key not in known and key not in (*_ABOUT, _NO_FACT) and not str(key).startswith(_ANSWERS)
    ]
