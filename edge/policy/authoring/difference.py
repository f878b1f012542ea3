"""What changes between two policies: rules, and the answers to cases those rules can reach.

Cases spread over the whole vocabulary show what changes at large; for each rule
that was added, removed or changed, cases that it holds for show what it does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from edge.policy.authoring.lint import spread
from edge.policy.authoring.reach import holding
from edge.policy.engine import Policy
from edge.policy.facts import Value, written
from edge.policy.outcome import Decision
from edge.policy.rules import Rule

_REACHED = 200  # cases compared for one rule


class Edit(Enum):
    """What happened to a rule; the value is the sign before it."""

    ADDED = "+"
    REMOVED = "-"
    CHANGED = "~"


@dataclass(frozen=True, slots=True)
class Change:
    """One case, and how two policies answer it."""

    facts: Mapping[str, Value]
    before: Decision
    after: Decision

    @property
    def turns(self) -> bool:
        """Whether the answer is another one, not only by other rules."""
        old, new = self.before, self.after
        return (old.verdict, old.outcome) != (new.verdict, new.outcome)


@dataclass(frozen=True, slots=True)
class Clause:
    """One rule that differs, and what it does to the cases it holds for."""

    key: str
    edit: Edit
    reached: int  # cases found that it holds for
    changes: tuple[Change, ...]  # those of them that are answered differently, the plainest first
    example: Change | None  # the plainest of those; or one that only names other rules


def differences(before: Policy, after: Policy, count: int) -> tuple[Change, ...]:
    """The cases, of `count` spread over the vocabulary, that changed verdict or outcome."""
    cases = [facts.values for facts in spread(before.pack, count)]
    return tuple(change for change in _answered(before, after, cases) if change.turns)


def clauses(before: Policy, after: Policy) -> tuple[Clause, ...]:
    """Every rule that differs."""
    old, new = ({rule.key: rule for rule in policy.pack.rules} for policy in (before, after))
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            found.append(_clause(before, after, Edit.ADDED, after, new[name]))
        elif name not in new:
            found.append(_clause(before, after, Edit.REMOVED, before, old[name]))
        elif old[name] != new[name]:
            found.append(_clause(before, after, Edit.CHANGED, after, new[name]))
    return tuple(found)


def _clause(before: Policy, after: Policy, edit: Edit, owner: Policy, rule: Rule) -> Clause:
    cases = [facts.values for facts in holding(owner.pack, rule, _REACHED)]
    answered = _answered(before, after, cases)
    changes = tuple(change for change in answered if change.turns)
    renamed = (change for change in answered if change.before != change.after)
    example = changes[0] if changes else next(renamed, None)
    return Clause(rule.key, edit, len(cases), changes, example)


def _answered(
    before: Policy, after: Policy, cases: Iterable[Mapping[str, Value]]
) -> tuple[Change, ...]:
    cases = list(cases)
    answers = zip(cases, before.decide_many(cases), after.decide_many(cases), strict=True)
    return tuple(Change(facts, old, new) for facts, old, new in answers)


def difference(before: Policy, after: Policy, count: int, as_json: bool) -> str:
    """Which rules differ between two policies, with an example each, and what changes at large."""
    edited = clauses(before, after)
    changes = differences(before, after, count)
    if as_json:
        return _as_json(edited, changes, count)
    lines = []
    for clause in edited:
        lines.append(f"{clause.edit.value} {clause.key}")
        if clause.changes:
            lines.append(f"  changes {len(clause.changes)} of {clause.reached} cases it holds for:")
        elif clause.reached:
            lines.append(
                f"  holds for {clause.reached} cases tried, and other rules answer each of them "
                "the same way" + (":" if clause.example else "")
            )
        else:
            lines.append("  no case was found that it holds for")
        lines += _example(clause.example) if clause.example else []
    lines.append(f"{len(changes)} of {count} cases made at random change their answer")
    for change in changes[:3]:
        lines += _example(change)
    return "\n".join(lines)


def _as_json(edited: tuple[Clause, ...], changes: tuple[Change, ...], count: int) -> str:
    return json.dumps(
        {
            **{edit.name.lower(): [c.key for c in edited if c.edit is edit] for edit in Edit},
            "clauses": [
                {
                    "rule": c.key,
                    "reached": c.reached,
                    "changed": len(c.changes),
                    "example": _case(c.example) if c.example else None,
                }
                for c in edited
            ],
            "of": count,
            "cases": [_case(change) for change in changes],
        },
        indent=1,
    )


def _example(change: Change) -> list[str]:
    facts = ", ".join(f"{key}={written(value)}" for key, value in change.facts.items())
    before, after = _line(change.before), _line(change.after)
    return [f"  {facts}", f"    before: {before}", f"    after:  {after}"]


def _case(change: Change) -> dict[str, object]:
    answers = {"before": change.before.data(), "after": change.after.data()}
    return {"facts": dict(change.facts), **answers}


def _line(decision: Decision) -> str:
    return f"{decision.verdict.value} {decision.outcome.value} {' '.join(decision.rules)}"
