"""Reach: cases for which one rule holds, found by asking the engine.

Random cases almost never meet a rule of many elements, so cases are drawn from
the words the rule itself names, and the engine says for which of them it holds.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files

import cedarpy

from edge.policy.engine import engine_data
from edge.policy.facts import JURISDICTION, Facts, Value
from edge.policy.pack import Pack
from edge.policy.rules import Rule, named, policy_set

_DRAWN = 1200  # cases tried for a rule
_BATCH = 150  # of them asked at once
_ELSEWHERE = ("NZ", "US", "FR", "CA-ON")  # places beside those a rule names
_NAMED = 0.6  # how often a fact the rule looks at takes a value it names
_PLAIN = 0.85  # how often one it does not look at is left plain
_KEYS = {"User": "user", "Camera": "camera", "Place": JURISDICTION}
# what is meant where a rule does not care: a kiosk that most rules leave alone
PLAIN: Mapping[str, Value] = json.loads(
    files("edge.policy.authoring").joinpath("cases.json").read_bytes()
)["plain"]


def holding(pack: Pack, rule: Rule, count: int, *, tried: int = _DRAWN) -> tuple[Facts, ...]:
    """At most `count` cases for which the rule holds, those that stray least first.

    The same ones each time; none if no case of `tried` meets the rule. Twice as
    many as are wanted are looked for, so that the plainest are among them.
    """
    engine, found = Alone(pack, rule), list[Facts]()
    drawn = (pack.vocabulary.read(facts) for facts in _drawn(pack, rule, tried))
    while some := list(itertools.islice(drawn, _BATCH)):
        found += [facts for facts, held in zip(some, engine.holds(some), strict=True) if held]
        if len(found) >= 2 * count:
            break
    return tuple(sorted(found, key=_strays)[:count])


def turning(pack: Pack, rule: Rule, cases: Sequence[Facts]) -> dict[str, tuple[Value, ...]]:
    """For each fact that the rule looks at, the values with which it holds, where they matter.

    From each of `cases`, for which the rule holds, one fact at a time takes every
    value. A fact that decides in none of them has no values.
    """
    engine = Alone(pack, rule)
    known: dict[str, Sequence[Value]] = {t.key: t.values for t in pack.vocabulary.terms}
    looked = elements(pack, rule)
    known[JURISDICTION] = list(dict.fromkeys([*looked.get(JURISDICTION, ()), *_ELSEWHERE]))
    found: dict[str, set[Value]] = {key: set() for key in looked}
    asked = [(key, case) for case in cases for key in looked]
    changed = [
        pack.vocabulary.read({**case.values, key: value})
        for key, case in asked
        for value in known[key]
    ]
    held = iter(engine.holds(changed))
    for key, _ in asked:
        values = [(value, next(held)) for value in known[key]]
        if not all(holds for _, holds in values):
            found[key] |= {value for value, holds in values if holds}
    return {key: tuple(v for v in known[key] if v in some) for key, some in found.items()}


class Alone:
    """The engine with one rule and nothing else: does it hold?"""

    def __init__(self, pack: Pack, rule: Rule) -> None:
        permit = dataclasses.replace(rule, body={**rule.body, "effect": "permit"})
        self._rule = policy_set([permit])
        self._schema, self._entities = engine_data(pack)

    def holds(self, cases: Iterable[Facts]) -> list[bool]:
        requests = [facts.request() for facts in cases]
        results = cedarpy.is_authorized_batch(requests, self._rule, self._entities, self._schema)
        return [
            result.decision is cedarpy.Decision.Allow and not result.diagnostics.errors
            for result in results
        ]


def _strays(facts: Facts) -> int:
    """In how many facts a case is other than the plain one."""
    return sum(PLAIN.get(key) != value for key, value in facts.values.items())


def _drawn(pack: Pack, rule: Rule, count: int) -> Iterator[dict[str, object]]:
    rng = random.Random(rule.id)
    values: dict[str, Sequence[Value]] = {t.key: t.values for t in pack.vocabulary.terms}
    values[JURISDICTION] = pack.vocabulary.places
    words = elements(pack, rule)
    for number in range(count):
        case: dict[str, object] = {}
        p_plain = 0.5 if number % 2 else 0.0  # of a fact it looks at, if it takes no named value
        for key, known in values.items():
            plain = PLAIN.get(key) in known and rng.random() < (p_plain if key in words else _PLAIN)
            if words.get(key) and rng.random() < _NAMED:
                case[key] = rng.choice(words[key])
            else:
                case[key] = PLAIN[key] if plain else rng.choice(known)
        yield case


def elements(pack: Pack, rule: Rule) -> dict[str, Sequence[Value]]:
    """Every key the rule looks at, with the values it names; none for a plain yes or no."""
    values: dict[str, Sequence[Value]] = {t.key: t.values for t in pack.vocabulary.terms}
    values[JURISDICTION] = pack.vocabulary.places
    words = _words(pack, rule, values)
    text = str(rule.body)
    if "'attr': 'live'" in text:
        words.setdefault("source", ("live", "sealed_recording"))
        words.setdefault("session_open", ())
    asked = [key for key in values if key in words or f"'attr': '{key}'" in text]
    return {key: words.get(key, ()) for key in asked}


def _words(
    pack: Pack, rule: Rule, values: Mapping[str, Sequence[Value]]
) -> dict[str, Sequence[Value]]:
    """For each key, the values that the rule names, by themselves or by a class."""
    entities, text = pack.vocabulary.entities(), str(rule.body)
    found: dict[str, set[Value]] = {}
    for node in named(rule.body):
        if isinstance(node, str):
            for key, known in values.items():
                if node in known and f"'attr': '{key}'" in text:
                    found.setdefault(key, set()).add(node)
            continue
        kind, name = node
        for entity in entities:
            of, member = entity["uid"]["type"], entity["uid"]["id"]
            within = {"type": kind, "id": name} in entity["parents"] or (of, member) == node
            if within and of in _KEYS and member in values[_KEYS[of]]:
                found.setdefault(_KEYS[of], set()).add(member)
        if kind == "Action":
            found.setdefault("operation", set()).update(_lanes(pack, name, values["operation"]))
    return {key: sorted(some, key=str) for key, some in found.items()}


def _lanes(pack: Pack, name: str, lanes: Sequence[Value]) -> list[Value]:
    """The lanes that an action of the schema means: itself, or the group's members."""
    grouped = [part for part in pack.schema.split("action ") if f" in [{name}]" in part]
    members = {word for part in grouped for word in part.split(" in [")[0].split(", ")}
    return [lane for lane in lanes if lane == name or lane in members]
