"""What a report prints of the rules that decided."""

from __future__ import annotations

from collections.abc import Iterable

from edge.policy.engine import Policy
from edge.report.record import RuleNote


def notes_for(policy: Policy, rules: Iterable[str]) -> dict[str, RuleNote]:
    """A note for each of `rules` that the policy knows."""
    wanted = set(rules)
    return {
        rule.id: RuleNote(rule.id, rule.effect.value, rule.says, rule.source, rule.status.value)
        for rule in policy.pack.rules
        if rule.id in wanted
    }
