"""The policy: may this lane run at all, and by which clause?

Asks the Cedar engine once per decision, a few times a second. Default deny,
forbid beats permit. Cedar skips a forbid that errs, which would permit, so any
error at all, no decision, and an answer without a rule are BLOCK by `GD-02`.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import cedarpy
import rfc8785

from edge.errors import PolicyError
from edge.policy.facts import Facts
from edge.policy.outcome import NO_DECISION, Decision, Outcome, Verdict
from edge.policy.pack import Pack, read_pack, shipped_files
from edge.policy.rules import Rule, policy_set
from edge.version import BUILT

__all__ = ["Decision", "Outcome", "Policy", "Verdict"]


class Policy:
    """A pack with the rules of one day, ready to decide."""

    def __init__(self, pack: Pack, day: datetime.date, *, open_ended: bool = False) -> None:
        """Validate the pack and build the engine's rule set once.

        Args:
            open_ended: it is `day` or any later one, and each rule is read as on
                the strictest of them; otherwise it is `day`.

        Raises:
            PolicyError: the rules do not fit the schema.
        """
        self.pack = pack
        self.day = day
        self.open_ended = open_ended
        self.rules = tuple(
            rule
            for rule in pack.rules
            if (rule.in_force_from(day) if open_ended else rule.in_force(day))
        )
        self._by_key: dict[str, Rule] = {rule.key: rule for rule in self.rules}
        try:
            self._policies = policy_set(self.rules)
            checked = cedarpy.validate_policies(pack.text, pack.schema)
            self._schema, self._entities = engine_data(pack)
        except ValueError as err:
            raise PolicyError(f"pack {pack.name}: {str(err)[:200]}") from err
        if not checked.validation_passed:
            raise PolicyError(f"pack {pack.name} does not fit its schema: {_misfit(pack, checked)}")

    @classmethod
    def load(cls, name: str, as_of: datetime.date | None = None) -> Policy:
        """A shipped pack under the rules of `as_of`, by default today's.

        Under a clock that shows a day before this product was made, today is any
        day since.

        Raises:
            PolicyError: no such pack, or it is damaged.
        """
        pack = read_pack(shipped_files(name))
        return cls.today(pack) if as_of is None else cls(pack, as_of)

    @classmethod
    def today(cls, pack: Pack) -> Policy:
        """The pack under the rules of the day the wall clock shows, if it can be right."""
        day = utc_today()
        return cls(pack, max(day, BUILT), open_ended=day < BUILT)

    @property
    def digest(self) -> bytes:
        """SHA-256 over every file of the pack and the rules in force, 32 bytes."""
        in_force = sorted(self._by_key)
        return hashlib.sha256(self.pack.content + rfc8785.dumps(in_force)).digest()

    def read(self, facts: Mapping[str, object]) -> Facts:
        """The facts as `decide` reads them."""
        return self.pack.vocabulary.read(facts)

    def decide(self, facts: Mapping[str, object]) -> Decision:
        """Answer for these facts; never raises, and what cannot be read is strictest.

        Args:
            facts: the keys of the vocabulary and `jurisdiction`; others are ignored.
        """
        return self.ask(self.read(facts).request())

    def decide_many(self, cases: Iterable[Mapping[str, object]]) -> list[Decision]:
        """`decide` for each case, in one call of the engine: for tables and tests."""
        requests = [self.read(facts).request() for facts in cases]
        results = cedarpy.is_authorized_batch(
            requests, self._policies, self._entities, self._schema
        )
        return [self.answer(result) for result in results]

    def ask(self, request: dict[str, Any]) -> Decision:
        """Answer one engine request; whatever is wrong with it is BLOCK by `GD-02`."""
        try:
            result = cedarpy.is_authorized(request, self._policies, self._entities, self._schema)
        except (ValueError, TypeError, KeyError):
            return NO_DECISION
        return self.answer(result)

    def answer(self, result: cedarpy.AuthzResult) -> Decision:
        """What an answer of the engine means."""
        if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
            return NO_DECISION
        rules = [self._by_key[key] for key in result.diagnostics.reasons]
        if not rules:
            return NO_DECISION
        if result.decision is not cedarpy.Decision.Allow:
            return Decision(Verdict.BLOCK, Outcome.FORBIDDEN, _ids(rules))
        permits = [rule for rule in rules if rule.outcome is Outcome.PERMITTED]
        if permits:
            return Decision(Verdict.ALLOW, Outcome.PERMITTED, _ids(permits))
        return Decision(Verdict.ALLOW, Outcome.NOT_COVERED, _ids(rules))


def engine_data(pack: Pack) -> tuple[cedarpy.Schema, cedarpy.Entities]:
    """Schema (it says which lanes a group holds) and entities, as the engine takes them.

    Raises:
        ValueError: they are none.
    """
    schema = cedarpy.Schema.from_str(pack.schema)
    entities = json.dumps(pack.vocabulary.entities())
    return schema, cedarpy.Entities.from_json_str(entities, schema=schema)


def _misfit(pack: Pack, checked: cedarpy.ValidationResult) -> str:
    """The first misfit, with the rule's file and id in place of the engine's number for it."""
    found = checked.errors[0]
    place = pack.places[int(found.policy_id.removeprefix("policy"))]
    return found.error.replace(f"for policy `{found.policy_id}`", place)


def utc_today() -> datetime.date:
    """The day by which rules begin and end: that of UTC, wherever the device is."""
    return datetime.datetime.now(datetime.timezone.utc).date()


def _ids(rules: list[Rule]) -> tuple[str, ...]:
    return tuple(sorted({rule.id for rule in rules}))
