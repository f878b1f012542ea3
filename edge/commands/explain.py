"""`framegate explain`: what a code or rule means, and what a policy says of a case."""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import UsageError
from edge.reasons import HELP, Reason

if TYPE_CHECKING:
    from edge.decision.policy import Policy
    from edge.decision.rules import Rule

EXAMPLES = """\
examples:
  framegate explain VIEW_FOREIGN                        a reason code
  framegate explain MS-02                               a rule: source, words, when it holds
  framegate explain cases.yaml --pack police --json     the policy alone, without sensors
"""


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "explain",
        help="explain a reason code, a rule, or what a policy says of a case",
        description="Explain a reason code, a rule, or what a policy says of a case.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", metavar="CODE|RULE|FILE.yaml", help="what to explain")
    parser.add_argument("--pack", default="strict", help="strict (default) or police")
    parser.add_argument("--as-of", metavar="DATE", help="decide under the rules of that day")
    parser.add_argument("--json", action="store_true", help="print data instead of text")
    parser.set_defaults(handler=_explain)


def _explain(args: argparse.Namespace) -> int:
    reason = next((r for r in Reason if r.value == args.target), None)
    if reason is not None:
        return _reason(reason, args.json)
    policy = load_policy(args.pack, args.as_of)
    rules = [rule for rule in policy.pack.rules if rule.id == args.target]
    if rules:
        return _rule(rules, policy.day, args.json)
    path = Path(args.target)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return _file(path, policy, args.json)
    raise UsageError(f"expected a reason code, a rule id or a .yaml file, got {args.target!r}")


def load_policy(pack: str, as_of: str | None) -> Policy:
    """The named pack under the rules of the day given as YYYY-MM-DD, or of today."""
    from edge.decision.policy import Policy

    return Policy.load(pack, day_of(as_of))


def day_of(as_of: str | None) -> datetime.date:
    """The day given as YYYY-MM-DD, or today."""
    try:
        return datetime.date.today() if as_of is None else datetime.date.fromisoformat(as_of)
    except ValueError as err:
        raise UsageError(f"--as-of expects a date as YYYY-MM-DD, got {as_of!r}") from err


def _reason(reason: Reason, as_json: bool) -> int:
    text = HELP[reason]
    if as_json:
        print_json(
            {
                "code": reason.value,
                "family": reason.family.value,
                "happened": text.happened,
                "stays_off": text.stays_off,
                "next_step": text.next_step,
            }
        )
        return 0
    print(f"{reason.value} ({reason.family.value})")
    print(f"  What happened    {text.happened}")
    print(f"  What stays off   {text.stays_off}")
    print(f"  What to do next  {text.next_step}")
    return 0


def _rule(rules: list[Rule], day: datetime.date, as_json: bool) -> int:
    if as_json:
        print_json([rule_data(rule, day) for rule in rules])
        return 0
    for rule in rules:
        found = rule_data(rule, day)
        print(f"{rule.id} {rule.effect.value}s ({rule.family}.cedar)")
        print(f"  Source   {rule.source}, version {rule.version}")
        print(f"  Says     {rule.says}")
        print(f"  Status   {rule.status.value}")
        print(f"  Holds    {found['effective_from']} to {found['effective_to']}", end="")
        print("" if rule.in_force(day) else f"; decides nothing on {day}")
    return 0


def rule_data(rule: Rule, day: datetime.date) -> dict[str, Any]:
    """A rule as data: everything but its Cedar body."""
    begins, ends = rule.effective_from, rule.effective_to
    return {
        "id": rule.id,
        "effect": rule.effect.value,
        "source": rule.source,
        "version": rule.version,
        "effective_from": begins.isoformat() if begins else "always",
        "effective_to": ends.isoformat() if ends else "none",
        "in_force": rule.in_force(day),
        "status": rule.status.value,
        "says": rule.says,
        "family": rule.family,
    }


def _file(path: Path, policy: Policy, as_json: bool) -> int:
    from edge.decision.scenario import read_scenarios

    try:
        scenarios = read_scenarios(path.read_bytes())
    except OSError as err:
        raise UsageError(f"cannot read {path}: {err.strerror}") from err
    except UsageError as err:
        raise UsageError(f"{path}: {err}") from err
    decided = [(scenario, policy.decide(scenario.facts)) for scenario in scenarios]
    if as_json:
        print_json(
            [
                {
                    "id": scenario.id,
                    "verdict": decision.verdict.value,
                    "outcome": decision.outcome.value,
                    "rules": list(decision.rules),
                }
                for scenario, decision in decided
            ]
        )
        return 0
    width = max(len(scenario.id) for scenario in scenarios)
    for scenario, decision in decided:
        answer = f"{decision.verdict.value:5}  {decision.outcome.value:11}"
        print(f"{scenario.id:{width}}  {answer}  {' '.join(decision.rules)}")
    return 0


def print_json(data: object) -> None:
    """Print data as JSON that a person can read too."""
    print(json.dumps(data, indent=1, ensure_ascii=False))
