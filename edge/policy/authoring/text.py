"""How one decision reads: of a case made up, or of a past one in a log."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from edge.policy.authoring.matrix import Flip, flips
from edge.policy.authoring.reach import Alone
from edge.policy.engine import Policy
from edge.policy.facts import JURISDICTION, Facts, written
from edge.policy.outcome import NO_DECISION, Decision, Outcome, Verdict
from edge.policy.rules import Effect
from edge.reasons import Reason

_MEANS = {
    Outcome.PERMITTED: "a rule permits it and none forbids it",
    Outcome.NOT_COVERED: "no rule covers it; it is logged as uncovered, never as approved",
    Outcome.FORBIDDEN: "at least one rule forbids it, or nothing permits it",
}


def case_text(policy: Policy, name: str, facts: Mapping[str, object], decision: Decision) -> str:
    """Verdict, outcome, rules in their words, missing facts, and what would flip it."""
    lines = [
        f"{name}: {decision.verdict.value}, {decision.outcome.value} "
        f"({_MEANS[decision.outcome]}), pack {policy.pack.name} on {policy.day}"
    ]
    read = policy.read(facts)
    taken = {
        key: "any place" if key == JURISDICTION else written(read.values[key])
        for key in read.unread
    }
    for key in read.unread:
        if key in facts:
            given = f"{facts[key]!r:.40}"
            lines.append(
                f"  {key}: {given} is not a known value; taken as {taken[key]}, the strictest"
            )
    effect = Effect.FORBID if decision.verdict is Verdict.BLOCK else Effect.PERMIT
    lines += _rules(policy, decision.rules, (effect,), read)
    if decision == NO_DECISION and not read.unread:
        lines.append("  Nothing permits this case, or its evidence is not healthy.")
    used = ", ".join(f"{key}={written(value)}" for key, value in read.values.items())
    lines.append(f"  Decided on: {used}")
    lines += [
        f"  {key}: not given; taken as {taken[key]}, the strictest"
        for key in read.unread
        if key not in facts
    ]
    lines += _flip_lines(flips(policy, facts))
    return "\n".join(lines)


def case_data(policy: Policy, facts: Mapping[str, object]) -> dict[str, Any]:
    """What `case_text` adds to the answer, as data."""
    read = policy.read(facts)
    return {
        "facts": dict(read.values),
        "unread": list(read.unread),
        "flips": [
            {"key": flip.key, "value": flip.value, **flip.decision.data()}
            for flip in flips(policy, facts)
        ],
    }


def _flip_lines(found: tuple[Flip, ...]) -> list[str]:
    if not found:
        return ["  No single change would turn the verdict round."]
    first = found[0]
    lines = [
        f"  Nearest change that turns it round: {first.key}={written(first.value)} -> "
        f"{first.decision.verdict.value} {first.decision.outcome.value} "
        f"({' '.join(first.decision.rules)})"
    ]
    by_key: dict[str, list[str]] = {}
    for flip in found[1:]:
        by_key.setdefault(flip.key, []).append(written(flip.value))
    for key, values in by_key.items():
        more = f" and {len(values) - 8} more" if len(values) > 8 else ""
        lines.append(f"    also {key} = {', '.join(values[:8])}{more}")
    return lines


def entry_text(policy: Policy, index: int, fields: Mapping[str, Any]) -> str:
    """A past decision: when, why, by which rules, on what evidence."""
    lines = [f"Entry {index}: {fields['kind']} at {fields['wall']}"]
    lines += [
        f"  {key}: {_plain(value)}"
        for key, value in fields.items()
        if key not in ("kind", "wall", "reasons", "rules", "seq")
    ]
    for code in fields.get("reasons", ()):
        known = Reason.__members__.get(code)
        lines.append(f"  {code}: {known.happened if known else 'a reason of another version'}")
    lines += _rules(policy, fields.get("rules", ()))
    return "\n".join(lines)


def _rules(
    policy: Policy,
    names: Iterable[str],
    effects: Collection[Effect] = tuple(Effect),
    case: Facts | None = None,
) -> list[str]:
    """The rules in their words; of those with one id, where a case is given, only what holds."""
    lines = []
    for name in names:
        rules = [r for r in policy.pack.rules if r.id == name and r.effect in effects]
        if case is not None and len(rules) > 1:
            holding = [rule for rule in rules if Alone(policy.pack, rule).holds([case])[0]]
            rules = holding or rules  # GD-02 stands also for what no rule says
        for rule in rules:
            lines.append(f"  {name} {rule.effect.value}s: {rule.says}")
            lines.append(f"    {rule.source}, version {rule.version} ({rule.status.value})")
        if not rules:
            lines.append(f"  {name}: not a rule of this version")
    return lines


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) or "none"
    return written(value)
